"""The guest as a child process of `run`, which ends with it however `run` ends."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from typing import TYPE_CHECKING, NoReturn

from runscaler.testing.fake_tart.guest import Guest, exit_process
from runscaler.testing.fake_tart.guest_tools import guest_tools
from runscaler.testing.fake_tart.output import say
from runscaler.testing.fake_tart.processes import kill_guest

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call
    from runscaler.testing.fake_tart.vms import Vm

CRASHED = 'Error Domain=VZErrorDomain Code=1 "The virtual machine stopped unexpectedly." UserInfo={}'
SIGNALS = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGALRM)


class GuestProcess:
    """The guest. It ends when the pipe to it is closed, also by the death of `run`."""

    def __init__(self, call: Call, vm: Vm) -> None:
        self._mark = f"{os.getpid()}.{time.time_ns()}"
        self._status: int | None = None
        lifeline, self._lifeline = os.pipe()
        lock = lock_guest(vm)
        tools = guest_tools(call)
        self._pid = os.fork()
        if not self._pid:
            os.close(self._lifeline)
            become_guest(Guest(call, vm, self._mark, tools), lifeline, lock)
        os.close(lifeline)
        os.close(lock)

    def has_ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def end(self) -> None:
        if self._lifeline < 0:
            return
        os.close(self._lifeline)
        self._lifeline = -1
        if self._status is None:
            self._status = os.waitpid(self._pid, 0)[1]
        kill_guest(self._pid, self._mark)

    def report_end(self) -> int:
        """Say how it ended; returns the exit code of `run`."""
        if self._status:
            say(f"guest has stopped the virtual machine due to error: {CRASHED}")
            return 1
        say("guest has stopped the virtual machine")
        return 0


def lock_guest(vm: Vm) -> int:
    """Lock guest.log for the life of the guest, which takes a moment longer to end than `run`.

    The real tart has no such lock."""
    fd = os.open(vm.file("guest.log"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def wait_for_guest(vm: Vm) -> None:
    if os.path.exists(vm.file("guest.log")):
        os.close(lock_guest(vm))


def become_guest(guest: Guest, lifeline: int, lock: int) -> NoReturn:
    """In the child: a session of its own, and only the descriptors it needs; errors go to guest.log."""
    code = 1
    try:
        os.setsid()
        detach(keep=(lifeline, lock), errors=lock)
        try:
            code = guest.run(lifeline)
        finally:
            kill_guest(os.getpid(), guest.mark)
    finally:
        exit_process(code)


def detach(keep: tuple[int, ...], errors: int) -> None:
    """Reset the signals and close inherited descriptors, which may be locks and pipes of our caller."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(errors, 2)
    low = 3
    for fd in sorted({*keep, null}):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 1024)
