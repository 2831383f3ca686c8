"""`runner drain`: take no new jobs, and let the busy runners finish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runscaler.cli.admin import daemon_options
from runscaler.cli.suggestions import suggest_scale_sets

if TYPE_CHECKING:
    from pathlib import Path

LOOK_SECONDS = 1.0


@click.command(
    short_help="Take no new jobs; busy runners finish.", epilog="Example: runner drain linux --wait && reboot"
)
@click.argument("scale_set", shell_complete=suggest_scale_sets, required=False, default="")
@click.option("--wait", is_flag=True, help="Return when no runner is left.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@daemon_options
@click.pass_context
def drain(
    ctx: click.Context, scale_set: str, wait: bool, as_json: bool, config: str | None, state_dir: str | None
) -> None:
    """Take no new jobs in SCALE_SET, or in all scale sets, until `runner resume`.

    Idle runners go, busy ones finish. What is queued waits at GitHub for the resume, or for another daemon
    that stands by: it takes over at once. A restart of the daemon ends a drain.
    """
    from runscaler.cli.admin import admin_socket, change
    from runscaler.cli.console import printable, say, show_json

    socket = admin_socket(ctx, config, state_dir)
    names = change(socket, "drain", scale_set)
    if not as_json:
        say(f"{printable(', '.join(names))}: takes no new jobs until `runner resume`")
    if wait:
        _wait(socket, names)
    if as_json:
        show_json({"scale_sets": names})
    elif wait:
        say("no runner is left")


def _wait(socket: Path, names: list[str]) -> None:
    from runscaler.clock import SystemClock
    from runscaler.interrupt import Interrupt

    clock, never = SystemClock(), Interrupt()
    while _left(socket, names):
        clock.pause(LOOK_SECONDS, never)


def _left(socket: Path, names: list[str]) -> int:
    """How many runners these scale sets still have. Raises `HostError` if the daemon does not answer."""
    from runscaler.cli.admin import scale_sets

    totals = [one.get("total") for one in scale_sets(socket) if one.get("name") in names]
    return sum(total for total in totals if isinstance(total, int))
