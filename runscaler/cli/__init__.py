"""The `runner` command line: the module `runscaler.cli.NAME` holds the command NAME.

A command's module is imported when the command is used, and imports what it needs inside its function, so
that `runner version` and `runner --help` import little more than click. Exit codes: `exit_codes`.
"""

from __future__ import annotations

import errno
import importlib
import re
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from runscaler.cli import exit_codes
from runscaler.errors import RunscalerError

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_COMMANDS = frozenset(
    {
        "admin",
        "console",
        "demo_session",
        "demo_setup",
        "demo_view",
        "exit_codes",
        "frozen",
        "init_questions",
        "logging",
        "options",
        "signals",
        "status_page",
        "suggestions",
    }
)
"""Modules of this package that are not commands."""
ORDER = (
    "run",
    "init",
    "validate",
    "status",
    "why",
    "logs",
    "doctor",
    "clean",
    "drain",
    "resume",
    "reload",
    "report",
    "demo",
    "simulate",
)
"""Commands in the order of the help page; all others follow in alphabetical order."""

_LONG_WORD = re.compile(r"(\S{60})\S{140,}")


class Program(click.Group):
    """The root command. Its subcommands are the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        import pkgutil

        names = {module.name for module in pkgutil.iter_modules(__path__)} - NOT_COMMANDS
        return [name for name in ORDER if name in names] + sorted(names - set(ORDER))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not cmd_name.isidentifier() or cmd_name.startswith("_") or cmd_name in NOT_COMMANDS:
            return None
        try:
            module = importlib.import_module(f"{__name__}.{cmd_name}")
        except ModuleNotFoundError as error:
            if error.name == f"{__name__}.{cmd_name}":
                return None
            raise
        command: click.Command = getattr(module, cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit(0)
        return super().parse_args(ctx, self._rewritten(ctx, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is not None:
            _accept_log_level(command, ctx)
        elif not args[0].startswith("-"):
            raise click.UsageError(exit_codes.unknown_command(args[0], self.list_commands(ctx)), ctx)
        return super().resolve_command(ctx, args)

    def _rewritten(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite `help COMMAND` to `COMMAND --help`, and flags alone (as for the Go tool) to `run FLAGS`."""
        rest = _after_config(args)
        if rest[:1] == ["help"]:
            return [word for word in rest[1:2] if word != "help"] + ["--help"]
        if ctx.resilient_parsing or (rest and not self._is_flag_of_run(ctx, rest[0])):
            return args
        click.echo(f"warning: flags without a command are deprecated; write: {ctx.info_name} run …", err=True)
        return ["run", *args]

    def _is_flag_of_run(self, ctx: click.Context, word: str) -> bool:
        if not word.startswith("--") or word in {"--help", "--version"}:
            return False
        run = self.get_command(ctx, "run")
        flag = word.partition("=")[0]
        return run is not None and any(flag in (*p.opts, *p.secondary_opts) for p in run.get_params(ctx))


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from runscaler import __version__

        click.echo(f"runner {__version__}")
        ctx.exit(0)


@click.command(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="To try it without a GitHub account: runner demo. Help for one command: runner help COMMAND.",
)
@click.option(
    "--config",
    type=click.Path(readable=False),
    metavar="PATH",
    help="Configuration file; also accepted after the command.",
)
@click.option(
    "-v",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def program(config: str | None) -> None:
    """Run GitHub Actions jobs on your own machines, with runners started and removed on demand."""


def execute(words: Sequence[str], prog_name: str | None = None) -> int:
    """Run one command line; returns its exit code (docs/behaviour.md § 3)."""
    lost_terminal = False
    try:
        try:
            result = program.main(list(words), prog_name, standalone_mode=False)
        finally:
            lost_terminal = exit_codes.drop_lost_terminal()
        sys.stdout.flush()
    except click.ClickException as error:
        # It repeats the value, of whatever length.
        error.message = _LONG_WORD.sub(r"\1…'", error.message)  # type: ignore[misc]
        error.show()
        return error.exit_code
    except click.Abort as error:
        return exit_codes.after_abort(error)
    except RunscalerError as error:
        return exit_codes.after_error(error, debug=exit_codes.wants_debug(words))
    except BrokenPipeError:
        return exit_codes.after_lost_output()
    except OSError as error:
        if lost_terminal:
            return exit_codes.FAILED
        if error.errno != errno.ENOSPC:
            raise
        return exit_codes.after_lost_output("no space left on the device that standard output writes to")
    return result if isinstance(result, int) else 0


def main() -> NoReturn:
    """The entry point of the console scripts: sets up the process's streams and exception hooks."""
    exit_codes.open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        exit_codes.replace_unencodable_characters(stream)
    if not exit_codes.wants_debug(sys.argv[1:]):
        exit_codes.hide_tracebacks()
    sys.exit(execute(sys.argv[1:]))


def _after_config(args: list[str]) -> list[str]:
    """The arguments after the root command's own `--config PATH`."""
    rest = list(args)
    while rest and (rest[0] == "--config" or rest[0].startswith("--config=")):
        rest = rest[2:] if rest[0] == "--config" else rest[1:]
    return rest


def _accept_log_level(command: click.Command, ctx: click.Context) -> None:
    """Accept `--log-level debug`, which shows the traceback of an error; hidden in commands without a log."""
    if not any("--log-level" in parameter.opts for parameter in command.get_params(ctx)):
        command.params.append(click.Option(["--log-level"], hidden=True, expose_value=False))
