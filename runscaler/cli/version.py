"""`runner version`: the installed version, for people, scripts and bug reports."""

from __future__ import annotations

import json

import click


@click.command(short_help="Show version and platform.", epilog="Example: runner version --json")
@click.option("--short", is_flag=True, help="Print only the version number.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(short: bool, as_json: bool) -> None:
    """Show version, commit, build date, Python and platform."""
    from runscaler import __version__

    if short:
        click.echo(__version__)
        return
    facts = build_facts()
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"runner {facts['version']}")
    click.echo(f"  commit    {facts['commit']}")
    click.echo(f"  built     {facts['date']}")
    click.echo(f"  python    {facts['python']}")
    click.echo(f"  platform  {facts['os']}/{facts['arch']}")


def build_facts() -> dict[str, str]:
    """Version, build and platform; platform names as in linux/amd64 (docs/behaviour.md § 3)."""
    import platform

    from runscaler import __version__
    from runscaler.build_facts import commit_and_date
    from runscaler.platform_names import architecture, system

    commit, date = commit_and_date()
    return {
        "version": __version__,
        "commit": commit,
        "date": date,
        "python": platform.python_version(),
        "os": system(),
        "arch": architecture(),
    }
