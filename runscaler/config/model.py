"""Typed settings. Each key of the configuration is declared once: here, in `backends` or in `globals`.

Attribute names are the TOML keys with underscores. Durations are float seconds, tokens are `Secret`. The
types have defaults: `ScaleSetSettings(url=…, name=…, token=Secret(…))`. Rules that involve several keys, such
as min-runners ≤ max-runners, are checked by `load`.
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
from runscaler.config.base import Key, Scope, Settings
from runscaler.config.globals import HostSettings, MetricsSettings
from runscaler.config.secrets import Secret
from runscaler.config.values import (
    A_BOOLEAN,
    A_COUNT,
    A_DURATION,
    A_POSITIVE_DURATION,
    A_STRING,
    IN_ANY_CASE,
    STRINGS,
    AppId,
    Count,
    Cron,
    Duration,
    FilePath,
    OptionalProxy,
    OptionalSecret,
    PathString,
    Port,
    Positive,
    PositiveDuration,
    PrintableString,
    PrintableStrings,
    RunnerCount,
    ScheduledMaximum,
    TimeZone,
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

    client_id: Annotated[
        AppId, Key(help="Client id or app id of the GitHub App", accepts="letters, digits and dots")
    ]
    private_key: Annotated[
        Secret,
        Key(
            help="Private key of the GitHub App",
            accepts="a path, file:PATH, env:NAME or the PEM text",
            secret=True,
            indirect=True,
        ),
    ]
    installation_id: Annotated[
        Positive | None,
        Key(
            help="Id of the App's installation; without it, that of url's owner is looked up",
            accepts="a whole number of at least 1",
        ),
    ] = None


class ScheduleWindow(Settings):
    """An entry of `schedule`. While the window is open, its limits replace those of the scale set."""

    cron: Annotated[Cron, Key(help="When the window opens", accepts="a cron expression of five fields")]
    duration: Annotated[PositiveDuration, Key(help="How long it stays open", accepts=A_POSITIVE_DURATION)]
    timezone: Annotated[TimeZone, Key(help="Time zone of cron", accepts="a name such as Europe/Berlin")] = (
        "UTC"
    )
    min_runners: Annotated[
        Count | None, Key(help="min-runners while the window is open", accepts=A_COUNT)
    ] = None
    max_runners: Annotated[
        ScheduledMaximum | None,
        Key(help="max-runners while the window is open", accepts="a whole number of at least 1"),
    ] = None


class ScaleSetSettings(Settings):
    """All settings of a scale set, with inheritance and defaults applied."""

    url: Annotated[
        str,
        Key(
            help="URL of the organisation, repository or enterprise that the runners are for",
            accepts="a URL such as https://github.com/my-org",
            flag="url",
            scope=Scope.IDENTITY,
            default="required",
        ),
    ]
    name: Annotated[
        PrintableString,
        Key(
            help="Name of the scale set; also its only label unless labels is set",
            accepts="a string that is not empty",
            flag="name",
            scope=Scope.IDENTITY,
            default="required",
        ),
    ]
    token: Annotated[
        OptionalSecret,
        Key(
            help="Personal access token",
            accepts="a token, env:NAME or file:PATH",
            flag="token",
            scope=Scope.IDENTITY,
            secret=True,
            indirect=True,
            default="required unless [app] is set",
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
        RunnerCount,
        Key(help="Maximum number of runners", accepts="a whole number of at least 1", flag="max-runners"),
    ] = 10
    min_runners: Annotated[
        Count,
        Key(
            help="Idle runners kept in addition to those for the assigned jobs",
            accepts="a whole number from 0 to max-runners",
            flag="min-runners",
            scope=Scope.IDENTITY,
        ),
    ] = 0
    labels: Annotated[
        PrintableStrings,
        Key(
            help="Labels that jobs use in runs-on",
            accepts=STRINGS,
            flag="labels",
            scope=Scope.IDENTITY,
            default="the name",
        ),
    ] = ()
    runner_group: Annotated[
        str, Key(help="Runner group at GitHub", accepts=A_STRING, flag="runner-group")
    ] = DEFAULT_GROUP
    runner_image: Annotated[
        PrintableString,
        Key(
            help="Docker or Tart image of the runners; required for tart and orchard",
            accepts="the name of an image",
            flag="runner-image",
        ),
    ] = DEFAULT_IMAGE
    idle_timeout: Annotated[
        Duration,
        Key(help="Retire surplus idle runners after this time; 0: never", accepts=A_DURATION),
    ] = 600.0
    start_timeout: Annotated[
        PositiveDuration,
        Key(
            help="A runner has failed and is replaced if it does not run within this time",
            accepts=A_POSITIVE_DURATION,
        ),
    ] = 300.0
    job_timeout: Annotated[Duration, Key(help="Kill a job after this time; 0: never", accepts=A_DURATION)] = (
        0.0
    )
    schedule: Annotated[
        tuple[ScheduleWindow, ...],
        Key(
            help="Times with other limits: a list of { cron, duration, timezone, min-runners, max-runners }",
            accepts="a list of tables",
        ),
    ] = ()
    proxy: Annotated[
        OptionalProxy,
        Key(
            help="Forward proxy for the daemon's calls to GitHub and for the runners",
            accepts="a URL such as http://USER:PASSWORD@proxy:3128, env:NAME or file:PATH",
            default="from HTTPS_PROXY, HTTP_PROXY",
            secret=True,
            indirect=True,
        ),
    ] = None
    ca: Annotated[
        PathString,
        Key(
            help="More CA certificates to trust, for the daemon's calls to GitHub and in the runners",
            accepts="the path of a PEM file",
        ),
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
    """The configuration of one process. `scale_sets` are in the order of the file."""

    path: Path | None = None
    """The file that was read; None if there were only flags."""
    warnings: tuple[Finding, ...] = ()
    """Warnings from loading; whoever loaded it should log them once."""
    scale_sets: tuple[ScaleSetSettings, ...] = ()
    log_level: Annotated[
        Literal["debug", "info", "warn", "error"],
        IN_ANY_CASE,
        Key(
            help="Least severe level that is logged",
            accepts="debug, info, warn or error",
            flag="log-level",
            scope=Scope.GLOBAL,
        ),
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"],
        Key(help="Format of the log", accepts="text or json", flag="log-format", scope=Scope.GLOBAL),
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
            help="Port of the health endpoint; 0: off",
            accepts="a port from 0 to 65535",
            flag="health-port",
            scope=Scope.GLOBAL,
        ),
    ] = 8080
    dry_run: Annotated[
        bool,
        Key(
            help="Check configuration, backends and images, but start nothing",
            accepts=A_BOOLEAN,
            flag="dry-run",
            scope=Scope.GLOBAL,
        ),
    ] = False
    drain_timeout: Annotated[
        Duration,
        Key(
            help="Time for busy runners to finish at a stop; after it they have 10 s to cancel their jobs",
            accepts=A_DURATION,
            flag="drain-timeout",
            scope=Scope.GLOBAL,
        ),
    ] = 30.0
    on_exit: Annotated[
        Literal["remove", "keep"],
        Key(
            help="At a stop, remove the runners or keep them for the next start",
            accepts="remove or keep",
            flag="on-exit",
            scope=Scope.GLOBAL,
        ),
    ] = "remove"
    update_check: Annotated[
        bool, Key(help="Log at the start if there is a newer release", accepts=A_BOOLEAN, scope=Scope.GLOBAL)
    ] = True
    state_dir: Annotated[
        FilePath | None,
        Key(
            help="Directory for the lock, the owner id and kept output",
            accepts="a directory",
            scope=Scope.GLOBAL,
            default="below the state directory of the user or system, named after the configuration",
        ),
    ] = None
    host: HostSettings = HostSettings()
    metrics: MetricsSettings = MetricsSettings()
