"""The flags of `run` and `validate`: click options made from the configuration's own table of keys.

Light to import: the table is read when such a command is parsed or its help is shown.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.config.flags import Flag
    from runscaler.config.model import Config

SECTIONS = {"": "Scale set", "docker": "Docker", "tart": "Tart", "global": "Daemon"}


class ConfigCommand(click.Command):
    """A command that takes every flag of the configuration beside its own options."""

    @cached_property
    def flag_options(self) -> list[FlagOption]:
        from runscaler.config.flags import flags

        return [FlagOption(flag) for flag in flags()]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return [*own[:-1], *self.flag_options, *own[-1:]]  # help stays the last

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        refusals = {option.refusal: f"--{option.flag.name}=false" for option in self.flag_options}
        return super().parse_args(ctx, [refusals.get(word, word) if word else word for word in args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options first, then a section for what each flag is about."""
        own = [parameter for parameter in self.get_params(ctx) if not isinstance(parameter, FlagOption)]
        sections = {"Options": [record for one in own if (record := one.get_help_record(ctx))]}
        for option in self.flag_options:
            if record := option.get_help_record(ctx):
                sections.setdefault(SECTIONS.get(option.about, option.about.capitalize()), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class FlagOption(click.Option):
    """One key as a flag. Texts go to the configuration as they are: it knows what each may be."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.about = "global" if flag.scope == "global" else flag.path[0] if len(flag.path) > 1 else ""
        self.refusal = f"--no-{flag.name}" if flag.is_switch else ""
        super().__init__([f"--{flag.name}"], help=_help(flag), metavar=_metavar(flag), **_manner(flag))
        if self.refusal:
            self.secondary_opts = [self.refusal]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.refusal:
            return record
        values = "" if self.flag.kind == "switch" else f"[={'|'.join(self.flag.choices)}]"
        return f"{self.opts[0]}{values}, {self.refusal}", record[1]


def configured(ctx: click.Context, given: Mapping[str, object]) -> Config:
    """The configuration of this command line; `ConfigError` holds every problem with it.

    `given` are the command's parameters, of which those that are flags count.
    """
    from runscaler.config.load import load_config

    command = ctx.command
    assert isinstance(command, ConfigCommand)
    path = given.get("config") or ctx.find_root().params.get("config")
    names = {option.name for option in command.flag_options}
    flags = {name: value for name, value in given.items() if name in names and value is not None}
    return load_config(str(path) if path else None, flags=flags)


def _manner(flag: Flag) -> dict[str, Any]:  # click's own keywords
    if flag.is_switch:
        choices = flag.choices or ("true", "false")
        return {"is_flag": False, "flag_value": "true", "type": click.Choice(choices)}
    if flag.choices:
        return {"type": click.Choice(flag.choices)}
    return {"multiple": True, "default": None} if flag.is_list else {"type": str}


def _metavar(flag: Flag) -> str | None:
    if flag.choices or flag.is_switch:
        return None
    if flag.kind in {"whole number", "number"}:
        return "N"
    return "TIME" if flag.kind == "duration" else flag.name.rpartition("-")[2].upper()


def _help(flag: Flag) -> str:
    from runscaler.units import format_duration

    default = flag.default
    if isinstance(default, float) and flag.kind == "duration":
        default = format_duration(default)
    if default is True:
        default = "true"
    shown = isinstance(default, str | int) and default not in {"", 0}
    return f"{flag.help}." + (f"  [default: {default}]" if shown else "")
