"""The settings in force, and what follows when a reload changes them (docs/behaviour.md § 4.5).

Runners are made with the earlier settings until the backend has what the new ones need, such as the image:
a new image that cannot be had keeps no job waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.actors.messages import ScaleSetChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.actors.scale_set.child_actors import ChildActors
    from runscaler.actors.scale_set.context import ScaleSetContext
    from runscaler.actors.scale_set.reconciliation import Reconciliation
    from runscaler.actors.scale_set.slots import SlotBook
    from runscaler.config.changes import SetChange
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService


class SettingsInForce:
    """`revision` is the one of the configured settings; that of the runners that are started now is in the
    slot book. `connect` makes the client for calls to GitHub."""

    def __init__(
        self,
        context: ScaleSetContext,
        book: SlotBook,
        child_actors: ChildActors,
        reconciliation: Reconciliation,
        connect: Callable[[ScaleSetSettings], ScaleSetService],
        tell_keeper: Callable[[object], None],
    ) -> None:
        self._context, self._book = context, book
        self._child_actors, self._reconciliation = child_actors, reconciliation
        self._connect, self._tell_keeper = connect, tell_keeper
        self.revision = 0

    def change(self, change: SetChange) -> None:
        """Busy runners are not touched."""
        self._context.settings = change.settings
        if change.reshapes_runners:
            self.revision += 1
        if change.reconnects:
            self._child_actors.service = self._connect(change.settings)
            self._child_actors.update_runners()
        if change.reconnects or change.relabels:
            self._child_actors.update_listener()
        self._tell_keeper(ScaleSetChanged(self._context.key, change.settings, self.revision))

    def prepared(self, revision: int) -> None:
        """The backend can make runners of this revision. Idle runners of earlier ones are replaced."""
        if revision != self.revision or self._book.revision == revision:
            return
        self._context.runner_settings = self._context.settings
        self._child_actors.update_runners()
        self._book.revision = revision
        self._reconciliation.replace_outdated()
