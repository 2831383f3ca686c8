"""JSON as Swift's Foundation writes it: `"key" : value`, `/` escaped, keys in any order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.knobs import SeededRandom


def swift_json(value: object, random: SeededRandom) -> str:
    if isinstance(value, list):
        inner = ",\n".join(swift_json(one, random) for one in value)
        return f"[\n{inner}\n]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda _: random.unit())
        return "{\n" + ",\n".join(f'  "{key}" : {swift_json(value[key], random)}' for key in keys) + "\n}"
    return json.dumps(value, ensure_ascii=False).replace("/", "\\/")
