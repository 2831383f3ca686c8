"""The secrets in a configuration that may have errors, so that they can be masked wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runscaler.config.proxy_url import passwords_in, passwords_in_environment
from runscaler.config.schema import KeySpec, global_keys, scale_set_keys
from runscaler.config.secrets import Unresolved, resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

TOKEN_VARIABLES = ("RUNNER_TOKEN", "GITHUB_TOKEN", "GH_TOKEN")
OPEN_TABLES = ("env",)
"""Tables in which any value may be a secret."""


def written_secrets(data: Mapping[str, object], environ: Mapping[str, str], folder: Path) -> set[str]:
    """What the secret keys of a file in `folder` hold or refer to, and the tokens in `environ`."""
    specs = (*global_keys().values(), *scale_set_keys().values())
    found = {environ.get(name, "") for name in TOKEN_VARIABLES}
    found |= {secret.reveal() for secret in passwords_in_environment(environ)}
    for text in _texts(data, set(_names(specs)), within=False):
        try:
            resolved = resolve(text, environ, folder)
            found |= {resolved, *passwords_in(resolved)}
        except Unresolved:
            continue
    return found - {""}


def _names(specs: Iterable[KeySpec]) -> Iterator[str]:
    for spec in specs:
        if spec.key.secret:
            yield spec.path[-1]
        yield from _names((spec.entry or {}).values())


def _texts(value: object, names: set[str], *, within: bool) -> Iterator[str]:
    if isinstance(value, str) and within:
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(each, names, within=within or name in names or name in OPEN_TABLES)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, names, within=within)
