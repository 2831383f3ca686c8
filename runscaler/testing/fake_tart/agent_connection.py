"""The guest agent's end of a connection (docs/tart.md § 6)."""

from __future__ import annotations

import errno
import os
import select
import signal
from typing import TYPE_CHECKING, Any, NoReturn

from runscaler.testing.fake_tart.agent_protocol import CHUNK, SETTINGS_FRAME, receive_frame, send_frame

if TYPE_CHECKING:
    import socket

    from runscaler.testing.fake_tart.guest import Guest


class AgentConnection:
    """Serves one connection, in a process of its own."""

    def __init__(self, connection: socket.socket, guest: Guest) -> None:
        self._connection, self._guest = connection, guest
        self._pid = 0
        self._input: int | None = None
        self._unwritten, self._input_ends = b"", False
        self._sources: dict[int, bytes] = {}

    def serve(self) -> None:
        self._connection.sendall(SETTINGS_FRAME)
        kind, data = receive_frame(self._connection)
        if kind == b"o":
            self._guest.forward_order(data.decode())
        elif kind == b"r":
            words = [word.decode(errors="surrogateescape") for word in data.split(b"\0")]
            self._run(words[1:], interactive=words[0] == "-i")

    def _run(self, words: list[str], *, interactive: bool) -> None:
        self._guest.enter_home(words)
        signal.signal(signal.SIGTERM, lambda _number, _frame: self._kill())
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is a process to kill
        try:
            self._spawn(self._guest.translate(words), interactive=interactive)
        except OSError as error:
            why = str(error.strerror)
            text = why if why.startswith("exec: ") else f"fork/exec {words[0]}: {why.lower()}"
            send_frame(self._connection, b"f", text.encode(errors="surrogateescape"))
            return
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        send_frame(self._connection, b"s")
        while self._sources:
            self._forward()
        self._report_exit()

    def _spawn(self, words: list[str], *, interactive: bool) -> None:
        environment = self._guest.environment()
        program = found_on_path(words[0], environment["PATH"])
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        in_end, self._input = os.pipe() if interactive else (os.open(os.devnull, os.O_RDONLY), None)
        self._pid = os.posix_spawn(
            program,
            words,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, in_end, 0),
                (os.POSIX_SPAWN_DUP2, out_end, 1),
                (os.POSIX_SPAWN_DUP2, err_end, 2),
            ],
            setsigmask=(),
        )
        for fd in (in_end, out_end, err_end):
            os.close(fd)
        if self._input is not None:
            os.set_blocking(self._input, False)
        self._sources = {out: b"o", err: b"e"}

    def _forward(self) -> None:
        writable = [self._input] if self._unwritten and self._input is not None else []
        readable: list[Any] = [self._connection, *self._sources]
        ready, room, _ = select.select(readable, writable, [])
        if self._connection in ready:
            self._take_input()
        for fd in [fd for fd in self._sources if fd in ready]:
            data = os.read(fd, CHUNK)
            if data:
                send_frame(self._connection, self._sources[fd], data)
            else:
                del self._sources[fd]
                os.close(fd)
        if room:
            self._write_input()

    def _take_input(self) -> None:
        kind, data = receive_frame(self._connection)
        if not kind:
            self._kill()
        self._unwritten += data
        self._input_ends = self._input_ends or not data
        self._write_input()

    def _write_input(self) -> None:
        if self._input is None:
            return
        try:
            if self._unwritten:
                self._unwritten = self._unwritten[os.write(self._input, self._unwritten) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._unwritten = b""
        if self._input_ends and not self._unwritten:
            os.close(self._input)
            self._input = None

    def _report_exit(self) -> None:
        """Both of its output streams have ended, but the command may run on without them."""
        while not (ended := os.waitpid(self._pid, os.WNOHANG))[0]:
            if select.select([self._connection], [], [], 0.01)[0]:
                self._take_input()
        code = os.waitstatus_to_exitcode(ended[1])
        send_frame(self._connection, b"x", b"%d" % (code if code >= 0 else 255))

    def _kill(self) -> NoReturn:
        """When the connection is lost: kills the command, not what it started."""
        os.kill(self._pid, signal.SIGKILL)
        os._exit(0)


def found_on_path(program: str, path: str) -> str:
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = os.path.join(folder, program)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(errno.ENOENT, f'exec: "{program}": executable file not found in $PATH')
