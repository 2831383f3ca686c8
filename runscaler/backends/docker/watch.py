"""Turns the engine's event stream into observations: which of our containers ended, whether it answers.

The stream begins at a timestamp, and is resumed where it broke. An engine that is silent for a while is
pinged: it may hang, or a router may have dropped the connection.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import current_thread
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.base import BackendAvailable, BackendUnavailable, Ending, ResourceEnded, WatchCrashed
from runscaler.backends.docker import answers
from runscaler.backends.docker.errors import is_read_timeout
from runscaler.backends.docker.labels import HELPER, OWNER, RUNNER_NAME, SIDECAR_HELPER, key_of, own_filter
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.threads import start_thread
from runscaler.untrusted import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.backends.base import Observation
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.missed_ends import MissedEnds
    from runscaler.clock import Clock
    from runscaler.names import OwnerId, ScaleSetKey

SILENCE_SECONDS = 10.0
PING_SECONDS = 10.0
"""After so much silence the engine is pinged, and reported if that is not answered in so many seconds."""
REPEATED_EVENTS = 256
"""How many events the engine keeps, and may send again when the stream is resumed."""
NANOSECONDS = 1_000_000_000
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
MEANINGS = {"die": "die", "oom": "oom", "destroy": "destroy", "died": "die", "remove": "destroy"}
"""The events to follow, and what they mean: the last two are Podman's."""
HIGHEST_EXIT_CODE = 2**32 - 1
SIGNALS = range(129, 193)
"""Exit codes that stand for a signal: 128 + its number."""


@dataclass(frozen=True, slots=True)
class SidecarLost:
    """Observed: a sidecar died before its runner. The list may show it as running for a moment yet."""

    container: str


