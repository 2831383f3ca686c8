"""Notices the ends of VMs and of the runners in them, on one thread for all of a backend.

A VM ends when its `tart run` does, which the system tells at once; a runner when the `tart exec` that
waits for it does. A lost exec is started again: the runner goes on meanwhile (docs/tart.md § 6, 13).
"""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import Ending
from runscaler.backends.tart.children import RUNS
from runscaler.backends.tart.guest import Guest, answers_socket
from runscaler.backends.tart.guest_watch import GuestWatch
from runscaler.backends.tart.record import Phase
from runscaler.errors import BackendError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.deadlines import Deadlines
    from runscaler.backends.tart.exits import ExitDescriptor
    from runscaler.backends.tart.record import VmRecord
    from runscaler.backends.tart.vm import Vm
    from runscaler.clock import Clock

_HUNG = 2
"""So many failed looks at a waiting VM mean that its guest hangs."""


@dataclass(slots=True)
class Followed:
    """One VM. `guest` watches its runner or, where none came yet, feels its pulse, now and then; times
    are monotonic: when to begin the next watch, or give the question up; when to feel the pulse again."""

    record: VmRecord
    vm: Vm
    tart: Tart
    exit: ExitDescriptor | None = None
    guest: GuestWatch | None = None
    guest_at: float = 0.0
    pulse_at: float = 0.0
    misses: int = 0


