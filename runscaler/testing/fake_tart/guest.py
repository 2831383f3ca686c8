"""The guest's first process: boots, answers on control.sock, and carries out a test's orders."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from runscaler.testing.fake_tart.agent_connection import AgentConnection
from runscaler.testing.fake_tart.agent_protocol import CHUNK
from runscaler.testing.fake_tart.guest_tools import TOOLS
from runscaler.testing.fake_tart.output import write_all
from runscaler.testing.fake_tart.processes import signal_guest

if TYPE_CHECKING:
    import socket

    from runscaler.testing.fake_tart.call import Call
    from runscaler.testing.fake_tart.vms import Vm

ADMIN_HOME = "/Users/admin"
AGENT_PATH = "/bin:/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin"


class Guest:
    """Serves each connection in a child, which shares this object."""

    def __init__(self, call: Call, vm: Vm, mark: str, tools: str) -> None:
        self.mark = mark
        self._call, self._vm, self._tools = call, vm, tools
        self._home = vm.file("guest")
        self._orders, self._order = -1, -1
        self._servers: set[int] = set()
        self._frozen_until = self._agent_up_at = 0.0

    def run(self, lifeline: int) -> int:
        """Returns 0 when the pipe `lifeline` from `tart run` closes, or the code of an order to crash."""
        self._orders, self._order = os.pipe()
        os.makedirs(os.path.join(self._home, "tmp"), exist_ok=True)
        os.chdir(self._vm.path)
        if select.select([lifeline], [], [], self._call.knobs.seconds("boot_socket"))[0]:
            return 0
        listener = listen("control.sock")
        self._agent_up_at = time.monotonic() + self._call.knobs.seconds("boot_agent")
        while True:
            watched: list[Any] = [lifeline, self._orders]
            if not self._is_frozen():
                watched.append(listener)
            ready, _, _ = select.select(watched, [], [], 0.5)
            self._reap()
            if lifeline in ready:
                return 0
            if self._orders in ready and (code := self._carry_out(os.read(self._orders, CHUNK))):
                return code
            if listener in ready:
                self._accept(listener, lifeline)

    def _accept(self, listener: socket.socket, lifeline: int) -> None:
        connection, _ = listener.accept()
        with connection:
            agent = self._call.knobs.reread().agent(self._vm.name)
            if time.monotonic() < self._agent_up_at or agent != "up":
                return
            pid = os.fork()
            if not pid:
                listener.close()
                os.close(lifeline)
                self._serve(connection)
            self._servers.add(pid)

    def _serve(self, connection: socket.socket) -> NoReturn:
        try:
            AgentConnection(connection, self).serve()
        except OSError:
            pass  # the other end is gone
        finally:
            exit_process(0)

    def _reap(self) -> None:
        for pid in list(self._servers):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._servers.discard(pid)

    def _carry_out(self, orders: bytes) -> int:
        """Lines of a test: crash CODE, agent SECONDS, freeze SECONDS, each after the pid that received it.

        Returns the code of a crash, else 0."""
        for line in orders.decode().splitlines():
            receiver, order, value = line.split()
            self._wait_for(int(receiver))
            if order == "crash":
                return int(value)
            if order == "agent":
                self._agent_up_at = time.monotonic() + float(value)
                for pid in self._servers:
                    os.kill(pid, signal.SIGTERM)
            if order == "freeze":
                self._frozen_until = time.monotonic() + float(value)
                signal_guest(os.getpid(), self.mark, signal.SIGSTOP)
        return 0

    def _wait_for(self, receiver: int) -> None:
        """Let it end first: once frozen, it could not tell the test that it received the order."""
        if receiver in self._servers:
            os.waitpid(receiver, 0)
            self._servers.discard(receiver)

    def _is_frozen(self) -> bool:
        if self._frozen_until and time.monotonic() >= self._frozen_until:
            self._frozen_until = 0.0
            signal_guest(os.getpid(), self.mark, signal.SIGCONT)
        return self._frozen_until > 0

    def forward_order(self, text: str) -> None:
        """From the process of a connection to the guest's first process."""
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

    def translate(self, words: list[str]) -> list[str]:
        """Replace a Mac's paths in the arguments by those of this guest."""
        for name, folder in TOOLS.items():
            words = [word.replace(f"{folder}/{name}", f"{self._tools}/{name}") for word in words]
        return [word.replace(ADMIN_HOME, self._home) for word in words]

    def enter_home(self, words: list[str]) -> None:
        """Change to the home directory, and log the arguments as the agent does."""
        os.chdir(self._home)
        log = os.open("tmp/tart-guest-agent.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        write_all(log, f"exec {json.dumps(words)}\n".encode())
        os.close(log)


def exit_process(code: int) -> NoReturn:
    """End a forked child, which must not run its parent's code; a bug shows in guest.log."""
    if sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    os._exit(code)


def listen(path: str) -> socket.socket:
    """`path` should be relative, as a socket's path must be short."""
    import socket

    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    return listener
