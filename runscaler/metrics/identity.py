"""How metrics call a scale set: by its name, made unambiguous where two share it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.metrics.options import Scope
    from runscaler.names import ScaleSetKey
    from runscaler.status import ScaleSetStatus


def identities(
    scale_sets: Mapping[ScaleSetKey, ScaleSetStatus], scope_of: Callable[[str], Scope]
) -> dict[ScaleSetKey, str]:
    """`name`; `name@scope` for those of one name; with `/group`, and at last the host, if still equal."""
    scopes = {key: scope_of(one.url) for key, one in scale_sets.items()}

    def forms(key: ScaleSetKey) -> tuple[str, ...]:
        one, scope = scale_sets[key], scopes[key]
        place = f"{scope.name}/{one.runner_group}"
        return (
            one.name,
            f"{one.name}@{scope.name}",
            f"{one.name}@{place}",
            f"{one.name}@{scope.host}/{place}",
        )

    texts = {key: forms(key) for key in scale_sets}
    found: dict[ScaleSetKey, str] = {}
    for step in range(4):
        left = [key for key in texts if key not in found]
        common = Counter(texts[key][step] for key in left)
        found.update({key: texts[key][step] for key in left if common[texts[key][step]] == 1 or step == 3})
    return found
