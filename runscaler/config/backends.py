"""The tables of the backends: [docker], [tart], [process], [swarm], [orchard] (docs/behaviour.md § 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from runscaler.config.base import Key, Settings
from runscaler.config.secrets import Secret
from runscaler.config.values import (
    A_BOOLEAN,
    A_COUNT,
    A_DURATION,
    A_NUMBER,
    A_POSITIVE_DURATION,
    A_STRING,
    A_TABLE,
    AN_ENGINE,
    STRING_OR_REFERENCE,
    STRINGS,
    Capabilities,
    Count,
    Duration,
    EngineUrl,
    EngineUrls,
    GroupName,
    LogSize,
    MountPath,
    NonNegativeNumber,
    OptionalSecret,
    PathString,
    Positive,
    PositiveDuration,
    SecretText,
    SocketPath,
    Strings,
    VariableName,
    WebUrl,
    WholeDays,
    not_zero,
)

DEFAULT_SOCKET = "/var/run/docker.sock"
RUN_COMMAND = "/home/runner/run.sh"


class RegistryCredential(Settings):
    """The entry of one registry in `registry-auth`."""

    user: Annotated[
        OptionalSecret,
        Key(help="User name at the registry", accepts=STRING_OR_REFERENCE, secret=True, indirect=True),
    ] = None
    password: Annotated[
        OptionalSecret, Key(help="Password or token", accepts=STRING_OR_REFERENCE, secret=True, indirect=True)
    ] = None


class ContainerSettings(Settings):
    """Settings of a runner's container, for every backend with containers."""

    shared_volume: Annotated[
        MountPath,
        Key(
            help="Mount path of a volume that all runners share; empty: no such volume",
            accepts="an absolute path in the container, or an empty string",
            flag="shared-volume",
        ),
    ] = ""
    memory: Annotated[
        Count, Key(help="Memory limit in MB; 0: none", accepts=A_COUNT, flag="docker-memory")
    ] = 0
    cpu: Annotated[
        NonNegativeNumber,
        Key(help="CPU limit in cores, fractions allowed; 0: none", accepts=A_NUMBER, flag="docker-cpu"),
    ] = 0.0
    platform: Annotated[
        str,
        Key(
            help="Platform of the image, such as linux/arm64; empty: the engine's platform",
            accepts=A_STRING,
            flag="docker-platform",
        ),
    ] = ""
    registry_auth: Annotated[
        Mapping[str, RegistryCredential],
        Key(
            help="Registry credentials: a table of HOST = { user, password }",
            accepts="a table of registries, each with user and password",
        ),
    ] = Field(default_factory=dict)
    env: Annotated[
        Mapping[VariableName, SecretText],
        Key(
            help="Environment variables of the runner",
            accepts="a table of strings, env:NAME or file:PATH",
            secret=True,
            indirect=True,
        ),
    ] = Field(default_factory=dict)
    volumes: Annotated[
        Strings, Key(help="Mounts, each SOURCE:TARGET or SOURCE:TARGET:ro", accepts=STRINGS)
    ] = ()
    extra_hosts: Annotated[
        Strings, Key(help="Entries for /etc/hosts, each NAME:ADDRESS", accepts=STRINGS)
    ] = ()
    run_command: Annotated[
        str,
        Key(help="Command that the container runs", accepts="a command that is not empty"),
        Field(min_length=1),
    ] = RUN_COMMAND


