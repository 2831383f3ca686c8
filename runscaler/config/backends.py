"""The tables of the backends: [docker], [tart], [process], [swarm], [orchard] (docs/behaviour.md § 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from runscaler.config.base import Settings
from runscaler.config.keys import Key
from runscaler.config.secrets import Secret
from runscaler.config.values import (
    A_COUNT,
    A_DURATION,
    A_LASTING,
    A_NUMBER,
    A_SWITCH,
    A_TABLE,
    A_TEXT,
    AN_ENGINE,
    MAYBE_INDIRECT,
    TEXTS,
    Amount,
    Count,
    Days,
    Duration,
    EngineUrl,
    EngineUrls,
    Lasting,
    MaybeSecret,
    MountPath,
    Place,
    Positive,
    SocketPath,
    Texts,
    WebUrl,
    not_zero,
)

DEFAULT_SOCKET = "/var/run/docker.sock"
RUN_COMMAND = "/home/runner/run.sh"


class RegistryCredential(Settings):
    """One host's entry in `registry-auth`."""

    user: Annotated[str, Key(help="User name at the registry", accepts=MAYBE_INDIRECT, indirect=True)] = ""
    password: Annotated[
        MaybeSecret, Key(help="Password or token", accepts=MAYBE_INDIRECT, secret=True, indirect=True)
    ] = None


class ContainerSettings(Settings):
    """What a runner's container gets, whichever engine it lives on."""

    shared_volume: Annotated[
        MountPath,
        Key(
            help="Where the volume that all runners share is mounted; empty: no such volume",
            accepts="an absolute path in the container, or an empty text",
            flag="shared-volume",
        ),
    ] = ""
    memory: Annotated[
        Count, Key(help="Memory limit in MB; 0: none", accepts=A_COUNT, flag="docker-memory")
    ] = 0
    cpu: Annotated[
        Amount, Key(help="Limit in cores, fractions allowed; 0: none", accepts=A_NUMBER, flag="docker-cpu")
    ] = 0.0
    platform: Annotated[
        str,
        Key(
            help="Platform of the image, such as linux/arm64; empty: the engine's own",
            accepts=A_TEXT,
            flag="docker-platform",
        ),
    ] = ""
    registry_auth: Annotated[
        Mapping[str, RegistryCredential],
        Key(
            help="Registry credentials: a table HOST = { user, password }",
            accepts="a table of registries, each with user and password",
        ),
    ] = Field(default_factory=dict)
    env: Annotated[Mapping[str, str], Key(help="Environment variables of the runner", accepts=A_TABLE)] = (
        Field(default_factory=dict)
    )
    volumes: Annotated[Texts, Key(help="Mounts, each SOURCE:TARGET or SOURCE:TARGET:ro", accepts=TEXTS)] = ()
    extra_hosts: Annotated[Texts, Key(help="Host entries, each NAME:ADDRESS", accepts=TEXTS)] = ()
    run_command: Annotated[
        str, Key(help="What the container runs", accepts="a command that is not empty"), Field(min_length=1)
    ] = RUN_COMMAND


