"""The configuration reference, made from the model: `python -m runscaler.config.reference FILE`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import PydanticUndefined

from runscaler.config.features import remark
from runscaler.config.keys import Scope
from runscaler.config.schema import Kind, Leaf, global_keys, scale_set_keys
from runscaler.config.secrets import Secret
from runscaler.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HEAD = """\
# Configuration

Made by `python -m runscaler.config.reference docs/configuration.md`; change the model, not this page.

A key stands in `config.toml`, some also as a flag of `runner run`. A flag comes before the file, the
file before the default; for tokens see below. Without `--config` the first of `./config.toml`,
`~/.config/runner/config.toml`, `/etc/runner/config.toml` and `/etc/runscaler/config.toml` (the Go tool's
place, with a warning) is read. `runner validate` shows every problem of a file in one run.

The page has the keys of later versions too, so that a file may be planned: **Not in this version** is
refused, **No effect in this version** is taken and does nothing.

Durations are texts such as "90s", "10m" or "6h30m", or whole seconds. Secrets may be written
`env:NAME` (a variable) or `file:PATH` (a file; a relative path starts beside the configuration).

## One scale set or several

With one, its keys stand at the top of the file. With several, each has a `[[scaleset]]`, and the top
holds their defaults: a set takes every key that it does not give itself, also inside tables, one by
one. `url`, `name`, `token`, `[app]`, `labels` and `min-runners` are never inherited. Absent and zero are
different things: `memory = 0` in a set undoes the top's. In a set `max-runners = 0` and an empty
`socket`, `runner-group`, `runner-image` or `backend` mean absent.

## Which token is used

With one scale set: `--token`, else the variable `RUNNER_TOKEN`, else `token` in the file. With several:
a set's own, else `RUNNER_TOKEN`; so no organisation's token is ever sent to another's. When two sources
disagree, a line says which is used. `RUNSCALER_TOKEN` is the variable's old name.
"""
_TABLES = {
    "": "Keys of a scale set",
    "app": "[app]",
    "docker": "[docker]",
    "process": "[process]",
    "tart": "[tart]",
    "swarm": "[swarm]",
    "orchard": "[orchard]",
}


def reference() -> str:
    """The page as Markdown."""
    leaves = scale_set_keys().values()
    sections = [_section(title, _of(leaves, table)) for table, title in _TABLES.items()]
    sections.append(_section("Keys of the process (only at the top)", _of(global_keys().values(), "")))
    sections += [_section(f"[{table}]", _of(global_keys().values(), table)) for table in ("host", "metrics")]
    return "\n".join([_HEAD, *sections])


def _of(leaves: Iterable[Leaf], table: str) -> list[Leaf]:
    return [leaf for leaf in leaves if (leaf.path[0] if len(leaf.path) > 1 else "") == table]


def _section(title: str, leaves: list[Leaf]) -> str:
    tables = {leaf.path[:1] for leaf in leaves if len(leaf.path) > 1}
    whole = "".join(remark(table) for table in tables)
    rows = [_row(leaf, leaf.path[-1], "" if whole else remark(leaf.path)) for leaf in leaves]
    lines = [
        f"## {title}",
        "",
        *([f"{whole}.", ""] if whole else []),
        "| key | default | meaning | accepted | flag |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += rows
    for leaf in leaves:
        if leaf.entry is not None:
            lines += ["", f"Each entry of `{leaf.path[-1]}`:", "", *_entry_table(leaf.entry)]
    return "\n".join(lines) + "\n"


def _entry_table(keys: Mapping[str, Leaf]) -> list[str]:
    head = ["| key | default | meaning | accepted |", "| --- | --- | --- | --- |"]
    return head + [_row(leaf, name).rpartition(" |  |")[0] + " |" for name, leaf in keys.items()]


def _row(leaf: Leaf, name: str, remark: str = "") -> str:
    key = leaf.key
    lacks = f". **{remark}**" if remark else ""
    flag = f"`--{key.flag}`" if key.flag else ""
    never = " (never inherited)" if key.scope is Scope.IDENTITY else ""
    return (
        f"| `{name}` | {_default(leaf)} | {_cell(key.help)}{never}{lacks} | {_cell(key.accepts)} | {flag} |"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _default(leaf: Leaf) -> str:
    value = leaf.default
    if leaf.key.default:
        return _cell(leaf.key.default)
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, Secret):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if leaf.kind is Kind.DURATION and isinstance(value, float):
        return f'`"{format_duration(value)}"`' if value else "`0`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, int | float):
        return f"`{value:g}`"
    return f"`[{', '.join(str(item) for item in value)}]`" if isinstance(value, tuple) else "none"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), "utf-8")
