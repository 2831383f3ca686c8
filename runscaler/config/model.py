"""Typed settings: each key of the configuration is declared once, here or in `backends`.

Attribute names are the TOML keys with underscores. Durations are float seconds, tokens are `Secret`.
The types can be constructed with defaults: `ScaleSetSettings(url=…, name=…, token=Secret(…))`;
what only holds between keys (min-runners ≤ max-runners and the like) is checked by `load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from runscaler.config.backends import (
    ContainerSettings,
    DockerSettings,
    OrchardSettings,
    ProcessSettings,
    RegistryCredential,
    SwarmSettings,
    TartSettings,
)
from runscaler.config.base import Settings
from runscaler.config.globals import HostSettings, MetricsSettings
from runscaler.config.keys import Key, Scope
from runscaler.config.secrets import Secret
from runscaler.config.values import (
    A_COUNT,
    A_DURATION,
    A_LASTING,
    A_SWITCH,
    A_TEXT,
    TEXTS,
    Count,
    Cron,
    Duration,
    FilePath,
    Lasting,
    Line,
    Lines,
    MaybeSecret,
    Place,
    Port,
    Positive,
    Runners,
    WebUrl,
    Zone,
)
from runscaler.findings import Finding
from runscaler.names import ScaleSetKey

__all__ = [
    "AppSettings",
    "Config",
    "ContainerSettings",
    "DockerSettings",
    "HostSettings",
    "MetricsSettings",
    "OrchardSettings",
    "ProcessSettings",
    "RegistryCredential",
    "ScaleSetSettings",
    "ScheduleWindow",
    "SwarmSettings",
    "TartSettings",
]

BACKENDS = ("docker", "tart", "process", "swarm", "orchard")
DEFAULT_IMAGE = "ghcr.io/actions/actions-runner:latest"
DEFAULT_GROUP = "default"


class AppSettings(Settings):
    """[app]: a GitHub App instead of a token."""

    client_id: Annotated[str, Key(help="The App's client id or app id", accepts=A_TEXT)]
    installation_id: Annotated[
        Positive, Key(help="Its installation in the organisation", accepts="a whole number of at least 1")
    ]
    private_key: Annotated[
        Secret,
        Key(
            help="Its private key",
            accepts="env:NAME, file:PATH or the PEM text itself",
            secret=True,
            indirect=True,
        ),
    ]


class ScheduleWindow(Settings):
    """One entry of `schedule`: while the window is open, its numbers replace the set's own."""

    cron: Annotated[Cron, Key(help="When the window opens", accepts="a cron expression of five fields")]
    duration: Annotated[Lasting, Key(help="How long it stays open", accepts=A_LASTING)]
    timezone: Annotated[
        Zone, Key(help="The zone that cron is read in", accepts="a name such as Europe/Berlin")
    ] = "UTC"
    min_runners: Annotated[Count | None, Key(help="min-runners meanwhile", accepts=A_COUNT)] = None
    max_runners: Annotated[
        Runners | None, Key(help="max-runners meanwhile", accepts="a whole number of at least 1")
    ] = None


