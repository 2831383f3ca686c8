"""The scale set's registration at GitHub: found or created, and kept as configured (docs/protocol.md § 4.3).

A part of the listener, used on its thread only. The scale set is looked up by the id that it had before, and
only then by name, because somebody may have renamed it or moved it to another runner group (fault F59).
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
"""How often the scale set is checked for changes that somebody made by hand."""
SHOWN_CHARACTERS = 80
"""How much of a value from GitHub a log line shows."""


class Registration:
    def __init__(
        self, settings: ScaleSetSettings, service: ScaleSetService, interrupt: Interrupt, clock: Clock
    ) -> None:
        self._settings, self._service = settings, service
        self._interrupt, self._clock = interrupt, clock
        self._accepted: RunnerScaleSet | None = None
        """The scale set as GitHub last returned it; it may drop labels without saying so (fault F61)."""
        self._deleted: ScaleSetId | None = None
        """An id that GitHub no longer knows: it is not looked up again."""
        self._group = 0
        self._check_at = 0.0
        self._log = logger.bind(scale_set=settings.name)

    @property
    def id(self) -> ScaleSetId | None:
        """The scale set's id at GitHub; None until it was found."""
        return None if self._accepted is None else ScaleSetId(self._accepted.id)

    def find(self, saved_id: ScaleSetId | None) -> RunnerScaleSet:
        """Find the scale set, or create it if there is none. `saved_id` is its id from an earlier process.

        A scale set that exists is not changed: another listener may be using it.
        """
        self._group = self._service.group_id(self._settings.runner_group, self._interrupt)
        return self._accept(self._find_by_id(saved_id) or self._find_by_name() or self._create())

    def apply_settings(self) -> RunnerScaleSet:
        """Change the scale set to what is configured. To be called only while its session is ours."""
        assert self._accepted is not None, "find() comes first"
        settings = self._settings
        wanted = replace(
            self._accepted, name=settings.name, runner_group_id=self._group, labels=settings.labels
        )
        changes = _differences(self._accepted, wanted)
        if not changes:
            return self._accepted
        self._log.info("updating the scale set: {}", changes)
        return self._accept(self._update(self._accepted, self._group))

    def is_check_due(self) -> bool:
        return self._accepted is not None and self._clock.monotonic() >= self._check_at

    def check(self) -> None:
        """Undo changes that somebody made by hand. Raises no `GitHubError`: polling must go on.

        A scale set that was deleted is left to the poll, which fails then.
        """
        accepted, self._check_at = self._accepted, self._clock.monotonic() + CHECK_SECONDS
        if accepted is None:
            return
        try:
            found = self._service.scale_set(ScaleSetId(accepted.id), self._interrupt, retry_for=0.0)
            if found is not None and (changes := _differences(found, accepted)):
                self._log.warning("somebody changed the scale set ({}): changing it back", changes)
                self._accept(self._update(found, accepted.runner_group_id))
        except GitHubError as error:
            self._log.debug("the scale set could not be checked for changes: {}", error)

    def _accept(self, scale_set: RunnerScaleSet) -> RunnerScaleSet:
        self._accepted, self._check_at = scale_set, self._clock.monotonic() + CHECK_SECONDS
        return scale_set

    def _find_by_id(self, saved_id: ScaleSetId | None) -> RunnerScaleSet | None:
        known = self.id or saved_id
        if known is None or known == self._deleted:
            return None
        found = self._service.scale_set(known, self._interrupt)
        self._deleted = known if found is None else None
        if found is not None and found.name.lower() != self._settings.name.lower():
            return self._find_by_name() or found  # it was renamed, and another may have been created since
        return found

    def _find_by_name(self) -> RunnerScaleSet | None:
        return self._service.find_scale_set(self._settings.name, self._group, self._interrupt)

    def _create(self) -> RunnerScaleSet:
        settings = self._settings
        try:
            return self._service.create_scale_set(
                settings.name, self._group, settings.labels, self._interrupt
            )
        except Refused:  # perhaps because somebody has just created it
            found = self._find_by_name()
            if found is None:
                raise
            return found

    def _update(self, found: RunnerScaleSet, group: int) -> RunnerScaleSet:
        settings = self._settings
        return self._service.update_scale_set(
            ScaleSetId(found.id), settings.name, group, settings.labels, self._interrupt
        )


def _differences(found: RunnerScaleSet, wanted: RunnerScaleSet) -> str:
    """What of `found` is not as wanted, for people; empty if nothing is. A field that GitHub leaves out
    counts as equal."""
    differences = []
    if found.name and found.name.lower() != wanted.name.lower():
        differences.append(f"name {escaped(found.name, SHOWN_CHARACTERS)!r} instead of {wanted.name!r}")
    if found.runner_group_id not in (0, wanted.runner_group_id):
        group = found.runner_group_name or str(found.runner_group_id)
        differences.append(
            f"runner group {escaped(group, SHOWN_CHARACTERS)!r} instead of {wanted.runner_group_id}"
        )
    if _lower(found.labels) != _lower(wanted.labels):
        labels = ", ".join(found.labels) or "none"
        wanted_labels = ", ".join(wanted.labels)
        differences.append(f"labels {escaped(labels, SHOWN_CHARACTERS)!r} instead of {wanted_labels!r}")
    return "; ".join(differences)


def _lower(labels: tuple[str, ...]) -> set[str]:
    return {label.lower() for label in labels}
