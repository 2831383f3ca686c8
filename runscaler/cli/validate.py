"""`runner validate`: checks everything that `runner run` needs, and reports all problems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runscaler.cli.options import ConfigCommand, load_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.config.model import Config
    from runscaler.findings import Finding

NO_FILE = "configuration: flags alone, no file"


@click.command(cls=ConfigCommand, epilog="Example: runner validate --config /etc/runner/config.toml")
@click.option("--config", type=click.Path(readable=False), metavar="PATH", help="Configuration file.")
@click.option("--offline", is_flag=True, help="Check only the configuration; an unset env:NAME is a warning.")
@click.option("--strict", is_flag=True, help="With --offline: an unset env:NAME is an error.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def validate(ctx: click.Context, /, offline: bool, strict: bool, as_json: bool, **given: object) -> None:
    """Check configuration, backends and GitHub.

    Changes nothing and pulls no image. Accepts the flags of `run`. Shows all problems, with possible fixes.
    """
    from runscaler.errors import ConfigError

    try:
        config = load_configuration(ctx, given, unset_is_error=strict or not offline)
    except ConfigError as error:
        report(None, error.findings, as_json=as_json)
        ctx.exit(error.exit_code)
    findings = examine(config, offline=offline)
    ctx.exit(report(config, findings, as_json=as_json))


def examine(config: Config, *, offline: bool) -> list[Finding]:
    """All findings about a valid configuration."""
    from runscaler import __version__
    from runscaler.cli.logging import silence
    from runscaler.clock import SystemClock
    from runscaler.config.features import missing_features
    from runscaler.findings import Finding, Level
    from runscaler.ops.validate import check_all, open_checks, schedule_findings, summary

    clock = SystemClock()
    file = Finding(Level.OK, f"configuration {config.path}" if config.path else NO_FILE)
    findings = [file, *config.warnings, *missing_features(config), *map(summary, config.scale_sets)]
    findings += [found for one in config.scale_sets for found in schedule_findings(one, clock.wall())]
    if offline:
        return findings
    silence()
    with open_checks(clock, __version__) as checks:
        return findings + check_all(config.scale_sets, checks, clock)


def report(config: Config | None, findings: Sequence[Finding], *, as_json: bool) -> int:
    """Print the findings; returns the exit code."""
    from runscaler.cli.console import show_finding, show_json
    from runscaler.ops.validate import is_ok

    if as_json:
        show_json(
            {
                "ok": is_ok(findings),
                "findings": [_as_json(one) for one in findings],
                "scale_sets": _settings(config),
            }
        )
    else:
        for finding in findings:
            show_finding(finding)
    return 0 if is_ok(findings) else 1


def _settings(config: Config | None) -> list[dict[str, object]]:
    from runscaler.config.masked import masked_settings

    return [] if config is None else [masked_settings(one) for one in config.scale_sets]


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "level": finding.level.value,
        "scale_set": finding.scale_set,
        "message": finding.message,
        "fixes": list(finding.fixes),
    }
