"""Command line options: the flags of `run` and `validate`, generated from the configuration keys.

The keys are imported only when such a command is parsed or shows its help.
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


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https URL with a host and, if it has a port, a valid one."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class ConfigCommand(click.Command):
    """A command with all configuration flags in addition to its own options."""

    @cached_property
    def flag_options(self) -> list[FlagOption]:
        from runscaler.config.flags import flags

        return [FlagOption(flag) for flag in flags()]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        return [*own[:-1], *self.flag_options, *own[-1:]]  # help stays the last

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        negations = {option.negation: f"--{option.flag.name}=false" for option in self.flag_options}
        return super().parse_args(ctx, [negations.get(word, word) if word else word for word in args])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options first, then one section per table of the configuration."""
        own = [parameter for parameter in self.get_params(ctx) if not isinstance(parameter, FlagOption)]
        sections = {"Options": [record for one in own if (record := one.get_help_record(ctx))]}
        for option in self.flag_options:
            if record := option.get_help_record(ctx):
                sections.setdefault(SECTIONS.get(option.section, option.section.capitalize()), []).append(
                    record
                )
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class FlagOption(click.Option):
    """A configuration key as a flag. Its value is passed on as text; `load_config` parses it."""

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        self.section = "global" if flag.scope == "global" else flag.path[0] if len(flag.path) > 1 else ""
        self.negation = f"--no-{flag.name}" if flag.is_boolean else ""
        super().__init__(
            [f"--{flag.name}"], help=_help(flag), metavar=_metavar(flag), **_option_arguments(flag)
        )
        if self.negation:
            self.secondary_opts = [self.negation]

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.negation:
            return record
        values = "" if self.flag.kind == "boolean" else f"[={'|'.join(self.flag.choices)}]"
        return f"{self.opts[0]}{values}, {self.negation}", record[1]


def load_configuration(
    ctx: click.Context,
    given: Mapping[str, object],
    *,
    unset_is_error: bool = True,
    known: Config | None = None,
) -> Config:
    """Load the configuration for this command line. Raises `ConfigError` with all problems.

    `given` are the command's parameters; those that are not configuration flags are ignored. `known` is
    the one that was loaded before: it is read again from where that came from, and nowhere else.
    """
    from runscaler.config.load import load_config

    command = ctx.command
    assert isinstance(command, ConfigCommand)
    path = known.path if known else given.get("config") or ctx.find_root().params.get("config")
    names = {option.name for option in command.flag_options}
    flags = {name: value for name, value in given.items() if name in names and value is not None}
    search = known is None
    return load_config(str(path) if path else None, flags=flags, search=search, unset_is_error=unset_is_error)


def _option_arguments(flag: Flag) -> dict[str, Any]:  # click's own keywords
    if flag.is_boolean:
        choices = flag.choices or ("true", "false")
        return {"is_flag": False, "flag_value": "true", "type": click.Choice(choices)}
    if flag.choices:
        return {"type": click.Choice(flag.choices, case_sensitive=flag.name != "log-level")}
    if flag.name == "backend":
        from runscaler.cli.suggestions import suggest_backends

        return {"type": str, "shell_complete": suggest_backends}
    return {"multiple": True, "default": None} if flag.is_list else {"type": str}


def _metavar(flag: Flag) -> str | None:
    if flag.choices or flag.is_boolean:
        return None
    if flag.kind in {"whole number", "number"}:
        return "N"
    return "TIME" if flag.kind == "duration" else flag.name.rpartition("-")[2].upper()


def _values(flag: Flag) -> str:
    """What the name of the flag does not tell about its values."""
    if flag.is_list:
        return "; separated by commas, and repeatable"
    if flag.secret:
        return ", best as env:NAME or file:PATH: every user of this host sees the command line"
    if flag.name == "backend":
        from runscaler.cli.suggestions import backends

        return f": {', '.join(backends())}"
    return ""


def _help(flag: Flag) -> str:
    from runscaler.units import format_duration

    default = flag.default
    if isinstance(default, float) and flag.kind == "duration":
        default = format_duration(default)
    if default is True:
        default = "true"
    shown = isinstance(default, str | int) and default not in {"", 0}
    return f"{flag.help}{_values(flag)}." + (f"  [default: {default}]" if shown else "")
