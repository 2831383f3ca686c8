"""The scale set's registration at GitHub: found, made, kept as configured (docs/protocol.md § 4.3).

A part of the listener, used on its thread only. It is looked for by the id that it had before it is
looked for by name: somebody may have renamed it or moved it to another group (fault F59).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.errors import GitHubError, Refused
from runscaler.github.base import ScaleSetId
from runscaler.github.fields import escaped

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService
    from runscaler.github.messages import RunnerScaleSet
    from runscaler.interrupt import Interrupt

CHECK_SECONDS = 600.0
"""Between two looks at whether somebody changed it by hand."""
SHOWN = 80


class Registration:
    """`id` is the scale set's at GitHub once it is known."""

    def __init__(
        self, settings: ScaleSetSettings, service: ScaleSetService, interrupt: Interrupt, clock: Clock
    ) -> None:
        self._settings, self._service = settings, service
        self._interrupt, self._clock = interrupt, clock
        self._agreed: RunnerScaleSet | None = None
        self._gone: ScaleSetId | None = None
        self._group = 0
        self._check_at = 0.0
        self._log = logger.bind(scale_set=settings.name)

    @property
    def id(self) -> ScaleSetId | None:
        return None if self._agreed is None else ScaleSetId(self._agreed.id)

    def found(self, kept: ScaleSetId | None) -> RunnerScaleSet:
        """Always look first, never two of one name. `kept` is the id from before a crash.

        Nothing that is there is changed: it may be another listener's.
        """
        self._group = self._service.group_id(self._settings.runner_group, self._interrupt)
        found = self._known(kept) or self._named(self._group) or self._created(self._group)
        return self._agree(found)

    def brought_in_line(self) -> RunnerScaleSet:
        """As it is configured; to be called once its session is ours."""
        assert self._agreed is not None, "it is found first"
        wanted = _wanted(self._agreed, self._settings, self._group)
        changes = _differences(self._agreed, wanted)
        if not changes:
            return self._agreed
        self._log.info("bringing the scale set in line: {}", changes)
        return self._agree(self._updated(self._agreed, self._group))

    def is_due(self) -> bool:
        return self._agreed is not None and self._clock.monotonic() >= self._check_at

    def check(self) -> None:
        """Put right what somebody changed since. Trouble is no reason not to poll; one that is gone is
        for the poll to notice."""
        agreed, self._check_at = self._agreed, self._clock.monotonic() + CHECK_SECONDS
        if agreed is None:
            return
        try:
            found = self._service.scale_set(ScaleSetId(agreed.id), self._interrupt, retry_for=0.0)
            if found is not None and (changes := _differences(found, agreed)):
                self._log.warning("somebody changed the scale set ({}): putting it back", changes)
                self._agree(self._updated(found, agreed.runner_group_id))
        except GitHubError as error:
            self._log.debug("whether the scale set is as it was cannot be told: {}", error)

    def _agree(self, scale_set: RunnerScaleSet) -> RunnerScaleSet:
        """What GitHub made of our wishes: it may drop labels without a word (fault F61)."""
        self._agreed, self._check_at = scale_set, self._clock.monotonic() + CHECK_SECONDS
        return scale_set

    def _known(self, kept: ScaleSetId | None) -> RunnerScaleSet | None:
        """What GitHub once called gone is asked for by name only."""
        known = self.id or kept
        if known is None or known == self._gone:
            return None
        found = self._service.scale_set(known, self._interrupt)
        self._gone = known if found is None else None
        if found is not None and found.name.lower() != self._settings.name.lower():
            return self._named(self._group) or found  # somebody may have made another of the name
        return found

    def _named(self, group: int) -> RunnerScaleSet | None:
        return self._service.find_scale_set(self._settings.name, group, self._interrupt)

    def _created(self, group: int) -> RunnerScaleSet:
        name = self._settings.name
        try:
            return self._service.create_scale_set(name, group, self._settings.labels, self._interrupt)
        except Refused:
            found = self._named(group)
            if found is None:
                raise
            return found

    def _updated(self, found: RunnerScaleSet, group: int) -> RunnerScaleSet:
        settings = self._settings
        return self._service.update_scale_set(
            ScaleSetId(found.id), settings.name, group, settings.labels, self._interrupt
        )


def _wanted(found: RunnerScaleSet, settings: ScaleSetSettings, group: int) -> RunnerScaleSet:
    return replace(found, name=settings.name, runner_group_id=group, labels=settings.labels)


def _differences(found: RunnerScaleSet, wanted: RunnerScaleSet) -> str:
    """In words, old and new; empty where they are alike. What GitHub leaves out differs in nothing."""
    told = []
    if found.name and found.name.lower() != wanted.name.lower():
        told.append(f"name {escaped(found.name, SHOWN)!r} instead of {wanted.name!r}")
    if found.runner_group_id not in (0, wanted.runner_group_id):
        group = found.runner_group_name or str(found.runner_group_id)
        told.append(f"runner group {escaped(group, SHOWN)!r} instead of {wanted.runner_group_id}")
    if _lowered(found.labels) != _lowered(wanted.labels):
        there = ", ".join(found.labels) or "none"
        told.append(f"labels {escaped(there, SHOWN)!r} instead of {', '.join(wanted.labels)!r}")
    return "; ".join(told)


def _lowered(labels: tuple[str, ...]) -> set[str]:
    return {label.lower() for label in labels}
