"""The guest's own versions of commands that would otherwise act on the host."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import remove_tree
from runscaler.testing.fake_tart.output import say
from runscaler.testing.fake_tart.processes import Process, guest_processes

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
TOOLS = {"shutdown": "/sbin", "halt": "/sbin", "sudo": "/usr/bin", "pgrep": "/usr/bin", "pkill": "/usr/bin"}
"""The names of these commands, and the directories in which a guest finds them."""


def guest_tools(call: Call) -> str:
    """The folder with these commands; made once per host."""
    folder = os.path.join(call.host, "guest-bin")
    if not os.path.isdir(folder):
        made = f"{folder}.{os.getpid()}"
        os.mkdir(made)
        for name in TOOLS:
            with open(os.path.join(made, name), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o755)
                file.write(tool_script(name))
        try:
            os.rename(made, folder)
        except OSError:
            remove_tree(made)
    return folder


def tool_script(name: str) -> str:
    if name in ("shutdown", "halt"):
        return '#!/bin/sh\nkill -USR2 "${FAKE_TART_GUEST%%.*}"\n'
    if name == "sudo":
        return '#!/bin/sh\nwhile case "$1" in -*) true;; *) false;; esac do shift; done\nexec "$@"\n'
    # As `runscaler.interpreter`, which this program, standing alone, does not import.
    python = f"'{sys.executable}' _python" if getattr(sys, "frozen", False) else f"'{sys.executable}'"
    return f"#!/bin/sh\nexec {python} -IS '{PROGRAM}' {name} \"$@\"\n"


def grep_processes(name: str, words: list[str]) -> int:
    """`pgrep` and `pkill`: they see only the guest, and never their own ancestors."""
    import re

    number, options, pattern = signal_and_options(name, words)
    processes = {process.pid: process for process in of_guest()}
    own = ancestors(os.getpid(), processes)
    search = re.fullmatch if "x" in options else re.search
    matched = [
        process
        for process in processes.values()
        if process.pid not in own and search(pattern, process.command if "f" in options else process.name)
    ]
    for process in sorted(matched, key=lambda one: one.pid):
        if name == "pkill":
            os.kill(process.pid, number)
        elif "q" not in options:
            say(f"{process.pid} {process.command}" if options & {"l", "a"} else str(process.pid))
    return 0 if matched else 1


def signal_and_options(name: str, words: list[str]) -> tuple[int, set[str], str]:
    """pkill's signal (`-9`, `-TERM`), the letters of all other options, and the pattern."""
    number, options, pattern = int(signal.SIGTERM), set[str](), ""
    for word in words:
        signalled = name == "pkill" and word[:1] == "-" and (word[1:].isdigit() or word[1:].isupper())
        if signalled:
            number = int(word[1:]) if word[1:].isdigit() else signal.Signals[f"SIG{word[1:]}"]
        elif word[:1] == "-":
            options |= set(word[1:])
        else:
            pattern = word
    return number, options, pattern


def ancestors(pid: int, processes: dict[int, Process]) -> set[int]:
    """The process and its ancestors among `processes`."""
    found = {pid}
    while pid in processes and processes[pid].parent not in found:
        pid = processes[pid].parent
        found.add(pid)
    return found


def of_guest() -> list[Process]:
    mark = os.environ.get("FAKE_TART_GUEST", "")
    return [process for process in guest_processes(-1, mark) if process.marked]
