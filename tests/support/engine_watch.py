"""An independent witness at the engine: which containers there were, and how many at once."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from support.daemon import wait_until
from support.engine import connect

if TYPE_CHECKING:
    from pathlib import Path

    from docker.types import CancellableStream

PREFIX = "io.runscaler"


@dataclass
class EngineWatch:
    """Follows the engine's event stream for the containers of one state directory; a context."""

    url: str
    state_dir: Path
    alive: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    """The most containers that a scale set ever had at once, from create to destroy."""
    runners: list[str] = field(default_factory=list)
    """The runner of each container that was made."""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            api = undo.enter_context(connect(self.url))
            labels = [f"{PREFIX}.state-dir={self.state_dir}"]
            filters = {"type": ["container"], "event": ["create", "destroy"], "label": labels}
            self._stream: CancellableStream = api.events(decode=True, filters=filters)
            self._thread = threading.Thread(target=self._follow, name="engine-watch", daemon=True)
            self._thread.start()
            undo.callback(self._end)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def settle(self) -> None:
        """Returns when it has seen all containers go."""
        wait_until(lambda: not any(self.alive.values()), "the end of all containers")

    def _end(self) -> None:
        self._stream.close()
        self._thread.join()

    def _follow(self) -> None:
        for event in self._stream:
            self._see(event)

    def _see(self, event: dict[str, Any]) -> None:
        marks = event["Actor"]["Attributes"]
        name = marks[f"{PREFIX}.scale-set"]
        if event["Action"] == "create":
            self.runners.append(marks[f"{PREFIX}.runner"])
            self.alive[name] += 1
            self.most[name] = max(self.most[name], self.alive[name])
        else:
            self.alive[name] -= 1