class DockerSettings(ContainerSettings):
    """[docker]. `endpoint` is the engine to connect to; never read DOCKER_HOST yourself."""

    socket: Annotated[
        SocketPath,
        Key(help="Socket of the engine", accepts="the path of a socket", flag="docker-socket"),
    ] = DEFAULT_SOCKET
    host: Annotated[
        EngineUrl,
        Key(
            help="URL of the engine instead of socket",
            accepts=AN_ENGINE,
            default="DOCKER_HOST, when socket is not given either",
        ),
    ] = ""
    docker_host: str = ""
    """What DOCKER_HOST said when the file was read, if it counts (neither `host` nor `socket` given)."""
    hosts: Annotated[
        EngineUrls,
        Key(
            help="URLs of several engines that share the work of one set",
            accepts="a list of URLs that begin with unix://, tcp:// or ssh://",
        ),
    ] = ()
    tls_ca: Annotated[Place, Key(help="CA certificate of a tcp:// engine", accepts="a file's path")] = ""
    tls_cert: Annotated[
        Place, Key(help="Client certificate for a tcp:// engine", accepts="a file's path")
    ] = ""
    tls_key: Annotated[Place, Key(help="Client key for a tcp:// engine", accepts="a file's path")] = ""
    dind: Annotated[
        bool | Literal["sidecar"],
        Key(
            help="Give jobs an engine: true mounts the host's (jobs then own the host), "
            '"sidecar" starts one of its own for each runner',
            accepts='true, false or "sidecar"',
            flag="dind",
        ),
    ] = True
    dind_socket: Annotated[
        SocketPath,
        Key(
            help="What is mounted as the jobs' engine socket",
            accepts="the path of a socket",
            default="the engine's own socket",
        ),
    ] = ""
    shared_volume_ttl: Annotated[
        Duration, Key(help="Delete files in the shared volume older than this; 0: never", accepts=A_DURATION)
    ] = 0.0
    shared_volume_cleanup_interval: Annotated[
        Duration,
        Key(help="How often that is looked for", accepts=A_LASTING),
        not_zero("shared-volume-ttl = 0"),
    ] = 6 * 3600.0
    buildx_cleanup: Annotated[bool, Key(help="Remove old buildx builders", accepts=A_SWITCH)] = True
    buildx_cleanup_ttl: Annotated[
        Duration,
        Key(help="A builder is old when last started this long ago", accepts=A_LASTING),
        not_zero("buildx-cleanup = false"),
    ] = 24 * 3600.0
    buildx_cleanup_interval: Annotated[
        Duration,
        Key(help="How often that is looked for", accepts=A_LASTING),
        not_zero("buildx-cleanup = false"),
    ] = 6 * 3600.0
    prune_on_exit: Annotated[
        bool,
        Key(
            help="At exit remove the shared volume, dangling images and build cache of the engine",
            accepts=A_SWITCH,
        ),
    ] = True
    prune_images_after: Annotated[
        Duration, Key(help="Remove runner images unused for this long; 0: never", accepts=A_DURATION)
    ] = 0.0
    pull: Annotated[
        Literal["always", "missing", "never"],
        Key(help="When the runner image is pulled at start", accepts='"always", "missing" or "never"'),
    ] = "always"
    pull_interval: Annotated[
        Duration,
        Key(help="How often a newer image is looked for while running", accepts=A_LASTING),
        not_zero('pull = "missing"'),
    ] = 24 * 3600.0
    registry_mirror: Annotated[
        WebUrl, Key(help="Registry mirror that runner images are pulled through", accepts="a URL")
    ] = ""
    pool_size: Annotated[
        Count, Key(help="Containers kept started and waiting for a job", accepts=A_COUNT)
    ] = 0
    sidecar_image: Annotated[
        str, Key(help='Image of the engine for dind = "sidecar"', accepts="an image's name")
    ] = "docker:dind"
    network: Annotated[str, Key(help="Network of the containers", accepts=A_TEXT)] = ""
    runtime: Annotated[str, Key(help="OCI runtime of the containers", accepts=A_TEXT)] = ""
    gpus: Annotated[
        str, Key(help='GPUs of the containers: "all" or a number', accepts='"all" or a number as a text')
    ] = ""
    privileged: Annotated[bool, Key(help="Run the containers privileged", accepts=A_SWITCH)] = False

    @property
    def endpoint(self) -> str:
        """URL of the engine to connect to: `host`, else DOCKER_HOST where it counts, else `socket`."""
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
        Place, Key(help="TART_HOME", accepts="a directory", default="TART_HOME, else ~/.tart")
    ] = ""
    runner_dir: Annotated[
        str,
        Key(help="Where the runner is installed in the image", accepts="a directory", flag="tart-runner-dir"),
        Field(min_length=1),
    ] = "/Users/admin/actions-runner"
    cpu: Annotated[Count, Key(help="Cores of a VM; 0: the image's", accepts=A_COUNT, flag="tart-cpu")] = 0
    memory: Annotated[
        Count, Key(help="Memory of a VM in MB; 0: the image's", accepts=A_COUNT, flag="tart-memory")
    ] = 0
    pool_size: Annotated[
        Count, Key(help="VMs kept booted and waiting for a job", accepts=A_COUNT, flag="tart-pool-size")
    ] = 0
    cache_cleanup: Annotated[bool, Key(help="Prune Tart's caches", accepts=A_SWITCH)] = True
    cache_max_age: Annotated[
        Days,
        Key(
            help="What was not used for this long is pruned",
            accepts='whole days, at least one, such as "168h"',
        ),
        not_zero("cache-cleanup = false"),
    ] = 168 * 3600.0
    cache_space_budget: Annotated[
        Count, Key(help="Prune down to this many GiB; 0: no budget", accepts=A_COUNT)
    ] = 0
    cache_cleanup_interval: Annotated[
        Duration,
        Key(help="How often the caches are pruned", accepts=A_LASTING),
        not_zero("cache-cleanup = false"),
    ] = 24 * 3600.0
    boot_timeout: Annotated[
        Lasting, Key(help="A VM whose guest agent does not answer by then has failed", accepts=A_LASTING)
    ] = 120.0
    max_vms: Annotated[
        Positive,
        Key(
            help="macOS VMs that may run on this host at once (Apple's limit)",
            accepts="a whole number of at least 1",
        ),
    ] = 2


