"""`runner resume`: take jobs again after `runner drain`."""

from __future__ import annotations

import click

from runscaler.cli.admin import daemon_options
from runscaler.cli.suggestions import suggest_scale_sets


@click.command(short_help="Take jobs again after a drain.", epilog="Example: runner resume linux")
@click.argument("scale_set", shell_complete=suggest_scale_sets, required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@daemon_options
@click.pass_context
def resume(
    ctx: click.Context, scale_set: str, as_json: bool, config: str | None, state_dir: str | None
) -> None:
    """Take jobs again in SCALE_SET, or in all scale sets, after `runner drain`."""
    from runscaler.cli.admin import admin_socket, change
    from runscaler.cli.console import printable, say, show_json

    names = change(admin_socket(ctx, config, state_dir), "resume", scale_set)
    if as_json:
        show_json({"scale_sets": names})
    else:
        say(f"{printable(', '.join(names))}: takes jobs again")
