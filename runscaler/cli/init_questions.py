"""What `runner init` asks: each answer is checked as the configuration would, and asked for again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.config.new_file import Answers
    from runscaler.ops.discovery import Discovery

BACKENDS = ("docker", "tart", "process")
DEFAULT_MAX_RUNNERS = 10
APP_NEEDS = ("client-id", "private-key")
APP_KEYS = frozenset({*APP_NEEDS, "installation-id"})
APP_WORD = "app"
"""What is answered for a token to use a GitHub App."""
ENTERPRISE = (
    "GitHub Apps cannot register runners for an enterprise: give a classic token with "
    "manage_runners:enterprise as --token"
)
TART_IMAGE = "ghcr.io/cirruslabs/macos-sequoia-base:latest"


class Questions:
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
        token, client_id, private_key = self._credential(url)
        most = int(self._text("max-runners", "Most runners at once", str(DEFAULT_MAX_RUNNERS)))
        number = str(self._flags.get("installation-id", ""))
        docker = backend == "docker"
        return Answers(
            url=url,
            name=name,
            token=token,
            client_id=client_id,
            private_key=private_key,
            installation_id=int(number) if number else None,
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
        if key not in APP_NEEDS:  # these are no flags of `run`
            self._checked[key] = answer
        return answer

    def _problem(self, key: str, answer: str) -> Exception | None:
        """Why the configuration would refuse the answer."""
        from runscaler.config.load import load_config
        from runscaler.errors import ConfigError

        if key in APP_NEEDS:
            return self._problem_of_app(key, answer)
        known = {"url": "https://github.com/my-org", "name": "linux", "token": "none"}
        image = {"runner-image": TART_IMAGE} if answer == "tart" else {}
        try:
            load_config(flags={**known, **image, **self._checked, key: answer}, search=False, environ={})
        except ConfigError as error:
            return error
        return None

    def _problem_of_app(self, key: str, answer: str) -> Exception | None:
        import os

        from runscaler.config.new_app import client_id_problem, key_problem
        from runscaler.errors import UsageError
        from runscaler.findings import Finding, Level

        why = client_id_problem(answer) if key == "client-id" else key_problem(answer, os.environ)
        return UsageError([Finding(Level.ERROR, f"--{key}: {why}")]) if why else None

    def _credential(self, url: str) -> tuple[str, str, str]:
        """Token, client id and private key: the token or the other two are empty."""
        from runscaler.config.new_app import key_as_written, takes_app

        if "token" in self._flags:
            return str(self._flags["token"]), "", ""
        may_be_app, wants_app = takes_app(url), bool(APP_KEYS & self._flags.keys())
        if wants_app and not may_be_app:
            raise click.UsageError(ENTERPRISE)
        token = APP_WORD if wants_app else self._token(may_be_app=may_be_app)
        if token != APP_WORD or not may_be_app:
            return token, "", ""
        client_id = self._text("client-id", "Client ID of the App", "")
        key = self._text("private-key", "Its private key: path of the .pem file, file:PATH or env:NAME", "")
        return "", client_id, key_as_written(key)

    def _token(self, *, may_be_app: bool) -> str:
        suggested = self._found.token or "env:RUNNER_TOKEN"
        or_app = f" ({APP_WORD}: a GitHub App)" if may_be_app else ""
        while True:
            answer = _ask(f"Token: env:NAME, file:PATH, or the token itself{or_app}", suggested, _no_problem)
            if answer.startswith(("env:", "file:")) or (may_be_app and answer == APP_WORD):
                return answer
            if ask_yes("Write the token itself into the file? Better keep it elsewhere", default=False):
                return answer

    def _dind(self) -> bool:
        if "dind" in self._flags or not self._asks:
            return bool(self._flags.get("dind", False))
        return ask_yes(
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


def ask_yes(question: str, *, default: bool) -> bool:
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
        fixes=(
            "give --url, --name and --token, and with --backend tart also --runner-image",
            "for a GitHub App give --client-id and --private-key in place of --token",
        ),
    )


def _host_name() -> str:
    import socket

    return socket.gethostname().partition(".")[0].lower()
