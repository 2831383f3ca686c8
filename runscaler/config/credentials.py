"""Chooses the token of each scale set and resolves secrets (docs/behaviour.md § 4.3)."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from runscaler.config.private_keys import UnusableKey, as_reference, usable_key
from runscaler.config.problems import ConfigValue, Origin, Problems
from runscaler.config.schema import concerns_backend, is_open_table, key_spec_of
from runscaler.config.secret_variables import DEPRECATED_VARIABLE, VARIABLE, hide_from_children
from runscaler.config.secrets import (
    OutsideSystemd,
    Secret,
    Unresolved,
    Unset,
    file_of,
    is_reference,
    resolve,
    variable_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from runscaler.config.layers import Layer
    from runscaler.config.schema import KeySpec

_TOKEN = ("token",)
_PRIVATE_KEY = ("app", "private-key")
_PROXY = ("proxy",)
_BY_SYSTEMD = (
    "start it by systemd, with LoadCredential=NAME:PATH in the unit",
    "check the rest with runner validate --offline",
)
_EXPORT = ("export it; sudo and service managers do not pass it on", "use file:PATH")


class Credentials:
    """Credentials for one call of `load_config`. Relative paths start in `folder`, the configuration's.

    With `unset_is_error=False` an unset variable of `env:NAME` is only a warning, and the secret unusable.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        folder: Path,
        problems: Problems,
        *,
        is_multi: bool,
        unset_is_error: bool = True,
    ) -> None:
        self._environ = environ
        self._folder = folder
        self._problems = problems
        self._is_multi = is_multi
        self._unset_is_error = unset_is_error
        self._with_own_token: list[str] = []
        self._with_variable: list[str] = []

    def resolve_all(self, layer: Layer, start: Origin, name: str) -> Layer:
        """The layer with all used secrets resolved, as `Secret`; unused ones are removed."""
        backend = _text(layer.get(("backend",))) or "docker"
        used = {path: given for path, given in layer.items() if _is_used(path, backend)}
        token = used.pop(_TOKEN, None)
        if token is not None and not _text(token) and isinstance(token.value, str):
            token = None
        used = self._choose(used, token, start, name)
        return {path: self._resolved(path, given, name) for path, given in used.items()}

    def finish(self) -> None:
        """With several scale sets, warn once about all of them that do not use the variable."""
        if self._with_own_token:
            own = ", ".join(self._with_own_token)
            used = f"is used for {', '.join(self._with_variable)}" if self._with_variable else "is not used"
            text = f"{VARIABLE} {used}; scale sets with their own token: {own}"
            self._problems.warn(Origin(""), text)

    def _choose(self, layer: Layer, token: ConfigValue | None, start: Origin, name: str) -> Layer:
        has_app = any(path[0] == "app" for path in layer)
        if token is not None and token.origin.is_flag:
            self._for_single(token)
            return {**_without_app(layer, self._problems), _TOKEN: token}
        if has_app:
            self._only_app(token, name)
            return layer
        chosen = self._for_one_of_several(token, name) if self._is_multi else self._for_single(token)
        if chosen is None:
            self._missing(start, name)
            return layer
        return {**layer, _TOKEN: chosen}

    def _for_single(self, own: ConfigValue | None) -> ConfigValue | None:
        """--token, else RUNNER_TOKEN, else the token in the configuration, else RUNSCALER_TOKEN."""
        variable = self._variable(VARIABLE)
        if own is not None and own.origin.is_flag:
            self._warn_of_process_list(own)
            self._warn_if_different(own, variable)
            return own
        if variable is not None:
            self._warn_if_different(variable, own)
            return variable
        return own or self._deprecated_variable()

    def _for_one_of_several(self, own: ConfigValue | None, name: str) -> ConfigValue | None:
        """The scale set's own token, else RUNNER_TOKEN, else RUNSCALER_TOKEN."""
        variable = self._variable(VARIABLE)
        if own is None:
            if variable is not None:
                self._with_variable.append(name)
            return variable or self._deprecated_variable()
        if variable is not None and self._is_different(own, variable):
            self._with_own_token.append(name)
        return own

    def _variable(self, name: str) -> ConfigValue | None:
        value = self._environ.get(name, "").strip()
        return ConfigValue(value, Origin(name)) if value else None

    def _deprecated_variable(self) -> ConfigValue | None:
        given = self._variable(DEPRECATED_VARIABLE)
        if given is not None:
            text = f"this variable is deprecated: use {VARIABLE}"
            self._problems.warn(given.origin, text)
        return given

    def _warn_if_different(self, used: ConfigValue, other: ConfigValue | None) -> None:
        if other is not None and self._is_different(used, other):
            self._problems.warn(Origin(""), f"using the token of {used.origin}, not that of {other.origin}")

    def _warn_of_process_list(self, token: ConfigValue) -> None:
        if not is_reference(_text(token)):
            text = "every user of this host can read the token in the list of processes"
            fixes = [f"use the variable {VARIABLE}, --token env:NAME or --token file:PATH"]
            self._problems.warn(token.origin, text, fixes=fixes)

    def _is_different(self, one: ConfigValue, other: ConfigValue) -> bool:
        try:
            return self._resolve(_text(one)) != self._resolve(_text(other))
        except Unresolved:
            return False

    def _only_app(self, token: ConfigValue | None, name: str) -> None:
        if token is not None:
            text = "both token and [app] are set: use only one of them"
            self._problems.error(token.origin, text, scale_set=name)
        elif not self._is_multi and self._variable(VARIABLE) is not None:
            self._problems.warn(Origin(""), f"using the GitHub App of [app], not {VARIABLE}")

    def _missing(self, start: Origin, name: str) -> None:
        fixes = [f"set the variable {VARIABLE}", 'set token = "env:NAME" or "file:PATH"']
        if not self._is_multi:
            fixes.append("use --token")
        subject = f"the scale set {name} has no token" if name else "there is no token"
        state = "empty" if VARIABLE in self._environ else "not set"
        self._problems.error(start, f"{subject}, and {VARIABLE} is {state}", fixes=fixes, scale_set=name)

    def _resolved(self, path: tuple[str, ...], given: ConfigValue, name: str) -> ConfigValue:
        spec = key_spec_of(path)
        if spec is None or not spec.key.indirect or not isinstance(given.value, str):
            return given
        written, variable, file = given.value, variable_of(given.value), None
        try:
            written = as_reference(written) if path == _PRIVATE_KEY else written
            text = self._resolve(written)
            file = file_of(written, self._environ, self._folder)
            text = usable_key(text, written) if path == _PRIVATE_KEY else text
        except Unresolved as error:
            label = spec.label if path in (_TOKEN, spec.path) else ".".join(path)
            self._report_unresolved(given.origin, label, error, name)
            text = "" if path == _PROXY else "unresolved"  # the first is a valid proxy
        if is_open_table(spec):
            text = text if is_reference(written) else written  # its white space may matter
        elif variable:
            hide_from_children(variable)
        if path == _TOKEN:
            self._check_token(text, given.origin, name)
        return ConfigValue(Secret(text, file, variable) if spec.key.secret else text, given.origin)

    def _report_unresolved(self, origin: Origin, label: str, error: Unresolved, name: str) -> None:
        if isinstance(error, UnusableKey):
            self._problems.error(origin, f"{label}: {error}", scale_set=name)
        elif isinstance(error, Unset) and not self._unset_is_error:
            there = ["set it where the daemon runs"]
            self._problems.warn(origin, f"{label} = {error}", fixes=there, scale_set=name)
        else:
            fixes = _EXPORT if isinstance(error, Unset) else ()
            fixes = _BY_SYSTEMD if isinstance(error, OutsideSystemd) else fixes
            self._problems.error(origin, f"{label} = {error}", fixes=fixes, scale_set=name)

    def _check_token(self, text: str, origin: Origin, name: str) -> None:
        if not (text.isascii() and _is_one_word(text)):
            problem = "the token contains spaces, line breaks or other characters that no token has"
            self._problems.error(origin, problem, scale_set=name)

    def _resolve(self, text: str) -> str:
        return resolve(text, self._environ, self._folder)


