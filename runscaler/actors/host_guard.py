"""The part of the host actor that looks at the host: is it too short of something for another runner?

`policy.host_guard` judges what is measured. Measuring may block, and so runs on a worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors.host_metrics import publish_disks, publish_guards
from runscaler.actors.messages import HostLookOverdue, HostMeasured, LookAtHost
from runscaler.policy.host_guard import Measurement, shortages

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.context import ActorContext
    from runscaler.actors.messages import HostMessage
    from runscaler.config.model import HostSettings
    from runscaler.policy.host_guard import Shortage

LOOK_SECONDS = 5.0
OVERDUE_SECONDS = 30.0
"""A measurement that takes longer tells nothing: a disk that hangs must not pause starts for ever."""
NOT_LOOKED = "this host is being looked at for the first time"


class HostGuard:
    """Used on the host actor's thread only, whose `after` and `tell` it is given.

    `closed` says why no runner may start; empty where one may. `look_at` is the next look (monotonic).
    """

    def __init__(
        self,
        context: ActorContext,
        after: Callable[[float, HostMessage], None],
        tell: Callable[[object], None],
    ) -> None:
        self._limits, self._clock = context.config.host, context.clock
        self._metrics = context.metrics
        self._measure, self._after = context.measure_host, after
        self._worker = context.make_worker_pool("host measure", 1, tell)
        self._short: tuple[Shortage, ...] = ()
        self._looks = 0
        self._awaited: int | None = None
        """The number of the look whose result is to come."""
        self._has_looked = False
        self._looks_regularly = False
        self.look_at = self._clock.monotonic()

    @property
    def closed(self) -> str:
        if not self._limits.is_guarded:
            return ""
        return "; ".join(one.words for one in self._short) if self._has_looked else NOT_LOOKED

    def started(self) -> None:
        """The first look waits a little, or for the first claim: by then all backends are open."""
        publish_guards(self._metrics, self._limits, self._short)
        if self._limits.is_guarded and not self._looks_regularly:
            self._looks_regularly = True
            self._after(LOOK_SECONDS, LookAtHost())

    def apply(self, limits: HostSettings) -> None:
        """Other limits: what was measured for the old ones may lack what these ask for."""
        self._limits, self._awaited = limits, None
        if not limits.is_guarded:
            self._short, self._has_looked = (), False
            publish_guards(self._metrics, limits, ())
            return
        self.started()
        self._look()

    def claimed(self) -> None:
        if self._looks == 0:
            self._look()

    def due(self) -> None:
        if not self._limits.is_guarded:
            self._looks_regularly = False
            return
        self.look_at = self._clock.monotonic() + LOOK_SECONDS
        self._after(LOOK_SECONDS, LookAtHost())
        self._look()

    def _look(self) -> None:
        """One at a time: it may hang."""
        if not self._limits.is_guarded or self._awaited is not None:
            return
        self._looks += 1
        number = self._awaited = self._looks
        self._after(OVERDUE_SECONDS, HostLookOverdue(number))
        self._worker.submit(
            self._measure,
            done=lambda measured: HostMeasured(number, measured),
            failed=lambda _: HostMeasured(number, Measurement()),
        )

    def measured(self, result: HostMeasured) -> None:
        if result.look == self._awaited:
            self._awaited = None
            self._judge(result.measured)

    def overdue(self, look: int) -> None:
        if look == self._awaited:
            logger.warning(
                "this host cannot be measured for {:.0f} s: a disk may hang. Starts go on unguarded",
                OVERDUE_SECONDS,
            )
            self._has_looked, self._short = True, ()

    def close(self) -> None:
        self._worker.close()

    def _judge(self, measured: Measurement) -> None:
        before = {one.what for one in self._short}
        self._has_looked = True
        self._short = shortages(self._limits, measured, before)
        publish_disks(self._metrics, measured)
        publish_guards(self._metrics, self._limits, self._short)
        if any(one.what not in before for one in self._short):
            logger.warning("no runner starts: {}; looking every {:.0f} s", self.closed, LOOK_SECONDS)
        elif before and not self._short:
            logger.info("runners start again: this host has enough of what was short")