class DockerSettings(ContainerSettings):
    """[docker]. Use `endpoint` to connect to the engine; do not read DOCKER_HOST."""

    socket: Annotated[
        SocketPath,
        Key(help="Socket of the engine", accepts="the path of a socket", flag="docker-socket"),
    ] = DEFAULT_SOCKET
    host: Annotated[
        EngineUrl,
        Key(
            help="URL of the engine, instead of socket",
            accepts=AN_ENGINE,
            default="DOCKER_HOST, if socket is not set",
        ),
    ] = ""
    docker_host: str = ""
    """DOCKER_HOST when the file was read, if none of `host`, `hosts` and `socket` is set."""
    hosts: Annotated[
        EngineUrls,
        Key(
            help="URLs of several engines that share the runners of a scale set",
            accepts="a list of URLs that begin with unix://, tcp:// or ssh://",
        ),
    ] = ()
    tls_ca: Annotated[
        PathString, Key(help="CA certificate of a tcp:// engine", accepts="the path of a file")
    ] = ""
    tls_cert: Annotated[
        PathString, Key(help="Client certificate for a tcp:// engine", accepts="the path of a file")
    ] = ""
    tls_key: Annotated[
        PathString, Key(help="Client key for a tcp:// engine", accepts="the path of a file")
    ] = ""
    dind: Annotated[
        bool | Literal["sidecar"],
        Key(
            help="Give jobs an engine: true mounts the host's (jobs then have root access to the host), "
            '"sidecar" starts a separate one for each runner',
            accepts='true, false or "sidecar"',
            flag="dind",
        ),
    ] = True
    dind_socket: Annotated[
        SocketPath,
        Key(
            help="Path of the socket that dind = true mounts",
            accepts="the path of a socket",
            default="the engine's socket",
        ),
    ] = ""
    dind_group: Annotated[
        GroupName,
        Key(
            help="Group of the socket that dind = true mounts, as containers see it",
            accepts="the number of a group, or its name in the image",
            default="asked of the engine",
        ),
    ] = ""
    shared_volume_ttl: Annotated[
        Duration,
        Key(help="Delete files in the shared volume that are older than this; 0: never", accepts=A_DURATION),
    ] = 0.0
    shared_volume_cleanup_interval: Annotated[
        Duration,
        Key(help="How often old files in the shared volume are deleted", accepts=A_POSITIVE_DURATION),
        not_zero("shared-volume-ttl = 0"),
    ] = 6 * 3600.0
    buildx_cleanup: Annotated[bool, Key(help="Remove old buildx builders", accepts=A_BOOLEAN)] = True
    buildx_cleanup_ttl: Annotated[
        Duration,
        Key(help="Remove builders that were last started longer ago than this", accepts=A_POSITIVE_DURATION),
        not_zero("buildx-cleanup = false"),
    ] = 24 * 3600.0
    buildx_cleanup_interval: Annotated[
        Duration,
        Key(help="How often old buildx builders are removed", accepts=A_POSITIVE_DURATION),
        not_zero("buildx-cleanup = false"),
    ] = 6 * 3600.0
    prune_on_exit: Annotated[
        bool,
        Key(
            help="At exit remove the shared volume, dangling images and the build cache",
            accepts=A_BOOLEAN,
        ),
    ] = True
    prune_images_after: Annotated[
        Duration, Key(help="Remove runner images unused for this long; 0: never", accepts=A_DURATION)
    ] = 0.0
    pull: Annotated[
        Literal["always", "missing", "never"],
        Key(
            help="When to pull the runner image; always: at the start and every pull-interval",
            accepts='"always", "missing" or "never"',
        ),
    ] = "always"
    pull_interval: Annotated[
        Duration,
        Key(help="How often to look for a newer image while running", accepts=A_POSITIVE_DURATION),
        not_zero('pull = "missing"'),
    ] = 24 * 3600.0
    registry_mirror: Annotated[
        WebUrl,
        Key(
            help="Registry mirror that runner images are pulled from first: those of Docker Hub under their "
            "own path, others below the name of their registry",
            accepts="an http:// or https:// URL",
        ),
    ] = ""
    pool_size: Annotated[Count, Key(help="Started containers kept waiting for a job", accepts=A_COUNT)] = 0
    sidecar_image: Annotated[
        str, Key(help='Image of the engine with dind = "sidecar"', accepts="the name of an image")
    ] = "docker:dind"
    network: Annotated[str, Key(help="Network of the containers", accepts=A_STRING)] = ""
    runtime: Annotated[str, Key(help="OCI runtime of the containers", accepts=A_STRING)] = ""
    gpus: Annotated[
        str, Key(help='GPUs of the containers: "all" or a number', accepts='"all", or a number as a string')
    ] = ""
    privileged: Annotated[bool, Key(help="Run the containers privileged", accepts=A_BOOLEAN)] = False
    pids_limit: Annotated[
        Count, Key(help="Maximum number of processes and threads in a container; 0: none", accepts=A_COUNT)
    ] = 16_384
    log_max_size: Annotated[
        LogSize,
        Key(
            help="How much of a container's output the engine keeps, for the logging drivers json-file and "
            "local; empty: as the engine is configured",
            accepts='a number with k, m or g, such as "50m", or an empty string',
        ),
    ] = "50m"
    cap_drop: Annotated[
        Capabilities,
        Key(
            help='Linux capabilities that the containers lack, or ["ALL"]; without SETUID, SETGID or '
            "AUDIT_WRITE sudo fails",
            accepts='a list of names of capabilities such as "NET_RAW", or "ALL"',
        ),
    ] = ("NET_RAW",)
    no_new_privileges: Annotated[
        bool,
        Key(
            help="Forbid programs to gain rights, as sudo does, which many workflows use",
            accepts=A_BOOLEAN,
        ),
    ] = False

    @property
    def endpoint(self) -> str:
        """URL of the engine: `host`, else `docker_host`, else `socket`."""
        return self.host or self.docker_host or f"unix://{self.socket}"

    @property
    def dind_path(self) -> str:
        """Path of the socket that `dind = true` mounts."""
        if self.dind_socket:
            return self.dind_socket
        scheme, _, path = self.endpoint.partition("://")
        return path if scheme == "unix" else self.socket


