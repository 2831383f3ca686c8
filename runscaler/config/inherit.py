"""Which value counts: a higher layer over a lower one, key by key (docs/behaviour.md § 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.keys import Scope
from runscaler.config.schema import global_keys, key_spec_of

if TYPE_CHECKING:
    from runscaler.config.layers import Layer

_SOCKET, _HOST, _HOSTS = (("docker", name) for name in ("socket", "host", "hosts"))
_REPLACES = {_SOCKET: (_HOST, _HOSTS), _HOST: (_HOSTS,), _HOSTS: (_HOST,)}
"""Ways of naming the engine: one that is given higher up ends those given below it."""


def override(below: Layer, above: Layer) -> Layer:
    """Every key of `above`, and those of `below` that it does not give."""
    replaced = {rival for path, rivals in _REPLACES.items() if path in above for rival in rivals}
    return {path: given for path, given in below.items() if path not in replaced} | above


def inherit(top: Layer, own: Layer) -> Layer:
    """A scale set's layer in multi mode: its own keys, and from the top all but the identity."""
    shared = {path: given for path, given in set_part(top).items() if not _is_identity(path)}
    return override(shared, own)


def set_part(top: Layer) -> Layer:
    """What of the top level is about scale sets."""
    return {path: given for path, given in top.items() if path not in global_keys()}


def global_part(top: Layer) -> Layer:
    """What of the top level is the process's own."""
    return {path: given for path, given in top.items() if path in global_keys()}


def _is_identity(path: tuple[str, ...]) -> bool:
    leaf = key_spec_of(path)
    return leaf is not None and leaf.key.scope is Scope.IDENTITY
