"""Starts and ends the services' processes, and keeps what the fakes know in $FAKE_SERVICES."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("FAKE_SERVICES", "/nonexistent"))
PATIENCE = 60.0


def remember(name: str, **facts: object) -> None:
    state = {**recall(name), **facts}
    (FOLDER / f"{name}.json").write_text(json.dumps(state))


def recall(name: str) -> dict:
    try:
        return json.loads((FOLDER / f"{name}.json").read_text())
    except FileNotFoundError:
        return {}


def forget(name: str) -> None:
    (FOLDER / f"{name}.json").unlink(missing_ok=True)


def answer_fault(words: list[str]) -> None:
    """Note the call, and exit as a fault that matches it says; each fault counts once."""
    said = " ".join(words)
    with (FOLDER / "calls").open("a") as calls:
        calls.write(said + "\n")
    path = FOLDER / "faults.json"
    faults = json.loads(path.read_text()) if path.exists() else []
    for fault in faults:
        if fault["call"] in said:
            faults.remove(fault)
            path.write_text(json.dumps(faults))
            refuse(fault["text"], fault["code"])


def refuse(text: str, code: int) -> None:
    print(text, file=sys.stderr)
    sys.exit(code)


def is_alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def spawn(words: list[str], variables: dict[str, str], log: Path, *, notify: bool) -> int | None:
    """Start a process and, with `notify`, wait until it is ready; None if it ended before."""
    base = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.settimeout(0.05)
        if notify:
            address = FOLDER / f"notify-{os.getpid()}"
            channel.bind(str(address))
            base["NOTIFY_SOCKET"] = str(address)
        with log.open("ab") as output:
            try:
                process = subprocess.Popen(
                    words,
                    env={**measured, **base, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            except OSError:
                return None
        deadline = time.monotonic() + PATIENCE
        while notify and time.monotonic() < deadline:
            if process.poll() is not None:
                return None
            try:
                if b"READY=1" in channel.recv(4096):
                    return process.pid
            except TimeoutError:
                continue
    return process.pid


def end(pid: int) -> None:
    """SIGTERM, and SIGKILL if that does not help; returns when the process is gone."""
    if not is_alive(pid):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        while is_alive(pid):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return
