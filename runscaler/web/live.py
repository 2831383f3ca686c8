"""What happens now, for the dashboard: the streams of `/api/v1/events`, and the memory behind them.

One thread looks at the board a few times a second while anybody watches, encodes once what has changed, and
sends it to all. It looks at what the actors have published anyway, so nobody waits for it.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.model import HostSettings
from runscaler.threads import keep_running
from runscaler.web.changes import changes, same_sets
from runscaler.web.health import health
from runscaler.web.history import COLUMNS, STEP_SECONDS, History
from runscaler.web.host_gauge import host_gauge
from runscaler.web.recent_events import FOR_NEWCOMERS, RecentEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runscaler.clock import Clock
    from runscaler.events import Event
    from runscaler.status import Status
    from runscaler.web.health import Json
    from runscaler.web.open_replies import OpenReply
    from runscaler.web.recent_events import Numbered

    KeepOpen = Callable[[Callable[[OpenReply], None]], OpenReply]

MAX_STREAMS = 16
ROUND_SECONDS = 0.25
"""How late a stream may be."""


class Live:
    """`status` reads the latest snapshot, `limits` what is in force of `[host]`; `folder` is on the file
    system whose space is told.

    `hear` is for the thread that delivers events, `admit` for those of the server; `turn` is called by our
    own thread, and by tests.
    """

    def __init__(
        self,
        status: Callable[[], Status],
        clock: Clock,
        folder: Path | None = None,
        limits: Callable[[], HostSettings] = HostSettings,
    ) -> None:
        self._status, self._clock, self._limits = status, clock, limits
        self._folder = folder or Path("/")
        self._recent = RecentEvents(f"{int(clock.wall() * 1000):x}")
        self._history = History()
        self._streams: dict[OpenReply, bool] = {}
        """True for those that have begun."""
        self._shown: Status | None = None
        self._told = 0
        self._next_step = clock.monotonic() + STEP_SECONDS
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    # -- what happens ----------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        self._recent.add(event)
        self._history.add(event)

    def snapshot(self) -> Json:
        """The body of `/api/v1/status`."""
        status, now = self._status(), self._clock.wall()
        return {
            **health(status, now),
            "run": self._recent.run,
            "now": round(now, 3),
            "host": host_gauge(self._folder, self._limits()),
            "history": {
                "step_seconds": STEP_SECONDS,
                "columns": list(COLUMNS),
                "rows": list(self._history.rows()),
            },
        }

    # -- streams ---------------------------------------------------------------------------------------

    def admit(self, keep_open: KeepOpen, last_id: str) -> bool:
        """Add the stream of a request; False if there are too many.

        It begins with the events after `last_id`, or the latest ones if that is not known.
        """
        with self._lock:
            self._forget_closed()
            if len(self._streams) >= MAX_STREAMS:
                return False
            self._streams[keep_open(lambda reply: self._begin(reply, last_id))] = False
        return True

    def _begin(self, reply: OpenReply, last_id: str) -> None:
        with self._lock:
            self._tell_all()
            place = self._recent.place_of(last_id)
            number = max(0, self._told - FOR_NEWCOMERS) if place is None else place
            missed = [one for one in self._recent.since(number) if one.number <= self._told]
            hello: Json = {"run": self._recent.run, "resumed": place is not None}
            reply.send(_message("hello", hello) + self._events(missed))
            self._streams[reply] = True
        self._wake.set()

    def _forget_closed(self) -> None:
        self._streams = {reply: begun for reply, begun in self._streams.items() if reply.is_open}

    # -- the thread ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread = keep_running(self._run, "live")

    def close(self) -> None:
        """End the thread. The server closes the streams with the rest of its connections."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            self.turn()
            left = self._next_step - self._clock.monotonic()
            self._wake.wait(min(left, ROUND_SECONDS) if self._streams else left)

    def turn(self) -> None:
        """One look at the board."""
        with self._lock:
            self._forget_closed()
            self._tell_all()
            if self._clock.monotonic() >= self._next_step:
                self._next_step = self._clock.monotonic() + STEP_SECONDS
                self._send(self._step())

    def _tell_all(self) -> None:
        """Bring every stream up to the board and the latest event."""
        if not any(self._streams.values()):
            self._shown, self._told = self._status(), self._recent.last
            return
        events = self._recent.since(self._told)
        if events:
            self._told = events[-1].number
        self._send(self._events(events) + self._changes())

    def _changes(self) -> bytes:
        before, after = self._shown, self._status()
        self._shown = after
        if before is None or before is after:
            return b""
        if not same_sets(before, after):
            return _message("scale_sets", {})
        return _message("changes", changes(before, after, self._clock.wall()))

    def _step(self) -> bytes:
        """Also a sign of life, as a comment for proxies and a message for the page."""
        row = self._history.step(self._status(), self._clock.wall())
        if not self._streams:
            return b""
        host = host_gauge(self._folder, self._limits())
        return b": alive\n" + _message("step", {"row": list(row), "host": host})

    def _send(self, data: bytes) -> None:
        if data:
            for reply, begun in self._streams.items():
                if begun:
                    reply.send(data)

    def _events(self, events: Sequence[Numbered]) -> bytes:
        """Those that happened, each with an id: they have no name of their own as messages."""
        return b"".join(
            _message("", {**event.fields(), "at": event.at}, self._recent.id_of(number))
            for number, event in events
        )


def _message(name: str, body: Json, id_: str = "") -> bytes:
    """One server-sent event. JSON has no line breaks, so that one `data` line holds it."""
    lines = [f"id: {id_}"] * bool(id_) + [f"event: {name}"] * bool(name)
    return "\n".join([*lines, f"data: {json.dumps(body, separators=(',', ':'))}", "", ""]).encode()