class Vigil:
    """`ended` is told once of each, on the vigil's thread; `tick` is called there now and then."""

    def __init__(
        self,
        clock: Clock,
        deadlines: Deadlines,
        exits: Callable[[int], ExitDescriptor | None],
        ended: Callable[[VmRecord, Ending | None], None],
        tick: Callable[[], None],
    ) -> None:
        self._clock, self._deadlines, self._exits = clock, deadlines, exits
        self._ended, self._tick = ended, tick
        self._followed: dict[str, Followed] = {}
        self._orders: deque[tuple[str, Followed | None]] = deque()
        self._endings: dict[str, Ending] = {}
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ)

    # -- from any thread --------------------------------------------------------------------------

    def follow(self, record: VmRecord, tart: Tart) -> None:
        """Until it ended or is left. One that is followed already is taken as the record says now."""
        followed = Followed(record, tart.home.vm(record.name), tart)
        with self._lock:
            self._known.add(record.name)
            self._endings.pop(record.name, None)
        self._order(record.name, followed)

    def leave(self, name: str) -> None:
        """Its end is expected: no report."""
        with self._lock:
            self._known.discard(name)
            self._endings.pop(name, None)
        self._order(name, None)

    def knows(self, name: str) -> bool:
        with self._lock:
            return name in self._known

    def ending(self, name: str) -> Ending | None:
        """Of one that it knows; None: it runs."""
        with self._lock:
            return self._endings.get(name)

    def wake(self) -> None:
        """Have `tick` called soon."""
        with self._lock:
            if self._stopping.is_set():
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tart-vigil", daemon=True)
                self._thread.start()
            with suppress(BlockingIOError):
                os.write(self._wake_writer, b"!")

    def stop(self) -> None:
        """Return when no more is reported; harmless when repeated."""
        self.wake()
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
            with suppress(BlockingIOError):
                os.write(self._wake_writer, b"!")
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _order(self, name: str, followed: Followed | None) -> None:
        self._orders.append((name, followed))
        self.wake()

    # -- on its own thread ------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._obey()
                self._tick()
                for followed in list(self._followed.values()):
                    self._look_at(followed)
                self._sleep()
        finally:
            self._release()

    def _obey(self) -> None:
        while self._orders:
            name, followed = self._orders.popleft()
            self._drop(name)
            if followed is not None:
                self._followed[name] = followed
                self._begin(followed)

    def _begin(self, followed: Followed) -> None:
        followed.pulse_at = self._clock.monotonic() + self._deadlines.pulse
        pid = followed.vm.pid()
        followed.exit = self._exits(pid) if pid else None
        if followed.exit is not None:
            self._selector.register(followed.exit, selectors.EVENT_READ, followed)

    def _look_at(self, followed: Followed) -> None:
        if not followed.vm.pid():
            self._over(followed, self._ending_of_vm(followed))
        elif followed.record.phase is Phase.POOLED:
            self._feel_pulse(followed)
        elif followed.guest is not None and followed.guest.told:
            self._over(followed, Ending(exit_code=followed.guest.code, at=self._clock.wall()))
        elif followed.guest is None or followed.guest.over:
            self._watch_runner(followed)

    def _ending_of_vm(self, followed: Followed) -> Ending | None:
        """None: somebody removed it."""
        if not followed.vm.config.exists():
            return None
        code = RUNS.exit_code(str(followed.vm.path))
        said = " ".join(followed.vm.said()[-300:].decode(errors="replace").split())
        logger.bind(runner=followed.record.runner_name).debug("VM {} ended: {}", followed.vm.name, said)
        return Ending(signal=-code if code is not None and code < 0 else None, at=self._clock.wall())

    def _over(self, followed: Followed, ending: Ending | None) -> None:
        name = followed.record.name
        with self._lock:
            if name not in self._known:
                return
            self._endings[name] = ending or Ending(at=self._clock.wall())
        self._drop(name)
        self._ended(followed.record, ending)

    def _watch_runner(self, followed: Followed) -> None:
        now = self._clock.monotonic()
        if now < followed.guest_at:
            return
        followed.guest_at = now + self._deadlines.guest_again
        self._ask(followed, lambda guest: guest.await_runner(followed.record.guest_pid))

    def _ask(self, followed: Followed, ask: Callable[[Guest], subprocess.Popen[bytes]]) -> None:
        name = followed.record.name
        try:
            asking = ask(Guest(followed.tart, name, self._deadlines))
        except BackendError as error:
            logger.debug("the guest of {} cannot be asked for now: {}", name, error)
            return
        followed.guest = GuestWatch(asking)
        self._selector.register(followed.guest, selectors.EVENT_READ, followed)

    def _feel_pulse(self, followed: Followed) -> None:
        """A hung guest does not end by itself, and nobody would notice before a job needs it. A control
        socket that tells nothing proves nothing: then an exec decides."""
        now, asked, path = self._clock.monotonic(), followed.guest, followed.vm.socket
        if asked is not None:
            if asked.over or now >= followed.guest_at:
                self._close_guest(followed)
                self._felt(followed, alive=asked.told)
        elif now >= followed.pulse_at:
            followed.pulse_at = now + self._deadlines.pulse
            followed.guest_at = now + self._deadlines.exec_probe
            if path is not None and answers_socket(path, self._deadlines.socket_probe):
                self._felt(followed, alive=True)
            else:
                self._ask(followed, Guest.ask)

    def _felt(self, followed: Followed, *, alive: bool) -> None:
        followed.misses = 0 if alive else followed.misses + 1
        if followed.misses >= _HUNG:
            logger.warning("the guest of waiting VM {} does not answer any more", followed.record.name)
            self._over(followed, Ending(at=self._clock.wall()))

    def _sleep(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if key.fd == self._wake_reader:
                os.read(self._wake_reader, 4096)
                continue
            followed: Followed = key.data
            if followed.exit is not None and key.fd == followed.exit.fileno():
                self._close_exit(followed)  # looked at from now on, until its lock is gone too
            elif followed.guest is not None:
                followed.guest.read()
                if followed.guest.over:
                    self._selector.unregister(followed.guest)
                    followed.guest.close()

    def _patience(self) -> float:
        """Seconds until something is due without an event."""
        now, due = self._clock.monotonic(), [self._deadlines.tool]
        for followed in self._followed.values():
            if followed.exit is None:
                due.append(self._deadlines.poll)
            if followed.record.phase is Phase.POOLED:
                due.append((followed.guest_at if followed.guest else followed.pulse_at) - now)
            elif followed.guest is None or followed.guest.over:
                due.append(followed.guest_at - now)
        return max(0.0, min(due))

    def _drop(self, name: str) -> None:
        followed = self._followed.pop(name, None)
        if followed is None:
            return
        self._close_exit(followed)
        self._close_guest(followed)

    def _close_guest(self, followed: Followed) -> None:
        if followed.guest is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(followed.guest)
            followed.guest.close()
            followed.guest = None

    def _close_exit(self, followed: Followed) -> None:
        if followed.exit is not None:
            self._selector.unregister(followed.exit)
            followed.exit.close()
            followed.exit = None

    def _release(self) -> None:
        for name in list(self._followed):
            self._drop(name)
        self._selector.close()
        with self._lock:
            os.close(self._wake_reader)
            os.close(self._wake_writer)
