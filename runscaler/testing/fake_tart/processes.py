"""The processes of a guest, found by their session and by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time


class Process:
    __slots__ = ("command", "marked", "name", "parent", "pid")

    def __init__(self, pid: int, parent: int, name: str, command: str, *, marked: bool) -> None:
        self.pid, self.parent, self.name, self.command, self.marked = pid, parent, name, command, marked


def guest_processes(session: int, mark: str) -> list[Process]:
    """All living processes of this session or with this mark in their environment."""
    return of_proc(session, mark) if os.path.isdir("/proc/self") else of_ps(session, mark)


def of_proc(session: int, mark: str) -> list[Process]:
    found, wanted = [], f"FAKE_TART_GUEST={mark}\0".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            head, _, tail = read_bytes(f"/proc/{name}/stat").rpartition(b")")
            state, parent, _, its_session = tail.split()[:4]
            marked = wanted in read_bytes(f"/proc/{name}/environ")
            if state not in b"ZX" and (marked or int(its_session) == session):
                command = read_bytes(f"/proc/{name}/cmdline").replace(b"\0", b" ").decode(errors="replace")
                comm = head.partition(b"(")[2].decode(errors="replace")
                found.append(Process(int(name), int(parent), comm, command.strip(), marked=marked))
    return found


def read_bytes(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def of_ps(session: int, mark: str) -> list[Process]:
    """For hosts without /proc; `ps -E` shows the environment after the command."""
    reader, writer = os.pipe()
    listing = ["/bin/ps", "-axwwE", "-o", "pid=,ppid=,stat=,command="]
    ps = os.posix_spawn(listing[0], listing, {}, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()
    os.waitpid(ps, 0)
    return from_listing(lines, session, mark)


def from_listing(lines: list[str], session: int, mark: str) -> list[Process]:
    """Each line has pid, parent, state, and command with environment."""
    found = []
    for pid, parent, state, command in (line.split(None, 3) for line in lines if len(line.split()) > 3):
        marked = f"FAKE_TART_GUEST={mark}" in command.split()
        if not state.startswith("Z") and (marked or session_of(int(pid)) == session):
            name = os.path.basename(command.split()[0])
            found.append(Process(int(pid), int(parent), name, command, marked=marked))
    return found


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def signal_guest(session: int, mark: str, number: int) -> int:
    """To all but the caller; returns how many got the signal."""
    count = 0
    for process in guest_processes(session, mark):
        if process.pid != os.getpid():
            with contextlib.suppress(OSError):
                os.kill(process.pid, number)
                count += 1
    return count


def kill_guest(session: int, mark: str) -> None:
    """Repeats until none is left, as they may fork meanwhile."""
    while signal_guest(session, mark, signal.SIGKILL):
        time.sleep(0.001)