def warn_if_readable_by_others(layers: Iterable[Layer], mode: int, problems: Problems) -> None:
    """Warn if other users can read a file that contains a secret; `mode` is the file's."""
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return
    for layer in layers:
        for path, given in layer.items():
            spec, value = key_spec_of(path), _text(given)
            is_path = path == _PRIVATE_KEY and "-----" not in value
            if spec is not None and spec.key.secret and not is_path and _holds_secret(spec, value):
                file = given.origin.source
                what = path[-1] if path == spec.path else f"{path[-1]} of [{'.'.join(path[:-1])}]"
                text = f"the {what} is written here in plain text, and other users can read this file"
                fixes = [f"chmod 600 {file}", f'set {path[-1]} = "env:NAME" or "file:PATH"']
                problems.warn(given.origin, text, fixes=fixes)
                return


def _holds_secret(spec: KeySpec, value: str) -> bool:
    """Is it written out here? The URL of a proxy that asks for no password is none."""
    return bool(value) and not is_reference(value) and (spec.path != _PROXY or "@" in value)


def _text(given: ConfigValue | None) -> str:
    return given.value if given is not None and isinstance(given.value, str) else ""


def _is_one_word(text: str) -> bool:
    return text.isprintable() and not any(sign.isspace() for sign in text)


def _is_used(path: tuple[str, ...], backend: str) -> bool:
    """Whether a key matters. Secrets of other backends do not: what they refer to may not exist."""
    spec = key_spec_of(path)
    return spec is None or not spec.key.indirect or concerns_backend(path, backend)


def _without_app(layer: Layer, problems: Problems) -> Layer:
    if any(path[0] == "app" for path in layer):
        problems.warn(Origin(""), "using --token, not the GitHub App of [app]")
    return {path: given for path, given in layer.items() if path[0] != "app"}
