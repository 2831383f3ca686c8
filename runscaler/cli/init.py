"""`runner init`: asks for what the flags did not give, and writes a commented configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runscaler.config.new_file import Answers
    from runscaler.ops.discovery import Discovery

BACKENDS = ("docker", "tart", "process")
DEFAULT_MAX_RUNNERS = 10
TART_IMAGE = "ghcr.io/cirruslabs/macos-sequoia-base:latest"


@click.command(
    epilog="Example: runner init --url https://github.com/my-org --name linux --token env:RUNNER_TOKEN"
)
@click.option("--url", metavar="URL", help="Organisation, repository or enterprise.")
@click.option("--name", metavar="NAME", help="Name of the scale set, which jobs use in runs-on.")
@click.option(
    "--token", metavar="TOKEN", help='"env:NAME" or "file:PATH"; a token itself is written as it is.'
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
    --backend tart) it asks nothing. The file has mode 0600, and is checked at the end as `validate` does.
    """
    import os
    from pathlib import Path

    from runscaler.cli.console import say
    from runscaler.config.new_file import document
    from runscaler.ops.discovery import discover

    path = Path(output)
    flags = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    asks = not _is_complete(flags)
    _refuse_to_replace(path, force=force, asks=asks)
    found = discover(os.environ)
    answers = _Questions(flags, found, asks=asks).answers()
    _write(path, document(answers))
    say(f"✓ wrote {path}", colour="green")
    if not no_validate:
        _validate(path)
    _say_next_steps(path, answers)


def _is_complete(flags: Mapping[str, object]) -> bool:
    needed = {"url", "name", "token"} | ({"runner-image"} if flags.get("backend") == "tart" else set())
    return needed <= flags.keys()


def _refuse_to_replace(path: Path, *, force: bool, asks: bool) -> None:
    from runscaler.errors import HostError

    if not path.exists() or force:
        return
    if asks and _ask_yes(f"{path} exists already. Replace it?", default=False):
        return
    raise HostError(
        f"{path} exists already, and is left as it is", fixes=("choose another with --output", "add --force")
    )


class _Questions:
    """Asks for what `flags` do not give, unless they are complete: then the defaults are taken."""

    def __init__(self, flags: Mapping[str, object], found: Discovery, *, asks: bool) -> None:
        self._flags, self._found, self._asks = dict(flags), found, asks
        self._checked: dict[str, object] = {}

    def answers(self) -> Answers:
        from runscaler.config.new_file import Answers

        url = self._text("url", "GitHub URL (organisation, repository or enterprise)", "")
        name = self._text("name", "Name of the scale set (what jobs use in runs-on)", _host_name())
        backend = self._text("backend", f"Backend ({', '.join(BACKENDS)})", self._likely_backend())
        image = self._text("runner-image", "Image of the VMs", TART_IMAGE) if backend == "tart" else ""
        token = self._token()
        most = int(self._text("max-runners", "Most runners at once", str(DEFAULT_MAX_RUNNERS)))
        docker = backend == "docker"
        return Answers(
            url=url,
            name=name,
            token=token,
            backend=backend,
            max_runners=most,
            runner_image=image or str(self._flags.get("runner-image", "")),
            dind=docker and self._dind(),
            shared_volume=str(self._flags.get("shared-volume", "")),
            engine=self._engine() if docker else "",
        )

    def _text(self, key: str, question: str, default: str) -> str:
        """The flag, else the answer; asked again until it is valid. Raises `UsageError` for a wrong flag."""
        if key in self._flags or not self._asks:
            answer = str(self._flags.get(key, default))
            if (problem := self._problem(key, answer)) is not None:
                raise problem
        else:
            answer = _ask(question, default, lambda text: self._problem(key, text))
        self._checked[key] = answer
        return answer

    def _problem(self, key: str, answer: str) -> Exception | None:
        """Why the configuration would refuse the answer."""
        from runscaler.config.load import load_config
        from runscaler.errors import ConfigError

        known = {"url": "https://github.com/my-org", "name": "linux", "token": "none"}
        image = {"runner-image": TART_IMAGE} if answer == "tart" else {}
        try:
            load_config(flags={**known, **image, **self._checked, key: answer}, search=False, environ={})
        except ConfigError as error:
            return error
        return None

    def _token(self) -> str:
        if "token" in self._flags or not self._asks:
            return str(self._flags.get("token", ""))
        suggested = self._found.token or "env:RUNNER_TOKEN"
        while True:
            answer = _ask("Token: env:NAME, file:PATH, or the token itself", suggested, _no_problem)
            if answer.startswith(("env:", "file:")):
                return answer
            if _ask_yes("Write the token itself into the file? Better keep it elsewhere", default=False):
                return answer

    def _dind(self) -> bool:
        if "dind" in self._flags or not self._asks:
            return bool(self._flags.get("dind", False))
        return _ask_yes(
            "Give jobs the host's Docker engine? They then have root access to this host", default=False
        )

    def _likely_backend(self) -> str:
        if self._found.engines or not self._found.has_tart:
            return "docker"
        return "tart"

    def _engine(self) -> str:
        """The engine that answers, unless it is at the default place, or none does."""
        from runscaler.ops.discovery import DEFAULT_SOCKET

        default = f"unix://{DEFAULT_SOCKET}"
        if not self._found.engines or default in self._found.engines:
            return ""
        return self._found.engines[0]


def _no_problem(_answer: str) -> None:
    return None


def _ask(question: str, default: str, problem_of: Callable[[str], Exception | None]) -> str:
    from runscaler.cli.console import show_error
    from runscaler.errors import RunscalerError

    while True:
        answer = str(_prompt(question, default)).strip()
        problem = problem_of(answer)
        if problem is None and answer:
            return answer
        if isinstance(problem, RunscalerError):
            show_error(problem)


def _prompt(question: str, default: str) -> str:
    try:
        answer: str = click.prompt(question, default=default or None, err=True)
    except click.Abort:
        _input_is_closed()
    return answer


def _ask_yes(question: str, *, default: bool) -> bool:
    try:
        return click.confirm(question, default=default, err=True)
    except click.Abort:
        _input_is_closed()


def _input_is_closed() -> NoReturn:
    """Ctrl-C and the end of the input look the same to click; only the first is an interruption."""
    import sys

    from runscaler.errors import HostError

    if sys.stdin is not None and sys.stdin.isatty():
        raise click.Abort
    click.echo(err=True)
    raise HostError(
        "there is nobody to ask: standard input is closed",
        fixes=("give --url, --name and --token, and with --backend tart also --runner-image",),
    )


def _host_name() -> str:
    import socket

    return socket.gethostname().partition(".")[0].lower()


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

    if answers.token.startswith("env:"):
        say(f"The token is read from the variable {answers.token.removeprefix('env:')} at the start.")
    say(f"Next: runner run --config {path}")
