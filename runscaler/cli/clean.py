"""`runner clean`: the housekeeping of the backends by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from runscaler.backends.base import SweepTarget
    from runscaler.findings import Finding
    from runscaler.ops.clean import Cleaned


@click.command(
    short_help="Run the housekeeping sweeps by hand.",
    epilog="Example: runner clean --dry-run",
)
@click.option("--dry-run", is_flag=True, help="Only show what would go, and how many bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--config",
    type=click.Path(readable=False),
    metavar="PATH",
    help="Configuration file: its backends, and what of their housekeeping is switched on.",
)
@click.pass_context
def clean(ctx: click.Context, dry_run: bool, as_json: bool, config: str | None) -> None:
    """Remove what the sweeps of a daemon with this configuration would remove.

    Old files in the shared volume, old builders of buildx, unused images, caches of Tart. Also while a
    daemon runs; what a runner or a build uses stays. Exits with 1 if a sweep fails.
    """
    from runscaler.cli.console import say, show_finding, show_json
    from runscaler.cli.logging import silence
    from runscaler.clock import SystemClock
    from runscaler.config.housekeeping import switched_off
    from runscaler.config.load import load_config
    from runscaler.ops import clean as ops

    silence()
    loaded = load_config(config or ctx.find_root().params.get("config"), unset_is_error=False)
    off = switched_off(loaded.scale_sets)
    sweeps = []
    context = ops.context_of(loaded, SystemClock())
    for one in ops.clean(loaded.scale_sets, context, dry_run=dry_run):
        sweeps.append(one)
        if not as_json:
            show_finding(_finding(one, dry_run=dry_run))
    if as_json:
        ok = not any(one.error for one in sweeps)
        show_json({"ok": ok, "dry_run": dry_run, "sweeps": [_as_json(one) for one in sweeps], "off": off})
    else:
        for line in off:
            say(f"- off: {line}")
        say(_summary(sweeps, dry_run=dry_run))
    ctx.exit(1 if any(one.error for one in sweeps) else 0)


def _finding(one: Cleaned, *, dry_run: bool) -> Finding:
    """A line for the sweep, and on a dry run a line below it for each thing that would go."""
    from runscaler.findings import Finding, Level

    what = f"{one.backend}: {one.sweep}" if one.sweep else one.backend
    if one.error:
        return Finding(Level.ERROR, f"{what}: {one.error}", one.fixes)
    if not dry_run:
        return Finding(Level.OK, f"{what}: {one.done or 'there is nothing to remove'}")
    if one.targets is None:
        return Finding(Level.OK, f"{what}: what it would remove is not known beforehand")
    if not one.targets:
        return Finding(Level.OK, f"{what} would remove nothing")
    return Finding(Level.OK, "\n".join([f"{what} would remove:", *map(_target, one.targets)]))


def _target(target: SweepTarget) -> str:
    from runscaler.cli.console import printable
    from runscaler.units import format_bytes

    size = "" if target.bytes is None else f" ({format_bytes(target.bytes)})"
    return f"{target.kind} {printable(target.name)}{size}"


def _summary(sweeps: list[Cleaned], *, dry_run: bool) -> str:
    from runscaler.units import format_bytes

    if not sweeps:
        return "no sweep is switched on"
    if all(one.error for one in sweeps):
        return "nothing was looked at"
    if dry_run:
        return f"runner clean would free {format_bytes(sum(one.bytes for one in sweeps))}"
    return f"freed {format_bytes(sum(one.freed for one in sweeps))}"


def _as_json(one: Cleaned) -> dict[str, object]:
    targets = (
        None
        if one.targets is None
        else [{"kind": target.kind, "name": target.name, "bytes": target.bytes} for target in one.targets]
    )
    return {
        "backend": one.backend,
        "sweep": one.sweep,
        "targets": targets,
        "bytes": one.bytes,
        "done": one.done,
        "freed": one.freed,
        "error": one.error,
        "fixes": list(one.fixes),
    }
