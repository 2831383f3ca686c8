"""Which token a scale set uses, and the other secrets of its keys (docs/behaviour.md § 4.3)."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from runscaler.config.problems import Given, Problems, Where
from runscaler.config.schema import key_spec_of
from runscaler.config.secrets import Secret, Unresolved, is_reference, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runscaler.config.layers import Layer

VARIABLE = "RUNNER_TOKEN"
OLD_VARIABLE = "RUNSCALER_TOKEN"
_TOKEN = ("token",)
_BACKEND_TABLES = frozenset({"docker", "swarm", "orchard"})


class Credentials:
    """Resolves what one run of `load_config` needs; `folder` is the configuration's own."""

    def __init__(
        self, environ: Mapping[str, str], folder: Path, problems: Problems, *, is_multi: bool
    ) -> None:
        self._environ = environ
        self._folder = folder
        self._problems = problems
        self._is_multi = is_multi
        self._kept: list[str] = []
        self._served: list[str] = []

    def resolve_all(self, layer: Layer, place: Where, name: str) -> Layer:
        """The layer with every secret that will be used in clear, as `Secret`; the rest dropped."""
        backend = _text(layer.get(("backend",))) or "docker"
        used = {path: given for path, given in layer.items() if _is_used(path, backend)}
        token = used.pop(_TOKEN, None)
        if token is not None and not _text(token) and isinstance(token.value, str):
            token = None
        used = self._choose(used, token, place, name)
        return {path: self._resolved(path, given, name) for path, given in used.items()}

    def finish(self) -> None:
        """In multi mode says once, for all sets, whom the variable serves."""
        if self._kept:
            kept = ", ".join(self._kept)
            served = f"serves {', '.join(self._served)}" if self._served else "is not used"
            text = f"{VARIABLE} {served}: own tokens are kept by {kept}"
            self._problems.warn(Where(""), text)

    def _choose(self, layer: Layer, token: Given | None, place: Where, name: str) -> Layer:
        has_app = any(path[0] == "app" for path in layer)
        if token is not None and token.where.is_flag:
            self._single(token)
            return {**_without_app(layer, self._problems), _TOKEN: token}
        if has_app:
            self._only_app(token, name)
            return layer
        chosen = self._own_first(token, name) if self._is_multi else self._single(token)
        if chosen is None:
            self._missing(place, name)
            return layer
        return {**layer, _TOKEN: chosen}

    def _single(self, own: Given | None) -> Given | None:
        """--token, else RUNNER_TOKEN, else the configuration's, else RUNSCALER_TOKEN."""
        variable = self._variable(VARIABLE)
        if own is not None and own.where.is_flag:
            self._disagree(own, variable)
            return own
        if variable is not None:
            self._disagree(variable, own)
            return variable
        return own or self._old_variable()

    def _own_first(self, own: Given | None, name: str) -> Given | None:
        variable = self._variable(VARIABLE)
        if own is None:
            if variable is not None:
                self._served.append(name)
            return variable or self._old_variable()
        if variable is not None and self._differ(own, variable):
            self._kept.append(name)
        return own

    def _variable(self, name: str) -> Given | None:
        value = self._environ.get(name, "").strip()
        return Given(value, Where(name)) if value else None

    def _old_variable(self) -> Given | None:
        given = self._variable(OLD_VARIABLE)
        if given is not None:
            text = f"this name is old and will be dropped: call it {VARIABLE}"
            self._problems.warn(given.where, text)
        return given

    def _disagree(self, used: Given, other: Given | None) -> None:
        if other is not None and self._differ(used, other):
            self._problems.warn(Where(""), f"the token of {used.where} is used, not that of {other.where}")

    def _differ(self, one: Given, other: Given) -> bool:
        try:
            return self._clear(_text(one)) != self._clear(_text(other))
        except Unresolved:
            return False

    def _only_app(self, token: Given | None, name: str) -> None:
        if token is not None:
            text = "token beside [app]: give one of them"
            self._problems.error(token.where, text, scale_set=name)
        elif not self._is_multi and self._variable(VARIABLE) is not None:
            self._problems.warn(Where(""), f"the GitHub App of [app] is used, not {VARIABLE}")

    def _missing(self, place: Where, name: str) -> None:
        fixes = [f"set the variable {VARIABLE}", 'write token = "env:NAME" or "file:PATH"']
        if not self._is_multi:
            fixes.append("give --token")
        whose = f"the scale set {name} has no token" if name else "there is no token"
        self._problems.error(place, f"{whose}, and {VARIABLE} is not set", fixes=fixes, scale_set=name)

    def _resolved(self, path: tuple[str, ...], given: Given, name: str) -> Given:
        leaf = key_spec_of(path)
        if leaf is None or not leaf.key.indirect or not isinstance(given.value, str):
            return given
        try:
            text = self._clear(given.value)
        except Unresolved as error:
            label = leaf.label if path in (_TOKEN, leaf.path) else ".".join(path)
            self._problems.error(given.where, f"{label} = {error}", scale_set=name)
            text = "unresolved"
        if path == _TOKEN and not (text.isascii() and _unbroken(text)):
            problem = "the token holds blanks, line breaks or signs that no token has"
            self._problems.error(given.where, problem, scale_set=name)
        return Given(Secret(text) if leaf.key.secret else text, given.where)

    def _clear(self, text: str) -> str:
        return resolve(text, self._environ, self._folder)


def warn_of_readers(layers: Iterable[Layer], mode: int, problems: Problems) -> None:
    """A file with a secret in it is nobody else's business."""
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return
    for layer in layers:
        for path, given in layer.items():
            leaf, value = key_spec_of(path), _text(given)
            if leaf is not None and leaf.key.secret and value and not is_reference(value):
                file = given.where.source
                text = f"the {path[-1]} stands here in clear, and other users may read this file"
                fixes = [f"chmod 600 {file}", f'write {path[-1]} = "env:NAME" or "file:PATH"']
                problems.warn(given.where, text, fixes=fixes)
                return


def _text(given: Given | None) -> str:
    return given.value if given is not None and isinstance(given.value, str) else ""


def _unbroken(text: str) -> bool:
    return text.isprintable() and not any(sign.isspace() for sign in text)


def _is_used(path: tuple[str, ...], backend: str) -> bool:
    """A secret of a backend that the set does not use is left alone, whatever it refers to."""
    leaf = key_spec_of(path)
    indirect = leaf is not None and leaf.key.indirect
    return not (indirect and path[0] in _BACKEND_TABLES and path[0] != backend)


def _without_app(layer: Layer, problems: Problems) -> Layer:
    if any(path[0] == "app" for path in layer):
        problems.warn(Where(""), "--token is used, not the GitHub App of [app]")
    return {path: given for path, given in layer.items() if path[0] != "app"}
