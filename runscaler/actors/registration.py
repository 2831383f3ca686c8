"""The scale set's registration at GitHub: found or created, and kept as configured (docs/protocol.md § 4.3).

A part of the listener, used on its thread only. The scale set is looked up by the id that it had before, and
only then by name, because somebody may have renamed it or moved it to another runner group (fault F59).

GitHub may refuse to change a scale set, or answer that it did and keep the labels from its creation (faults
F92, F93). That is logged once, and the scale set is used as it is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors.place import place_of
from runscaler.errors import GitHubError, Refused
from runscaler.findings import with_fixes
from runscaler.github.base import ScaleSetChange, ScaleSetId
from runscaler.github.clock_skew import CLOCK_FIXES, clock_words
from runscaler.github.fields import escaped
from runscaler.github.renames import moved_fix, moved_words

if TYPE_CHECKING:
    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService
    from runscaler.github.messages import RunnerScaleSet
    from runscaler.interrupt import Interrupt

CHECK_SECONDS = 600.0
"""How often the scale set is checked for changes that somebody made by hand."""
RETRY_SECONDS = 60.0
"""The next check after GitHub could not be asked for a change."""
SAME_CHANGES = 2
"""How often GitHub is asked to change a scale set that looks the same each time: perhaps it says yes, and
changes nothing."""
SHOWN_CHARACTERS = 80
"""How much of a value from GitHub a log line shows."""
_NEW_SET = ("delete the scale set at GitHub: a new one is created as configured", "choose another name")
"""What helps where a scale set cannot be changed."""


class Registration:
    def __init__(
        self, settings: ScaleSetSettings, service: ScaleSetService, interrupt: Interrupt, clock: Clock
    ) -> None:
        self._settings, self._service = settings, service
        self._interrupt, self._clock = interrupt, clock
        self._known: RunnerScaleSet | None = None
        """The scale set as GitHub last returned it."""
        self._deleted: ScaleSetId | None = None
        """An id that GitHub no longer knows: it is not looked up again."""
        self._created: int | None = None
        """The id of the scale set that was created here: its labels were not given by somebody else."""
        self._group = 0
        self._check_at = 0.0
        self._asked: Counter[RunnerScaleSet] = Counter()
        """How often GitHub was asked to change a scale set that looked like this; without statistics."""
        self._clock_is_wrong = False
        self._moved_to = ""
        """The new config URL that was warned of."""
        self._warned: set[str] = set()
        """The kinds of warnings that were logged since the scale set was last as configured."""
        self._log = logger.bind(**place_of(settings))

    @property
    def id(self) -> ScaleSetId | None:
        """The scale set's id at GitHub; None until it was found."""
        return None if self._known is None else ScaleSetId(self._known.id)

    @property
    def created_id(self) -> ScaleSetId | None:
        """The id of the scale set that was created here; None until one was."""
        return None if self._created is None else ScaleSetId(self._created)

    def find(self, saved_id: ScaleSetId | None) -> RunnerScaleSet:
        """Find the scale set, or create it if there is none. `saved_id` is its id from an earlier process.

        A scale set that exists is not changed: another listener may be using it.
        """
        self._group = self._service.group_id(self._settings.runner_group, self._interrupt)
        return self._remember(self._find_by_id(saved_id) or self._find_by_name() or self._create())

    def apply_settings(self) -> None:
        """Change the scale set to what is configured.

        To be called only while its session is ours. Raises no `GitHubError`: the session must be polled,
        whatever becomes of the change.
        """
        assert self._known is not None, "find() comes first"
        self._check_clock()
        self._asked.clear()
        self._change(self._known)

    def use(self, settings: ScaleSetSettings, service: ScaleSetService) -> None:
        """The configuration was reloaded: a check is due."""
        self._settings, self._service = settings, service
        self._asked.clear()
        self._warned.clear()
        self._check_at = 0.0

    def is_check_due(self) -> bool:
        return self._known is not None and self._clock.monotonic() >= self._check_at

    def check(self) -> None:
        """Undo changes that somebody made by hand. Raises no `GitHubError`: polling must go on.

        A scale set that was deleted is left to the poll, which fails then.
        """
        known, self._check_at = self._known, self._clock.monotonic() + CHECK_SECONDS
        if known is None:
            return
        self._check_clock()
        try:
            found = self._service.scale_set(ScaleSetId(known.id), self._interrupt, retry_for=0.0)
        except GitHubError as error:
            self._log.debug("the scale set could not be checked for changes: {}", error)
            return
        if found is not None:
            self._change(found)

    def _check_clock(self) -> None:
        """Warn of this host's clock when it is found to be wrong (fault F96)."""
        words = clock_words(self._service.clock_skew())
        if words and not self._clock_is_wrong:
            text = f"{words}: GitHub may refuse the runners of this host"
            self._log.warning("{}", with_fixes(text, CLOCK_FIXES))
        self._clock_is_wrong = bool(words)

    def warn_of_rename(self) -> None:
        """Say once that the organisation or repository has another name now. Makes no call."""
        moved = self._service.moved_to()
        if moved and moved != self._moved_to:
            self._log.warning("{}", with_fixes(moved_words(self._settings.url, moved), (moved_fix(moved),)))
        self._moved_to = moved

    # -- finding it ---------------------------------------------------------------------------------

    def _remember(self, scale_set: RunnerScaleSet) -> RunnerScaleSet:
        self._known, self._check_at = scale_set, self._clock.monotonic() + CHECK_SECONDS
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
            created = self._service.create_scale_set(
                settings.name, self._group, settings.labels, self._interrupt
            )
        except Refused:  # perhaps because somebody has just created it
            found = self._find_by_name()
            if found is None:
                raise
            return found
        self._created = created.id
        return created

    # -- changing it --------------------------------------------------------------------------------

    def _change(self, found: RunnerScaleSet) -> None:
        """Make the scale set that GitHub just returned as configured, unless that was tried in vain."""
        change = self._needed(found)
        if not change:
            self._asked.clear()
            self._warned.clear()
            self._remember(found)
            return
        seen = replace(found, statistics=None)
        if self._asked[seen] >= SAME_CHANGES:
            if not self._warned:
                self._warn_of_kept(found)
            return
        self._announce(found)
        self._asked[seen] += 1
        try:
            changed = self._service.update_scale_set(
                ScaleSetId(found.id), change, self._interrupt, retry_for=0.0
            )
        except GitHubError as error:
            self._not_changed(found, seen, error)
            return
        self._remember(changed)
        if self._needed(changed):
            self._asked[replace(changed, statistics=None)] = SAME_CHANGES
            self._warn_of_kept(changed)

    def _needed(self, found: RunnerScaleSet) -> ScaleSetChange:
        """What of it is not as configured. What GitHub does not tell counts as configured."""
        settings = self._settings
        labels_differ = found.labels is not None and _lower(found.labels) != _lower(settings.labels)
        return ScaleSetChange(
            name=settings.name if found.name and found.name.lower() != settings.name.lower() else None,
            runner_group_id=None if found.runner_group_id in (0, self._group) else self._group,
            labels=settings.labels if labels_differ else None,
            updates_disabled=True if found.updates_disabled is False else None,
        )

    def _announce(self, found: RunnerScaleSet) -> None:
        assert self._known is not None
        if replace(found, statistics=None) == replace(self._known, statistics=None):
            level = "DEBUG" if self._warned else "INFO"
            self._log.log(level, "updating the scale set: {}", self._differences(found))
        else:
            differences = self._differences(found)
            self._log.warning("somebody changed the scale set ({}): changing it back", differences)

    def _not_changed(self, found: RunnerScaleSet, seen: RunnerScaleSet, error: GitHubError) -> None:
        self._remember(found)
        again = ""
        if error.retryable:
            self._asked[seen] = 0
            self._check_at = self._clock.monotonic() + RETRY_SECONDS
            again = f", trying again in {RETRY_SECONDS:.0f} s"
        else:
            self._asked[seen] = SAME_CHANGES
        text = f"the scale set is used as it is{again} ({self._differences(found)}): {error}"
        self._warn_once(f"{type(error).__name__} {error.status}", text, (*error.fixes, *_NEW_SET))

    def _warn_of_kept(self, kept: RunnerScaleSet) -> None:
        kind = f"kept {self._needed(kept)}"
        text = f"the scale set is used as it is, because GitHub did not change it: {self._differences(kept)}"
        if self._needed(kept).labels is None:
            self._warn_once(kind, text, _NEW_SET)
        elif kept.id == self._created:
            text += "; GitHub dropped labels from a new scale set: this server may take one label only"
            self._warn_once(kind, text, ("leave out the labels that it drops",))
        else:
            self._warn_once(kind, f"{text}; labels are fixed when a scale set is created", _NEW_SET)

    def _warn_once(self, kind: str, text: str, fixes: tuple[str, ...]) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            self._log.warning("{}", with_fixes(text, fixes))

    def _differences(self, found: RunnerScaleSet) -> str:
        """What of it is not as configured, for people."""
        needed = self._needed(found)
        differences = []
        if needed.name is not None:
            differences.append(f"name {_shown(found.name)} instead of {needed.name!r}")
        if needed.runner_group_id is not None:
            group = found.runner_group_name or str(found.runner_group_id)
            differences.append(f"runner group {_shown(group)} instead of {needed.runner_group_id}")
        if needed.labels is not None:
            labels = ", ".join(found.labels or ()) or "none"
            differences.append(f"labels {_shown(labels)} instead of {', '.join(needed.labels)!r}")
        if needed.updates_disabled is not None:
            differences.append("runners update themselves")
        return "; ".join(differences)


def _lower(labels: tuple[str, ...]) -> set[str]:
    return {label.lower() for label in labels}


def _shown(text: str) -> str:
    return repr(escaped(text, SHOWN_CHARACTERS))