class ScaleSetSettings(Settings):
    """Everything that one scale set is run with, inheritance and defaults already applied."""

    url: Annotated[
        str,
        Key(
            help="The organisation, repository or enterprise that the runners are for",
            accepts="a URL such as https://github.com/my-org",
            flag="url",
            scope=Scope.IDENTITY,
            default="required",
        ),
    ]
    name: Annotated[
        Line,
        Key(
            help="Name of the scale set; also its only label unless labels is given",
            accepts="a text that is not empty",
            flag="name",
            scope=Scope.IDENTITY,
            default="required",
        ),
    ]
    token: Annotated[
        MaybeSecret,
        Key(
            help="Personal access token",
            accepts="a token, env:NAME or file:PATH",
            flag="token",
            scope=Scope.IDENTITY,
            secret=True,
            indirect=True,
            default="required unless [app] is given",
        ),
    ] = None
    app: Annotated[
        AppSettings | None,
        Key(help="GitHub App instead of a token", accepts="a table", scope=Scope.IDENTITY),
    ] = None
    backend: Annotated[
        str,
        Key(
            help="Where the runners live",
            accepts="docker, tart, process, swarm or orchard",
            flag="backend",
        ),
    ] = "docker"
    max_runners: Annotated[
        Runners,
        Key(help="Most runners at once", accepts="a whole number of at least 1", flag="max-runners"),
    ] = 10
    min_runners: Annotated[
        Count,
        Key(
            help="Idle runners kept on top of the assigned jobs",
            accepts="a whole number from 0 to max-runners",
            flag="min-runners",
            scope=Scope.IDENTITY,
        ),
    ] = 0
    labels: Annotated[
        Lines,
        Key(
            help="What jobs name in runs-on",
            accepts=TEXTS,
            flag="labels",
            scope=Scope.IDENTITY,
            default="the name",
        ),
    ] = ()
    runner_group: Annotated[str, Key(help="Runner group at GitHub", accepts=A_TEXT, flag="runner-group")] = (
        DEFAULT_GROUP
    )
    runner_image: Annotated[
        Line,
        Key(
            help="Docker or Tart image of the runners; required for tart and orchard",
            accepts="an image's name",
            flag="runner-image",
        ),
    ] = DEFAULT_IMAGE
    idle_timeout: Annotated[
        Duration,
        Key(help="Surplus idle runners are retired after this; 0: never", accepts=A_DURATION),
    ] = 600.0
    start_timeout: Annotated[
        Lasting,
        Key(help="A runner that does not run by then has failed and is replaced", accepts=A_LASTING),
    ] = 300.0
    job_timeout: Annotated[Duration, Key(help="A job is killed after this; 0: never", accepts=A_DURATION)] = (
        0.0
    )
    schedule: Annotated[
        tuple[ScheduleWindow, ...],
        Key(
            help="Windows of other limits: a list of { cron, duration, timezone, min-runners, max-runners }",
            accepts="a list of tables",
        ),
    ] = ()
    proxy: Annotated[
        WebUrl,
        Key(
            help="Proxy of the daemon's calls and of the runner",
            accepts="an http:// or https:// URL",
            default="the environment's",
        ),
    ] = ""
    ca: Annotated[
        Place, Key(help="CA certificates for the daemon's calls and the runner", accepts="a PEM file's path")
    ] = ""
    docker: DockerSettings = DockerSettings()
    tart: TartSettings = TartSettings()
    process: ProcessSettings = ProcessSettings()
    swarm: SwarmSettings = SwarmSettings()
    orchard: OrchardSettings = OrchardSettings()

    @model_validator(mode="before")
    @classmethod
    def _label_by_name(cls, given: object) -> object:
        if isinstance(given, dict) and not given.get("labels") and isinstance(given.get("name"), str):
            return {**given, "labels": (given["name"],)}
        return given

    @property
    def key(self) -> ScaleSetKey:
        return ScaleSetKey.of(self.url, self.runner_group, self.name)


class Config(Settings):
    """One process's whole configuration; `scale_sets` stand in the file's order."""

    path: Path | None = None
    """The file that was read; None with flags alone."""
    warnings: tuple[Finding, ...] = ()
    """What was put up with while reading: to be logged once by whoever loaded it."""
    scale_sets: tuple[ScaleSetSettings, ...] = ()
    log_level: Annotated[
        Literal["debug", "info", "warn", "error"],
        Key(
            help="How much is logged",
            accepts="debug, info, warn or error",
            flag="log-level",
            scope=Scope.GLOBAL,
        ),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        Key(help="Form of the log", accepts="text or json", flag="log-format", scope=Scope.GLOBAL),
    ] = "text"
    health_host: Annotated[
        str,
        Key(
            help="Address that the health endpoint listens on",
            accepts="an address or host name",
            flag="health-host",
            scope=Scope.GLOBAL,
        ),
        Field(min_length=1),
    ] = "127.0.0.1"
    health_port: Annotated[
        Port,
        Key(
            help="Its port; 0: off",
            accepts="a port from 0 to 65535",
            flag="health-port",
            scope=Scope.GLOBAL,
        ),
    ] = 8080
    dry_run: Annotated[
        bool,
        Key(
            help="Check configuration, backends and images, start nothing",
            accepts=A_SWITCH,
            flag="dry-run",
            scope=Scope.GLOBAL,
        ),
    ] = False
    drain_timeout: Annotated[
        Duration,
        Key(
            help="How long busy runners may go on after a stop; 0: they are removed at once",
            accepts=A_DURATION,
            flag="drain-timeout",
            scope=Scope.GLOBAL,
        ),
    ] = 30.0
    on_exit: Annotated[
        Literal["remove", "keep"],
        Key(
            help="What a stop does with the runners: remove them, or keep them for the next start",
            accepts="remove or keep",
            flag="on-exit",
            scope=Scope.GLOBAL,
        ),
    ] = "remove"
    update_check: Annotated[
        bool, Key(help="Say at start when a newer release exists", accepts=A_SWITCH, scope=Scope.GLOBAL)
    ] = True
    state_dir: Annotated[
        FilePath | None,
        Key(
            help="Where the lock, the owner id and the kept logs live",
            accepts="a directory",
            scope=Scope.GLOBAL,
            default="made from the configuration's path, below the user's or system's state directory",
        ),
    ] = None
    host: HostSettings = HostSettings()
    metrics: MetricsSettings = MetricsSettings()
