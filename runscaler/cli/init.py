"""`runner init`: asks for what the flags did not give, and writes a commented configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runscaler.cli.init_questions import APP_KEYS, APP_NEEDS, BACKENDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runscaler.config.new_file import Answers


@click.command(
    epilog="Example: runner init --url https://github.com/my-org --name linux --token env:RUNNER_TOKEN"
)
@click.option("--url", metavar="URL", help="Organisation, repository or enterprise.")
@click.option("--name", metavar="NAME", help="Name of the scale set, which jobs use in runs-on.")
@click.option(
    "--token", metavar="TOKEN", help='"env:NAME" or "file:PATH"; a token itself is written as it is.'
)
@click.option("--client-id", metavar="ID", help="GitHub App in place of a token: its client id.")
@click.option("--private-key", metavar="KEY", help='Path of the App\'s key, "env:NAME" or "file:PATH".')
@click.option(
    "--installation-id", type=click.IntRange(min=1), metavar="N", help="Of the App; else looked up from url."
)
@click.option("--max-runners", type=click.IntRange(min=1), metavar="N", help="Most runners at once (10).")
@click.option("--backend", type=click.Choice(BACKENDS), help="Where runners live.")
@click.option("--runner-image", metavar="IMAGE", help="Image of the runners; required with --backend tart.")
@click.option("--dind/--no-dind", default=None, help="Give jobs the host's Docker engine.")
@click.option("--shared-volume", metavar="PATH", help="One volume for all jobs, at this path.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    default="config.toml",
    metavar="PATH",
    show_default=True,
)
@click.option("--force", is_flag=True, help="Replace an existing file without asking.")
@click.option("--no-validate", is_flag=True, help="Do not check the new file at the end.")
def init(output: str, force: bool, no_validate: bool, **given: object) -> None:
    """Write a configuration file.

    Asks for what the flags do not give. With --url, --name and --token (and --runner-image with
    --backend tart) it asks nothing; --client-id and --private-key take the place of --token. The file has
    mode 0600, and is checked at the end as `validate` does.
    """
    import os
    from pathlib import Path

    from runscaler.cli.console import say
    from runscaler.cli.init_questions import Questions
    from runscaler.config.new_file import document
    from runscaler.ops.discovery import discover

    path = Path(output)
    flags = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    _refuse_two_credentials(flags)
    asks = not _is_complete(flags)
    _refuse_to_replace(path, force=force, asks=asks)
    found = discover(os.environ)
    answers = Questions(flags, found, asks=asks).answers()
    _write(path, document(answers))
    say(f"✓ wrote {path}", colour="green")
    if not no_validate:
        _validate(path)
    _say_next_steps(path, answers)


def _is_complete(flags: Mapping[str, object]) -> bool:
    credential = set(APP_NEEDS) if APP_KEYS & flags.keys() else {"token"}
    image = {"runner-image"} if flags.get("backend") == "tart" else set()
    return {"url", "name"} | credential | image <= flags.keys()


def _refuse_two_credentials(flags: Mapping[str, object]) -> None:
    of_app = sorted(APP_KEYS & flags.keys())
    if of_app and "token" in flags:
        raise click.UsageError(f"--token and --{of_app[0]} exclude each other: a token, or a GitHub App")


def _refuse_to_replace(path: Path, *, force: bool, asks: bool) -> None:
    from runscaler.cli.init_questions import ask_yes
    from runscaler.errors import HostError

    if not path.exists() or force:
        return
    if asks and ask_yes(f"{path} exists already. Replace it?", default=False):
        return
    raise HostError(
        f"{path} exists already, and is left as it is", fixes=("choose another with --output", "add --force")
    )


def _write(path: Path, text: str) -> None:
    from runscaler.errors import HostError
    from runscaler.files import replace_file

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode(), mode=0o600)
    except OSError as error:
        raise HostError(f"{path} cannot be written: {error.strerror or error}") from error


def _validate(path: Path) -> None:
    """Show what `runner validate` finds. The file is written, whatever that is."""
    from runscaler.cli.validate import examine, report
    from runscaler.config.load import load_config
    from runscaler.errors import ConfigError

    try:
        config = load_config(path)
    except ConfigError as error:
        report(None, error.findings, as_json=False)
        return
    report(config, examine(config, offline=False), as_json=False)


def _say_next_steps(path: Path, answers: Answers) -> None:
    from runscaler.cli.console import say

    what, read = ("key", answers.private_key) if answers.client_id else ("token", answers.token)
    if read.startswith("env:"):
        say(f"The {what} is read from the variable {read.removeprefix('env:')} at the start.")
    say(f"Next: runner run --config {path}")