class Watch:
    """One thread that follows the engine's events until it is stopped."""

    def __init__(
        self,
        engine: Engine,
        owner: OwnerId,
        clock: Clock,
        since: float,
        report: Callable[[Observation | SidecarLost], None],
        missed: MissedEnds,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._clock = clock
        self._report = report
        self._missed = missed
        self._silence_seconds = silence_seconds
        self._ping_seconds = ping_seconds
        self._since = int(since * NANOSECONDS)
        self._handled: deque[Mapping[str, object]] = deque(maxlen=REPEATED_EVENTS)
        self._pause = 0.0
        self._stop = Interrupt()
        self._endings = Endings(owner)
        self._nonsense_at: float | None = None
        self._thread = start_thread(
            self._run, f"events {engine.url}", lambda error: report(WatchCrashed(error))
        )

    def stop(self) -> None:
        self._stop.set()
        if current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._await_engine()
            self._report(BackendAvailable())
            while True:
                broke = self._follow_until_it_ends()
                was_down = self._await_engine()
                if broke or was_down:
                    self._missed.forget()
                    self._report(BackendAvailable())
                elif self._missed.is_due():
                    self._report_missed()
        except Interrupted:
            return

    def _report_missed(self) -> None:
        try:
            ends = self._missed.ends()
        except BackendError as error:
            logger.debug("the runners cannot be listed in place of events: {}", error)
            return
        for end in ends:
            self._report(end)

    def _await_engine(self) -> bool:
        """Return when the engine answers, and whether it was down. That is reported once."""
        pause, was_down = FIRST_PAUSE, False
        while True:
            try:
                self._ping()
            except BackendError as error:
                if not was_down:
                    self._report(BackendUnavailable(str(error), error.fixes))
                was_down = True
                # The next engine may have another API version.
                self._engine.disconnect()
                self._wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                return was_down

    def _wait(self, seconds: float) -> None:
        self._clock.pause(seconds + self._clock.jitter(seconds), self._stop)

    def _ping(self) -> None:
        with self._engine.call("watch containers", self._stop, seconds=self._ping_seconds) as api:
            api.ping()

    def _follow_until_it_ends(self) -> bool:
        """Did the stream break? False if it was only silent.

        docker-py ends the stream without an error if the engine refuses it, so an end counts as broken.
        """
        began = self._clock.monotonic()
        try:
            if self._follow():
                return False
        except BackendError as error:
            if is_read_timeout(error):
                return False
            logger.debug("the event stream of {} broke: {}", self._engine.url, error)
        lasted = self._clock.monotonic() - began > LONGEST_PAUSE
        self._pause = FIRST_PAUSE if lasted else min(max(FIRST_PAUSE, self._pause * 2), LONGEST_PAUSE)
        self._wait(self._pause)
        return True

    def _follow(self) -> bool:
        """Left because it is time to list? Else the stream has ended."""
        filters = {"type": ["container"], "event": [*MEANINGS], "label": own_filter(self._owner)}
        silence = min(self._silence_seconds, self._missed.silence)
        with self._engine.call("follow events", self._stop, seconds=silence) as api:
            for event in api.events(since=engine_time(self._since), filters=filters, decode=True):
                self._handle(event)
                if self._missed.is_due():
                    return True
        return False

    def _handle(self, event: object) -> None:
        try:
            fields = answers.table(event, "an event")
            if fields in self._handled:
                return
            at = answers.nanoseconds(fields.get("timeNano"))
            if at is None:
                raise answers.Nonsense(f"the time of an event is {answers.shown(fields.get('timeNano'))}")
            self._handled.append(fields)
            ended = self._endings.observe(fields, at / NANOSECONDS)
        except answers.Nonsense as error:
            self._skip(error)
            return
        # From now on by the engine's clock, which may differ from ours.
        self._since = at
        if ended is not None:
            self._report(ended)

    def _skip(self, nonsense: answers.Nonsense) -> None:
        """An event that cannot be read may have been an end: the receiver takes an inventory."""
        if self._nonsense_at is None:
            logger.warning("the engine {} answers nonsense, which is skipped: {}", self._engine.url, nonsense)
        now = self._clock.monotonic()
        if self._nonsense_at is None or now - self._nonsense_at >= self._silence_seconds:
            self._nonsense_at = now
            self._report(BackendAvailable())


def engine_time(nanoseconds: int) -> str:
    """A time as the engine takes it, finer than seconds."""
    return "{}.{:09d}".format(*divmod(nanoseconds, NANOSECONDS))


class Endings:
    """What a sequence of events says about ended containers. "oom" comes before the "die" of the same one."""

    def __init__(self, owner: OwnerId) -> None:
        self._owner = owner
        self._out_of_memory: set[str] = set()
        self._ended: set[str] = set()
        self._ended_runners: set[str] = set()

    def observe(self, event: Mapping[str, object], at: float) -> ResourceEnded | SidecarLost | None:
        """Raises `answers.Nonsense`."""
        actor = answers.table(event.get("Actor"), "the actor of an event")
        container = answers.identifier(actor.get("ID"), "the id in an event")
        attributes = answers.table(actor.get("Attributes") or {}, "the labels in an event")
        if attributes.get(OWNER) != self._owner:
            return None  # Podman takes one of the labels asked for as enough
        meaning, runner = MEANINGS.get(str(event.get("Action"))), str(attributes.get(RUNNER_NAME, ""))
        if HELPER in attributes:
            lost = meaning == "die" and attributes[HELPER] == SIDECAR_HELPER
            return SidecarLost(container) if lost and runner not in self._ended_runners else None
        match meaning:
            case "oom":
                self._out_of_memory.add(container)
            case "die":
                self._ended.add(container)
                self._ended_runners.add(runner)
                code = str(attributes.get("exitCode", attributes.get("containerExitCode", "")))[:20]
                return ResourceEnded(container, self._ending(container, code, at), key_of(attributes))
            case "destroy":
                self._ended_runners.discard(runner)
                return self._destroyed(container, key_of(attributes))
        return None

    def _ending(self, container: str, code: str, at: float) -> Ending:
        out_of_memory = container in self._out_of_memory
        self._out_of_memory.discard(container)
        return ending_of(whole_number(code, HIGHEST_EXIT_CODE), out_of_memory, at)

    def _destroyed(self, container: str, key: ScaleSetKey | None) -> ResourceEnded | None:
        """Observed only if there was no "die": it was removed before it ran, or that event was missed."""
        if container in self._ended:
            self._ended.discard(container)
            return None
        return ResourceEnded(container, None, key)


def ending_of(exit_code: int | None, out_of_memory: bool, at: float) -> Ending:
    """An ending as the engine states it. An exit code above 128 stands for a signal."""
    signal = exit_code - 128 if exit_code is not None and exit_code in SIGNALS else None
    return Ending(exit_code, signal, out_of_memory, at)
