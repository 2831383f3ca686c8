"""`runner report`: one archive for a bug report (docs/behaviour.md § 10.5)."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from runscaler.cli.admin import daemon_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runscaler.config.model import Config
    from runscaler.findings import Finding
    from runscaler.ops.report import Part

LOOK_THROUGH = (
    "Secrets are masked as far as they can be told from other text; names of hosts, repositories, workflows "
    "and runners are in it. Look through it before you publish it:"
)


@click.command(
    short_help="Pack an archive for a bug report.",
    epilog="Examples: runner report; runner report -o bug.tar.gz --log /var/log/runner.log",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Archive to write, which must not be there yet; default: runscaler-report-TIME.tar.gz.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="File that the daemon logs to; default: the log of the service.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@daemon_options
@click.pass_context
def report(
    ctx: click.Context,
    output: str | None,
    log: str | None,
    as_json: bool,
    config: str | None,
    state_dir: str | None,
) -> None:
    """Pack versions, configuration, journals, health and log into one archive for a bug report.

    A journal holds the last 100 messages and decisions of a scale set; runner simulate --replay plays
    them again. Secrets are masked. Nothing is sent anywhere.
    """
    from datetime import UTC, datetime
    from pathlib import Path

    from runscaler.cli.admin import state_directories
    from runscaler.cli.logging import silence
    from runscaler.cli.version import build_facts
    from runscaler.clock import SystemClock
    from runscaler.ops import report as contents

    silence()
    clock = SystemClock()
    now = clock.wall()
    folder = f"runscaler-report-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    path = Path(output or f"{folder}.tar.gz")
    given = config or ctx.find_root().params.get("config")
    loaded, secrets = _configuration(given), _written_secrets(given)
    if not isinstance(loaded, list):
        secrets.update(contents.secrets_of(loaded))
    parts = contents.Parts(contents.longest_first(secrets))
    build = build_facts()
    contents.add_versions(parts, build)
    if isinstance(loaded, list):
        contents.add_config_errors(parts, loaded)
    else:
        contents.add_config(parts, loaded)
        contents.add_engines(parts, loaded, clock, build["version"])
    contents.add_state(parts, state_directories(ctx, config, state_dir))
    contents.add_log(parts, Path(log) if log else None)
    size = contents.write_archive(path, folder, parts.all, now)
    _show(path, size, parts.all, as_json=as_json)


def _configuration(given: str | None) -> Config | list[Finding]:
    """The one that `run` would use, else why there is none."""
    from runscaler.config.load import load_config
    from runscaler.errors import ConfigError

    try:
        return load_config(given)
    except ConfigError as error:
        return list(error.findings)


def _written_secrets(given: str | None) -> set[str]:
    """Those in the file, whatever its errors."""
    import os
    from pathlib import Path

    from runscaler.config.problems import Problems
    from runscaler.config.sources import Locations, find_document, read_document
    from runscaler.config.written_secrets import written_secrets

    where, found = Locations.of(os.environ), Problems()
    document = read_document(Path(given), where, found) if given else find_document(where, found)
    folder = document.path.parent if document is not None else Path()
    return written_secrets(document.data if document is not None else {}, os.environ, folder)


def _show(path: Path, size: int, parts: Sequence[Part], *, as_json: bool) -> None:
    from runscaler.cli.console import printable, say, show_json
    from runscaler.units import format_bytes

    if as_json:
        listed = [{"name": one.name, "bytes": len(one.content), "about": one.about} for one in parts]
        show_json({"file": str(path), "bytes": size, "contents": listed})
        return
    say(f"wrote {printable(str(path))} ({format_bytes(size)}):")
    for one in parts:
        say(f"  {printable(one.name)}: {printable(one.about)}")
    say(LOOK_THROUGH)
    say(f"  tar -xzf {printable(shlex.quote(str(path)))}")
