"""The backends and their keepers, one keeper each; a part of the root actor.

A backend is opened with the first scale set that needs it. Once a reload has left none on it, its keeper
tidies up and ends, and the backend is closed; a scale set that comes back meanwhile waits for that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.actors import messages as m
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.tart_slots import TartSlotActor
from runscaler.backends.base import PlacedBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runscaler.actors.children import Children
    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Backend
    from runscaler.config.model import ScaleSetSettings

_PREFIX = "keeper "


class Keepers:
    """To be used on root's thread only. `launch` starts a child of root by name; `parent` is root's ref."""

    def __init__(
        self,
        context: ActorContext,
        children: Children,
        launch: Callable[[str, Callable[[], m.Ref]], None],
        parent: m.Ref,
    ) -> None:
        self._context, self._children, self._launch, self._parent = context, children, launch, parent
        self._backends: dict[str, Backend] = {}
        """By backend id."""
        self._served: set[str] = set()
        """Backends of which a scale set that has left had a session with GitHub."""
        self._closing: set[str] = set()

    def backend_ids(self) -> tuple[str, ...]:
        return tuple(self._backends)

    def name_for(self, settings: ScaleSetSettings) -> str:
        """The name of the keeper that is responsible for such a scale set."""
        return _name(self._context.backend_id_of(settings))

    def backend_id(self, name: str) -> str | None:
        """The id of that keeper's backend; None for another actor's name."""
        found = name.removeprefix(_PREFIX)
        return found if name.startswith(_PREFIX) and found in self._backends else None

    def backend_for(self, settings: ScaleSetSettings) -> Backend:
        return self._backends[self._context.backend_id_of(settings)]

    def ref_for(self, settings: ScaleSetSettings) -> m.Ref | None:
        """None while it is down."""
        return self._children.ref(self.name_for(settings))

    def has_vm_slots(self, name: str) -> bool:
        backend_id = self.backend_id(name)
        return backend_id is not None and isinstance(self._backends[backend_id], PlacedBackend)

    def open_for(self, settings: ScaleSetSettings) -> bool:
        """Open the backend and start its keeper, unless they are there; False while they are being closed."""
        backend_id = self._context.backend_id_of(settings)
        if backend_id not in self._backends:
            backend = self._backends[backend_id] = self._context.open_backend(settings)
            self._launch(_name(backend_id), partial(self._make, backend_id, backend))
        return backend_id not in self._closing

    def _make(self, backend_id: str, backend: Backend) -> m.Ref:
        name = _name(backend_id)
        if not isinstance(backend, PlacedBackend):
            return self._context.launch(KeeperActor, name, self._parent, self._context, backend)
        id_of = self._context.backend_id_of
        sets = tuple(one for one in self._context.config.scale_sets if id_of(one) == backend_id)
        return self._context.launch(TartSlotActor, name, self._parent, self._context, backend, sets)

    def note_served(self) -> None:
        """Remember which backends have served; before scale sets leave, whose status then goes."""
        self._served |= set(self._serving())

    def _serving(self) -> Iterator[str]:
        """Those of which a scale set has had a session with GitHub: of the others the start has failed."""
        polled = {one.key for one in self._context.board.read().scale_sets if one.last_poll is not None}
        for settings in self._context.config.scale_sets:
            if settings.key in polled:
                yield self._context.backend_id_of(settings)

    def close_unused(self, needed_by: Iterable[ScaleSetSettings]) -> list[str]:
        """Stop the keepers that none of these scale sets needs. Returns those that are down, and so have
        ended."""
        needed = {self._context.backend_id_of(one) for one in needed_by}
        unused = self._backends.keys() - needed - self._closing
        self._closing |= unused
        names = map(_name, sorted(unused))
        return [name for name in names if not self._children.tell(name, self.stop_order(name))]

    def stop_order(self, name: str) -> m.StopKeeper:
        backend_id = name.removeprefix(_PREFIX)
        keep = self._context.config.on_exit == "keep"
        has_served = backend_id in self._served.union(self._serving())
        return m.StopKeeper(keep and backend_id not in self._closing, tidy_up=has_served and not keep)

    def is_closing(self, name: str) -> bool:
        """Was this keeper told to end, while the program goes on?"""
        return self.backend_id(name) in self._closing

    def closed(self, name: str) -> None:
        """This keeper was closed for good, and has ended."""
        backend_id = name.removeprefix(_PREFIX)
        self._closing.discard(backend_id)
        self._served.discard(backend_id)
        _close(self._backends.pop(backend_id))

    def close_all(self) -> None:
        for backend in self._backends.values():
            _close(backend)


def _name(backend_id: str) -> str:
    return f"{_PREFIX}{backend_id}"


def _close(backend: Backend) -> None:
    try:
        backend.close()
    except Exception as error:
        logger.warning("{} could not be closed: {}", backend.name, error)
