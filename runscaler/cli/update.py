"""`runner update`: looks for a newer release, and replaces the single-file executable with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from semver import Version

    from runscaler.ops.update.installation import Installation
    from runscaler.ops.update.release_host import ReleaseHost
    from runscaler.ops.update.versions import Release

RESTART = (
    "a daemon that runs goes on with the old version until it is restarted: "
    "runner service restart, or stop it and start it again the way it was started"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is here and what there is. `wanted` is None if there is no release at all."""

    current: Version
    wanted: Release | None
    installation: Installation
    to: str

    @property
    def is_due(self) -> bool:
        """Whether there is something to do: a newer version, or the one that was asked for."""
        if self.wanted is None:
            return False
        return self.wanted.version != self.current if self.to else self.wanted.version > self.current

    def as_json(self, *, updated: bool) -> dict[str, object]:
        return {
            "current": str(self.current),
            "release": str(self.wanted.version) if self.wanted else None,
            "due": self.is_due,
            "updated": updated,
            "installed_by": str(self.installation.installer),
            "path": str(self.installation.path),
            "commands": list(self.installation.commands(self.to)),
        }


@click.command(
    epilog="Example: runner update --check. RUNNER_RELEASES names another place for releases, like "
    "https://github.com/OWNER/NAME/releases."
)
@click.option("--check", is_flag=True, help="Only say whether there is a newer release.")
@click.option("--to", metavar="VERSION", default="", help="This version, also an older one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def update(ctx: click.Context, check: bool, to: str, as_json: bool) -> None:
    """Update this program to the newest release.

    The download is verified, and the executable is replaced only after the new one has told its version.
    What pip, pipx, uv or a container image installed is not touched: the command for it is shown.
    """
    from runscaler.cli.console import say, show_json
    from runscaler.cli.signals import ExitOnSignals
    from runscaler.ops.update.release_host import ReleaseHost, release_address

    if check and to:
        raise click.UsageError("--check looks for the newest release and cannot be used with --to", ctx)
    wanted = _parsed(to) if to else None
    with ExitOnSignals(), ReleaseHost(release_address()) as host:
        plan = _plan(host, wanted)
        if not check and plan.is_due:
            _carry_out(plan, host, quiet=as_json)
    updated = not check and plan.is_due
    if as_json:
        show_json(plan.as_json(updated=updated))
        return
    for line in _lines(plan, updated=updated):
        say(line)


def _parsed(text: str) -> Version:
    from runscaler.ops.update.versions import parse_version

    try:
        return parse_version(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no version like 1.2.3", param_hint="--to") from None


def _plan(host: ReleaseHost, wanted: Version | None) -> Plan:
    from runscaler import __version__
    from runscaler.ops.update.installation import this_installation
    from runscaler.ops.update.versions import Release, newest, parse_version

    current = parse_version(__version__)
    release = Release(f"v{wanted}", wanted) if wanted else newest(host.releases(), current)
    return Plan(current, release, this_installation(), str(wanted or ""))


def _carry_out(plan: Plan, host: ReleaseHost, *, quiet: bool) -> None:
    """Raises `UpdateFailed` if this program was not installed as a single-file executable."""
    from runscaler.errors import UpdateFailed
    from runscaler.ops.update.executable import replace_executable
    from runscaler.ops.update.installation import Installer

    installation = plan.installation
    assert plan.wanted is not None
    if installation.installer is not Installer.EXECUTABLE:
        commands = installation.commands(plan.to)
        raise UpdateFailed(
            f"{plan.current} is to become {plan.wanted.version}, but {_OWNERS[installation.installer]}",
            fixes=(f"run: {' && '.join(commands)}", RESTART),
        )

    def progress(text: str) -> None:
        if not quiet:
            click.echo(f"{text} …", err=True)

    replace_executable(installation.path, plan.wanted, host, progress)


_OWNERS = {
    "container": "this is a container, which is replaced by one of a newer image",
    "pipx": "pipx installed it",
    "uv": "uv installed it",
    "pip": "pip installed it",
    "checkout": "it runs from a checkout",
}


def _lines(plan: Plan, *, updated: bool) -> list[str]:
    if plan.wanted is None:
        return [f"this is {plan.current}; there is no release yet"]
    version = plan.wanted.version
    if updated:
        return [f"✓ {plan.installation.path} is {version} now, it was {plan.current}", f"  → {RESTART}"]
    if plan.is_due:
        commands = plan.installation.commands()
        return [f"this is {plan.current}; the newest release is {version}", f"  → {' && '.join(commands)}"]
    if version == plan.current:
        return [f"this is {version}" + ("" if plan.to else ", the newest release")]
    return [f"this is {plan.current}, which is newer than the newest release, {version}"]
