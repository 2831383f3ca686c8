"""The guest's first process: boots, answers on control.sock, obeys a test's orders."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from runscaler.testing.fake_tart.frames import CHUNK
from runscaler.testing.fake_tart.guest_tools import TOOLS
from runscaler.testing.fake_tart.output import write_all
from runscaler.testing.fake_tart.processes import signal_guest
from runscaler.testing.fake_tart.session import Session

if TYPE_CHECKING:
    import socket

    from runscaler.testing.fake_tart.call import Call
    from runscaler.testing.fake_tart.vms import Vm

ADMIN_HOME = "/Users/admin"
AGENT_PATH = "/bin:/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin"


class Guest:
    """The guest's first process: boots, answers on control.sock, serves each connection in a child."""

    def __init__(self, call: Call, vm: Vm, mark: str, tools: str) -> None:
        self.mark = mark
        self._call, self._vm, self._tools = call, vm, tools
        self._home = vm.file("guest")
        self._orders, self._order = -1, -1
        self._servers: set[int] = set()
        self._frozen_until = self._agent_from = 0.0

    def live(self, lifeline: int) -> int:
        """Until the pipe from `run` closes (0), or an order to crash (its code)."""
        self._orders, self._order = os.pipe()
        os.makedirs(os.path.join(self._home, "tmp"), exist_ok=True)
        os.chdir(self._vm.path)
        if select.select([lifeline], [], [], self._call.knobs.seconds("boot_socket"))[0]:
            return 0
        listener = listen("control.sock")
        self._agent_from = time.monotonic() + self._call.knobs.seconds("boot_agent")
        while True:
            watched: list[Any] = [lifeline, self._orders]
            frozen = self._frozen()
            ready, _, _ = select.select([*watched, *([] if frozen else [listener])], [], [], 0.5)
            self._reap()
            if lifeline in ready:
                return 0
            if self._orders in ready and (code := self._obey(os.read(self._orders, CHUNK))):
                return code
            if listener in ready:
                self._accept(listener, lifeline)

    def _accept(self, listener: socket.socket, lifeline: int) -> None:
        connection, _ = listener.accept()
        with connection:
            if time.monotonic() < self._agent_from or self._call.knobs.anew().agent(self._vm.name) != "up":
                return
            pid = os.fork()
            if not pid:
                listener.close()
                os.close(lifeline)
                self._serve(connection)
            self._servers.add(pid)

    def _serve(self, connection: socket.socket) -> NoReturn:
        try:
            Session(connection, self).serve()
        except OSError:
            pass  # the other end is gone
        finally:
            leave_process(0)

    def _reap(self) -> None:
        for pid in list(self._servers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._servers.discard(pid)

    def _obey(self, lines: bytes) -> int:
        """Orders of a test, from a connection: crash CODE, agent SECONDS, freeze SECONDS."""
        for line in lines.decode().splitlines():
            courier, order, value = line.split()
            self._wait_for(int(courier))
            if order == "crash":
                return int(value)
            if order == "agent":
                self._agent_from = time.monotonic() + float(value)
                for pid in self._servers:
                    os.kill(pid, signal.SIGTERM)
            if order == "freeze":
                self._frozen_until = time.monotonic() + float(value)
                signal_guest(os.getpid(), self.mark, signal.SIGSTOP)
        return 0

    def _wait_for(self, courier: int) -> None:
        """Who brought the order ends first: frozen, it could not tell the test that it was taken."""
        if courier in self._servers:
            os.waitpid(courier, 0)
            self._servers.discard(courier)

    def _frozen(self) -> bool:
        if self._frozen_until and time.monotonic() >= self._frozen_until:
            self._frozen_until = 0.0
            signal_guest(os.getpid(), self.mark, signal.SIGCONT)
        return self._frozen_until > 0

    def order(self, text: str) -> None:
        os.write(self._order, f"{os.getpid()} {text}\n".encode())

    def environment(self) -> dict[str, str]:
        return {
            "HOME": self._home,
            "TMPDIR": os.path.join(self._home, "tmp"),
            "USER": "admin",
            "LOGNAME": "admin",
            "SHELL": "/bin/zsh",
            "PATH": f"{self._tools}:{AGENT_PATH}",
            "FAKE_TART_HOST": self._call.host,
            "FAKE_TART_GUEST": self.mark,
            "FAKE_TART_OFFLINE": self._vm.file("offline"),
        }

    def translated(self, words: list[str]) -> list[str]:
        """Paths of a Mac in any argument become those of this guest."""
        for name, folder in TOOLS.items():
            words = [word.replace(f"{folder}/{name}", f"{self._tools}/{name}") for word in words]
        return [word.replace(ADMIN_HOME, self._home) for word in words]

    def enter(self, words: list[str]) -> None:
        """Go home, and note the arguments as the agent does."""
        os.chdir(self._home)
        log = os.open("tmp/tart-guest-agent.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        write_all(log, f"exec {json.dumps(words)}\n".encode())
        os.close(log)


def leave_process(code: int) -> NoReturn:
    """The end of a forked child, which must not go on as its parent; a bug shows in guest.log."""
    if sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    os._exit(code)


def listen(path: str) -> socket.socket:
    """By a relative path: those of a socket are short."""
    import socket

    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    return listener
