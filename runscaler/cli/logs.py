"""`runner logs NAME`: the output of a runner that lives, or the kept end of one that failed or died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runscaler.cli.admin import daemon_options

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_BYTES = 64 * 1024


@click.command(short_help="Print the output of a runner.", epilog="Example: runner logs runner-0a1b2c3d")
@click.argument("name", required=False)
@click.option(
    "--bytes",
    "tail",
    type=click.IntRange(1, 8 * 2**20),
    default=DEFAULT_BYTES,
    metavar="N",
    help=f"How much of a living runner's output, from its end ({DEFAULT_BYTES}).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@daemon_options
@click.pass_context
def logs(
    ctx: click.Context,
    name: str | None,
    tail: int,
    as_json: bool,
    config: str | None,
    state_dir: str | None,
) -> None:
    """Print the output of the runner NAME, or without NAME list those whose output is kept.

    That is the last 64 KiB of a runner that failed or died in its job; of the newest 50 such runners.
    """
    from runscaler.cli.admin import state_directories
    from runscaler.cli.console import show_json
    from runscaler.ops.state_dir import kept_runners

    directories = state_directories(ctx, config, state_dir)
    if name is not None:
        output = _output(directories, name, tail)
        if as_json:
            show_json({"runner": name, "output": output.decode(errors="replace")})
        else:
            click.echo(output, nl=False)
        return
    kept = [runner for directory in directories for runner in kept_runners(directory)]
    if as_json:
        show_json({"runners": kept})
    else:
        click.echo("\n".join(kept) or "no output of a failed runner is kept")


def _output(directories: list[Path], name: str, tail: int) -> bytes:
    """Of a living runner, else what is kept. Raises `HostError` if there is neither."""
    from runscaler.errors import HostError
    from runscaler.ops.admin_client import living_sockets
    from runscaler.ops.state_dir import kept_output

    for socket in living_sockets(directories):
        if (output := _of_living(socket, name, tail)) is not None:
            return output
    for directory in directories:
        if (output := kept_output(directory, name)) is not None:
            return output
    fixes = ("list those whose output is kept: runner logs", "see which runners live: runner status --json")
    raise HostError(f"there is no runner {name!r}, and no output of one is kept", fixes=fixes)


def _of_living(socket: Path, name: str, tail: int) -> bytes | None:
    from runscaler.errors import HostError
    from runscaler.ops.admin_client import ask

    answer = ask(socket, "/v1/logs", {"runner": name, "tail": tail})
    if answer.status == 404:
        return None
    if not answer.ok:
        raise HostError(str(answer.value("error") or f"the daemon answers {answer.status}"))
    return answer.body