class TartSettings(Settings):
    """[tart]."""

    home: Annotated[
        PathString, Key(help="TART_HOME", accepts="a directory", default="TART_HOME, else ~/.tart")
    ] = ""
    runner_dir: Annotated[
        str,
        Key(help="Directory of the runner in the image", accepts="a directory", flag="tart-runner-dir"),
        Field(min_length=1),
    ] = "/Users/admin/actions-runner"
    cpu: Annotated[
        Count, Key(help="CPU cores of a VM; 0: as in the image", accepts=A_COUNT, flag="tart-cpu")
    ] = 0
    memory: Annotated[
        Count, Key(help="Memory of a VM in MB; 0: as in the image", accepts=A_COUNT, flag="tart-memory")
    ] = 0
    pool_size: Annotated[
        Count, Key(help="Booted VMs kept waiting for a job", accepts=A_COUNT, flag="tart-pool-size")
    ] = 0
    cache_cleanup: Annotated[bool, Key(help="Prune Tart's caches", accepts=A_BOOLEAN)] = True
    cache_max_age: Annotated[
        WholeDays,
        Key(
            help="Prune what was not used for this long",
            accepts='whole days, at least one, such as "168h"',
        ),
        not_zero("cache-cleanup = false"),
    ] = 168 * 3600.0
    cache_space_budget: Annotated[
        Count, Key(help="Prune the caches to at most this many GiB; 0: no limit", accepts=A_COUNT)
    ] = 0
    cache_cleanup_interval: Annotated[
        Duration,
        Key(help="How often to prune the caches", accepts=A_POSITIVE_DURATION),
        not_zero("cache-cleanup = false"),
    ] = 24 * 3600.0
    boot_timeout: Annotated[
        PositiveDuration,
        Key(
            help="A VM has failed if its guest agent does not answer within this time",
            accepts=A_POSITIVE_DURATION,
        ),
    ] = 120.0
    max_vms: Annotated[
        Positive,
        Key(
            help="Maximum number of macOS VMs on this host (Apple's limit)",
            accepts="a whole number of at least 1",
        ),
    ] = 2


class ProcessSettings(Settings):
    """[process]."""

    runner_dir: Annotated[
        PathString,
        Key(
            help="Directory to copy for each runner; empty: the built-in demo agent",
            accepts="a directory",
        ),
    ] = ""
    run_command: Annotated[
        str,
        Key(
            help="Command to run in the copy",
            accepts=A_STRING,
            default="./run.sh; for the built-in agent its own command",
        ),
    ] = ""


class SwarmSettings(ContainerSettings):
    """[swarm]. The container keys have no flags here: `--docker-memory` and the like are for [docker]."""

    host: Annotated[
        EngineUrl,
        Key(
            help="URL of the engine of a manager node",
            accepts=AN_ENGINE,
            default="the local engine",
        ),
    ] = ""
    constraints: Annotated[
        Strings, Key(help='Placement constraints, such as "node.role==worker"', accepts=STRINGS)
    ] = ()
    networks: Annotated[Strings, Key(help="Networks of the services", accepts=STRINGS)] = ()


class OrchardSettings(Settings):
    """[orchard]."""

    url: Annotated[WebUrl, Key(help="URL of the controller", accepts="an http:// or https:// URL")] = ""
    user: Annotated[str, Key(help="Name of the service account", accepts=A_STRING)] = ""
    token: Annotated[
        OptionalSecret,
        Key(
            help="Token of the service account, or a bootstrap token without user",
            accepts=STRING_OR_REFERENCE,
            secret=True,
            indirect=True,
        ),
    ] = None
    ca: Annotated[
        PathString, Key(help="CA certificate of the controller", accepts="the path of a PEM file")
    ] = ""
    cpu: Annotated[Count, Key(help="CPU cores of a VM; 0: as in the image", accepts=A_COUNT)] = 0
    memory: Annotated[Count, Key(help="Memory of a VM in MB; 0: as in the image", accepts=A_COUNT)] = 0
    worker_labels: Annotated[
        Mapping[str, str], Key(help="Labels that a worker must have", accepts=A_TABLE)
    ] = Field(default_factory=dict)
    resources: Annotated[
        Mapping[str, int],
        Key(help="Resources that a VM takes from its worker", accepts="a table of whole numbers"),
    ] = Field(default_factory=dict)
    pool_size: Annotated[Count, Key(help="Booted VMs kept waiting for a job", accepts=A_COUNT)] = 0
    boot_timeout: Annotated[
        PositiveDuration,
        Key(help="A VM has failed if it cannot be reached within this time", accepts=A_POSITIVE_DURATION),
    ] = 120.0
    runner_dir: Annotated[
        str,
        Key(help="Directory of the runner in the image", accepts="a directory"),
        Field(min_length=1),
    ] = "/Users/admin/actions-runner"
    username: Annotated[str, Key(help="SSH user in the guest", accepts=A_STRING)] = "admin"
    password: Annotated[
        OptionalSecret,
        Key(
            help="SSH password in the guest",
            accepts=STRING_OR_REFERENCE,
            secret=True,
            indirect=True,
            default="admin",
        ),
    ] = Secret("admin")
    image_pull_policy: Annotated[
        Literal["if-not-present", "always"],
        Key(help="When a worker pulls the image", accepts='"if-not-present" or "always"'),
    ] = "if-not-present"
    arch: Annotated[str, Key(help="Architecture of the VM", accepts=A_STRING)] = ""
    os: Annotated[str, Key(help="Operating system of the VM", accepts=A_STRING)] = ""
    runtime: Annotated[str, Key(help="Runtime on the worker", accepts=A_STRING)] = ""
