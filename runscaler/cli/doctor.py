"""`runner doctor`: finds what daemons left that died and do not come back, and removes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runscaler.config.model import Config


@click.command(
    short_help="Find and remove what dead daemons left.",
    epilog="Example: runner doctor, and if all that it lists may go: runner doctor --fix",
)
@click.option("--fix", is_flag=True, help="Remove the orphans.")
@click.option("--force", is_flag=True, help="Also those that run a job, or may run one.")
@click.option(
    "--owner",
    "owners",
    multiple=True,
    metavar="ID",
    help="Also those of this owner, of which nobody can tell whether it lives; repeatable.",
)
@click.option(
    "--health-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Health port on which a daemon of the Go tool may answer, beside the configured one and 8080.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--config",
    type=click.Path(readable=False),
    metavar="PATH",
    help="Configuration of the daemons: its engines, and its credentials for GitHub.",
)
@click.pass_context
def doctor(
    ctx: click.Context,
    fix: bool,
    force: bool,
    owners: tuple[str, ...],
    health_port: int | None,
    as_json: bool,
    config: str | None,
) -> None:
    """Find what dead daemons left: containers, VMs, processes, volumes, registrations.

    What a living daemon owns is left alone. Exits with 1 if anything is found that is not removed. Without a
    configuration it looks at the engines and tools of this host.
    """
    from runscaler import __version__
    from runscaler.cli.console import show_finding, show_json
    from runscaler.cli.logging import silence
    from runscaler.clock import SystemClock
    from runscaler.names import OWNER_ID, OwnerId
    from runscaler.ops.doctor.doctor import Request
    from runscaler.ops.doctor.report import as_json as to_json
    from runscaler.ops.doctor.report import lines
    from runscaler.ops.doctor.run import diagnose

    for owner in owners:
        if not OWNER_ID.match(owner):
            raise click.BadParameter(f"{owner!r} is not 32 hex digits", param_hint="'--owner'")
    silence()
    loaded = _config(config or ctx.find_root().params.get("config"))
    request = Request(fix=fix, force=force, named=frozenset(map(OwnerId, owners)))
    ports = [health_port] if health_port else []
    diagnosis = diagnose(request, loaded, ports, SystemClock(), __version__)
    if as_json:
        show_json(to_json(diagnosis))
    else:
        for finding in lines(diagnosis):
            show_finding(finding)
    ctx.exit(0 if diagnosis.is_clean else 1)


def _config(path: str | None) -> Config | None:
    """The configuration given, else the one that `run` would find; None if there is none, or it cannot be
    used, which is said. Raises `ConfigError` if one that was given cannot be used."""
    import os

    from runscaler.cli.console import show_finding
    from runscaler.config.load import load_config
    from runscaler.config.problems import Problems
    from runscaler.config.sources import Locations, find_document
    from runscaler.errors import ConfigError
    from runscaler.findings import Finding, Level

    if path is not None:
        return load_config(path)
    if find_document(Locations.of(os.environ), found := Problems()) is None and not found.any_error:
        return None
    try:
        return load_config()
    except ConfigError as error:
        text = f"the configuration cannot be used, so that only this host is looked at: {error}"
        show_finding(Finding(Level.WARNING, " ".join(text.split())), err=True)
        return None
