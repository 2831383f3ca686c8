"""The commented configuration file that `runner init` writes."""

from __future__ import annotations

from dataclasses import dataclass

import tomlkit


@dataclass(frozen=True, slots=True)
class Answers:
    """What the user chose. `engine` is the URL of a Docker engine, "" for the default socket. With a
    `client_id` the credential is a GitHub App, else the `token`."""

    url: str
    name: str
    token: str = ""
    client_id: str = ""
    private_key: str = ""
    installation_id: int | None = None
    backend: str = "docker"
    max_runners: int = 10
    runner_image: str = ""
    dind: bool = False
    shared_volume: str = ""
    engine: str = ""


def document(answers: Answers) -> str:
    """The text of the file."""
    lines = [
        "# Written by `runner init`. All keys with their defaults and meanings: docs/configuration.md.",
        "# Check this file with `runner validate`, then start the daemon with `runner run`.",
        "",
        _key("url", answers.url, "an organisation, repository or enterprise"),
        _key("name", answers.name, "what jobs use in runs-on"),
        *([] if answers.client_id else [_key("token", answers.token, _about_token(answers.token))]),
        _key("backend", answers.backend, 'where runners live: "docker", "tart" or "process"'),
        "",
        _key("max-runners", answers.max_runners, "never more at once"),
        _key("min-runners", 0, "idle runners kept in addition to those for the assigned jobs"),
        *_image(answers),
        '# idle-timeout = "10m"                # surplus idle runners are removed after this time',
        '# runner-group = "default"',
        "",
        "# Keys of the whole process must be above the first [table].",
        'log-level = "info"',
        "health-port = 8080                    # 0 = off; `runner status` reads it",
        'drain-timeout = "30s"                 # time for busy runners to finish at a stop',
        '# on-exit = "keep"                    # a stop leaves runners alone; the next start adopts them',
        *(_app(answers) if answers.client_id else ()),
        *(_docker(answers) if answers.backend == "docker" else ()),
    ]
    return "\n".join(lines) + "\n"


def _app(answers: Answers) -> list[str]:
    known = answers.installation_id
    found = "# installation-id = 12345678          # looked up from url"
    return [
        "",
        "[app]",
        _key("client-id", answers.client_id, "a GitHub Enterprise Server before 3.14 wants the App ID"),
        _key("private-key", answers.private_key, "a path, env:NAME or file:PATH"),
        found if known is None else _key("installation-id", known, "looked up from url if it is absent"),
    ]


def _docker(answers: Answers) -> list[str]:
    host = [_key("host", answers.engine, "the engine")] if answers.engine else []
    shared = answers.shared_volume
    volume = _key("shared-volume", shared, "one volume for all jobs, at this path") if shared else ""
    return [
        "",
        "[docker]",
        *host,
        _key("dind", answers.dind, "true gives jobs this engine, and with it root access to this host"),
        volume or '# shared-volume = "/shared"           # one volume for all jobs, at this path',
        "# memory = 4096                       # MB a runner; 0 = no limit",
        "# cpu = 2                             # cores a runner; 0 = no limit",
    ]


def _image(answers: Answers) -> list[str]:
    if answers.runner_image:
        return [_key("runner-image", answers.runner_image, "pulled if it is missing")]
    return ['# runner-image = "ghcr.io/actions/actions-runner:latest"'] if answers.backend == "docker" else []


def _about_token(token: str) -> str:
    if token.startswith(("env:", "file:")):
        return 'read at the start; or "file:/run/secrets/token"'
    return 'a secret: better "env:RUNNER_TOKEN" or "file:/run/secrets/token"'


def _key(name: str, value: str | int | bool, comment: str) -> str:
    return f"{f'{name} = {tomlkit.item(value).as_string()}':<37} # {comment}"
