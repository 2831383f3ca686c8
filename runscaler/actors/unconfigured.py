"""Scale sets that this daemon made or ran, and that are not configured any more (docs/behaviour.md § 6.5).

Somebody changed the name, the group or the url in the configuration, or took the scale set out. Its runners
are found by the keepers' lists, the scale set itself by the record of what this daemon created.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from runscaler.actors.context import ActorContext
    from runscaler.config.model import ScaleSetSettings
    from runscaler.names import ScaleSetKey

WHY = (
    "no credential is known for it, so that GitHub cannot be asked. "
    "Configure it once more, or remove its runners by hand"
)


MOST_AT_ONCE = 100


class UnconfiguredScaleSets:
    """Decides which of them are retired, and with which settings.

    The key on a resource is only a label. A token is sent to no host that is not configured, and where the
    label names another url than any configured one, it needs the record of this daemon as a second source.

    `served` are the scale sets that have an actor, configured or not; `backends` the ids of all backends, of
    which each will list its runners.
    """

    def __init__(
        self,
        context: ActorContext,
        served: Collection[ScaleSetKey],
        backends: Iterable[str],
    ) -> None:
        self._context, self._served = context, served
        self._awaited = set(backends)
        self._left_alone: set[ScaleSetKey] = set()
        self._too_many_told = False

    @property
    def all_listed(self) -> bool:
        """Has every backend listed its runners?"""
        return not self._awaited

    def listed(self, backend_id: str, keys: Iterable[ScaleSetKey]) -> Iterator[ScaleSetSettings]:
        """A backend has listed runners of these scale sets: those to retire now.

        Once all backends have listed theirs, recorded scale sets without runners are retired, too.
        """
        for key, count in self._bounded(Counter(keys)).items():
            runners = f"{count} runner{'s' * (count > 1)}"
            yield from self._to_retire(key, backend_id, runners)
        if backend_id in self._awaited:
            self._awaited.discard(backend_id)
            if not self._awaited:
                for key in self._context.state_store.created_scale_sets():
                    yield from self._to_retire(key, None, "no runner")

    def _bounded(self, counts: Counter[ScaleSetKey]) -> dict[ScaleSetKey, int]:
        """Whoever reaches an engine can label containers with any number of keys: no more of them than
        `MOST_AT_ONCE` are looked at, or remembered; the others have their turn when these have ended."""
        configured = len(self._context.config.scale_sets)
        room = MOST_AT_ONCE - (len(self._served) - configured) - len(self._left_alone)
        new = [key for key in counts if key not in self._served and key not in self._left_alone]
        if len(new) > room and not self._too_many_told:
            self._too_many_told = True
            logger.warning(
                "there are runners here of more than {} scale sets that are not configured: "
                "somebody else may have labelled them",
                MOST_AT_ONCE,
            )
        return {key: counts[key] for key in new[: max(0, room)]}

    def _to_retire(
        self, key: ScaleSetKey, backend_id: str | None, runners: str
    ) -> Iterator[ScaleSetSettings]:
        if key in self._served:
            return
        template = self._template(key, backend_id)
        log = logger.bind(scale_set=key.name, url=key.url, runner_group=key.group)
        if template is not None:
            text = "scale set {} is not configured any more, but has {} here: it ends once its jobs have"
            log.warning(text, key, runners)
            yield template.model_copy(
                update={
                    "url": key.url,
                    "name": key.name,
                    "runner_group": key.group,
                    "labels": (key.name,),
                    "min_runners": 0,
                    "schedule": (),
                }
            )
        elif key not in self._left_alone:
            self._left_alone.add(key)
            log.warning("scale set {} is not configured, but has {} here, left alone: {}", key, runners, WHY)

    def _template(self, key: ScaleSetKey, backend_id: str | None) -> ScaleSetSettings | None:
        """A configured scale set whose backend and credential serve this one as well."""
        id_of = self._context.backend_id_of
        on_backend = [
            one for one in self._context.config.scale_sets if backend_id is None or id_of(one) == backend_id
        ]
        same_url = [one for one in on_backend if one.key.url == key.url]
        if same_url:
            return same_url[0]
        if self._context.state_store.created_scale_set(key) is None:
            return None
        return next((one for one in on_backend if _host(one.key) == _host(key)), None)


def _host(key: ScaleSetKey) -> str:
    """Scheme, host and port."""
    parts = urlsplit(key.url)
    return f"{parts.scheme}://{parts.netloc}"
