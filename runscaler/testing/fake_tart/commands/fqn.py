"""`fqn`: a cached image's name with its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.images import Image, cache_root
from runscaler.testing.fake_tart.output import say, vm_missing

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call


def run(call: Call) -> None:
    image = Image(call.name)
    digest = image.digest(cache_root(call.home))
    if "/" not in call.name or not digest:
        raise vm_missing(call.name)
    say(f"{image.repository}@{digest}")
