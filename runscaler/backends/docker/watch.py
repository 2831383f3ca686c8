"""The engine's event stream as observations: which of our containers ended, whether it answers.

The stream runs from a timestamp and is taken up again where it stopped. An engine that says nothing
for a while is asked again, because a hung one, and a remote one whose connection was forgotten by a
router, are quiet too.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import BackendAvailable, BackendUnavailable, Ending, ResourceEnded
from runscaler.backends.docker.errors import is_quiet_timeout
from runscaler.backends.docker.labels import key_of, own_filter
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.backends.base import Observation
    from runscaler.backends.docker.engine import Engine
    from runscaler.clock import Clock
    from runscaler.names import OwnerId, ScaleSetKey

QUIET_SECONDS = 10.0
PING_SECONDS = 10.0
"""An engine that hangs is reported after so much silence, and so much more without an answer."""
TOLD_AGAIN = 256
"""So many events an engine keeps, and may tell again to who asks from a time on."""
NANOSECONDS = 1_000_000_000
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
SIGNALS = range(129, 193)
"""Exit codes by which the engine means a signal: 128 + its number."""


class Watch:
    """One thread that follows the engine's events until it is stopped."""

    def __init__(
        self,
        engine: Engine,
        owner: OwnerId,
        clock: Clock,
        since: float,
        report: Callable[[Observation], None],
        *,
        quiet_seconds: float = QUIET_SECONDS,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._clock = clock
        self._report = report
        self._quiet_seconds = quiet_seconds
        self._ping_seconds = ping_seconds
        self._since = int(since * NANOSECONDS)
        self._told: deque[Mapping[str, object]] = deque(maxlen=TOLD_AGAIN)
        self._pause = 0.0
        self._stop = Interrupt()
        self._endings = Endings()
        self._thread = threading.Thread(target=self._run, name=f"events {engine.url}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._await_engine()
            self._report(BackendAvailable())
            while True:
                broke = self._follow_to_its_end()
                was_away = self._await_engine()
                if broke or was_away:
                    self._report(BackendAvailable())
        except Interrupted:
            return

    def _await_engine(self) -> bool:
        """Return when the engine answers; its absence is reported once. Was it away?"""
        pause, told = FIRST_PAUSE, False
        while True:
            try:
                self._ping()
            except BackendError as error:
                if not told:
                    self._report(BackendUnavailable(str(error), error.fixes))
                told = True
                # Connections and API version are those of an engine that is gone.
                self._engine.disconnect()
                self._rest(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return told

    def _rest(self, seconds: float) -> None:
        self._clock.pause(seconds + self._clock.jitter(seconds), self._stop)

    def _ping(self) -> None:
        with self._engine.call("watch containers", self._stop, seconds=self._ping_seconds) as api:
            api.ping()

    def _follow_to_its_end(self) -> bool:
        """Did the stream break? False: it is only quiet, as it also would be if the engine hung.

        docker-py ends a stream that the engine refuses as if it were over.
        """
        began = self._clock.monotonic()
        try:
            self._follow()
        except BackendError as error:
            if is_quiet_timeout(error):
                return False
            logger.debug("the event stream of {} broke: {}", self._engine.url, error)
        lasted = self._clock.monotonic() - began > LONGEST_PAUSE
        self._pause = FIRST_PAUSE if lasted else min(max(FIRST_PAUSE, self._pause * 2), LONGEST_PAUSE)
        self._rest(self._pause)
        return True

    def _follow(self) -> None:
        filters = {
            "type": ["container"],
            "event": ["die", "oom", "destroy"],
            "label": own_filter(self._owner),
        }
        with self._engine.call("follow events", self._stop, seconds=self._quiet_seconds) as api:
            for event in api.events(since=engine_time(self._since), filters=filters, decode=True):
                self._handle(event)

    def _handle(self, event: Mapping[str, object]) -> None:
        at = event.get("timeNano")
        if not isinstance(at, int) or event in self._told:
            return
        self._told.append(event)
        # By the engine's clock from now on, which may differ from ours, and be set back.
        self._since = at
        ended = self._endings.observe(event, at / NANOSECONDS)
        if ended is not None:
            self._report(ended)


def engine_time(nanoseconds: int) -> str:
    """As the engine takes a time that is finer than seconds."""
    return "{}.{:09d}".format(*divmod(nanoseconds, NANOSECONDS))


class Endings:
    """What a sequence of events says about ends; memory running out is told before the end itself."""

    def __init__(self) -> None:
        self._out_of_memory: set[str] = set()
        self._ended: set[str] = set()

    def observe(self, event: Mapping[str, object], at: float) -> ResourceEnded | None:
        actor = event.get("Actor")
        if not isinstance(actor, dict) or not (container := str(actor.get("ID", ""))):
            return None
        attributes = actor.get("Attributes") or {}
        match event.get("Action"):
            case "oom":
                self._out_of_memory.add(container)
            case "die":
                self._ended.add(container)
                code = str(attributes.get("exitCode", ""))
                return ResourceEnded(container, self._ending(container, code, at), key_of(attributes))
            case "destroy":
                return self._destroyed(container, key_of(attributes))
        return None

    def _ending(self, container: str, code: str, at: float) -> Ending:
        out_of_memory = container in self._out_of_memory
        self._out_of_memory.discard(container)
        return ending_of(int(code) if code.isdecimal() else None, out_of_memory, at)

    def _destroyed(self, container: str, key: ScaleSetKey | None) -> ResourceEnded | None:
        """Told only of one whose end was not: it vanished before it ran, or while nobody listened."""
        if container in self._ended:
            self._ended.discard(container)
            return None
        return ResourceEnded(container, None, key)


def ending_of(exit_code: int | None, out_of_memory: bool, at: float) -> Ending:
    """An ending as the engine states it; an exit code above 128 also tells the signal."""
    signal = exit_code - 128 if exit_code is not None and exit_code in SIGNALS else None
    return Ending(exit_code, signal, out_of_memory, at)