class ProcessSettings(Settings):
    """[process]."""

    runner_dir: Annotated[
        Place,
        Key(
            help="Directory that is copied for each runner; empty: the built-in demo agent",
            accepts="a directory",
        ),
    ] = ""
    run_command: Annotated[
        str,
        Key(
            help="What is run in the copy",
            accepts=A_TEXT,
            default="./run.sh, with the built-in agent its own",
        ),
    ] = ""


class SwarmSettings(ContainerSettings):
    """[swarm]. The container keys have no flags here: `--docker-memory` is [docker]'s."""

    host: Annotated[
        EngineUrl,
        Key(
            help="URL of a manager's engine",
            accepts=AN_ENGINE,
            default="the local engine",
        ),
    ] = ""
    constraints: Annotated[Texts, Key(help='Placement, such as "node.role==worker"', accepts=TEXTS)] = ()
    networks: Annotated[Texts, Key(help="Networks of the services", accepts=TEXTS)] = ()


class OrchardSettings(Settings):
    """[orchard]."""

    url: Annotated[WebUrl, Key(help="URL of the controller", accepts="an http:// or https:// URL")] = ""
    user: Annotated[str, Key(help="Service account", accepts=A_TEXT)] = ""
    token: Annotated[
        MaybeSecret,
        Key(
            help="Its token, or a bootstrap token alone",
            accepts=MAYBE_INDIRECT,
            secret=True,
            indirect=True,
        ),
    ] = None
    ca: Annotated[Place, Key(help="CA certificate of the controller", accepts="a PEM file's path")] = ""
    cpu: Annotated[Count, Key(help="Cores of a VM; 0: the image's", accepts=A_COUNT)] = 0
    memory: Annotated[Count, Key(help="Memory of a VM in MB; 0: the image's", accepts=A_COUNT)] = 0
    worker_labels: Annotated[
        Mapping[str, str], Key(help="Labels that a worker must have", accepts=A_TABLE)
    ] = Field(default_factory=dict)
    resources: Annotated[
        Mapping[str, int],
        Key(help="Resources that a VM takes from its worker", accepts="a table of whole numbers"),
    ] = Field(default_factory=dict)
    pool_size: Annotated[Count, Key(help="VMs kept booted and waiting for a job", accepts=A_COUNT)] = 0
    boot_timeout: Annotated[
        Lasting, Key(help="A VM that cannot be reached by then has failed", accepts=A_LASTING)
    ] = 120.0
    runner_dir: Annotated[
        str,
        Key(help="Where the runner is installed in the image", accepts="a directory"),
        Field(min_length=1),
    ] = "/Users/admin/actions-runner"
    username: Annotated[str, Key(help="The guest's user for SSH", accepts=A_TEXT)] = "admin"
    password: Annotated[
        MaybeSecret,
        Key(
            help="The guest's password for SSH",
            accepts=MAYBE_INDIRECT,
            secret=True,
            indirect=True,
            default="admin",
        ),
    ] = Secret("admin")
    image_pull_policy: Annotated[
        Literal["if-not-present", "always"],
        Key(help="When a worker pulls the image", accepts='"if-not-present" or "always"'),
    ] = "if-not-present"
    arch: Annotated[str, Key(help="Architecture of the VM", accepts=A_TEXT)] = ""
    os: Annotated[str, Key(help="Operating system of the VM", accepts=A_TEXT)] = ""
    runtime: Annotated[str, Key(help="Runtime on the worker", accepts=A_TEXT)] = ""
