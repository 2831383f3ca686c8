"""`runner reload`: read the configuration again, without a restart."""

from __future__ import annotations

import click

from runscaler.cli.admin import daemon_options


@click.command(
    short_help="Read the configuration again.", epilog="Example: runner validate --offline && runner reload"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@daemon_options
@click.pass_context
def reload(ctx: click.Context, as_json: bool, config: str | None, state_dir: str | None) -> None:
    """Let the daemon read its configuration again, and print what is different.

    Busy runners are not touched: one that was made with other settings finishes its job. A configuration with
    an error changes nothing. SIGHUP and `systemctl reload` do the same.
    """
    from runscaler.cli.admin import admin_socket, reload_configuration
    from runscaler.cli.console import printable, say, show_json

    lines = reload_configuration(admin_socket(ctx, config, state_dir))
    if as_json:
        show_json({"changes": lines})
    else:
        say("\n".join(map(printable, lines)) or "nothing in the configuration has changed")
