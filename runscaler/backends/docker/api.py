"""Types for the methods of docker-py's `APIClient` that this package uses, most of which have none."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NotRequired, Protocol, TypedDict

from runscaler.untrusted import parse_json

Inspection = Mapping[str, object]


def seconds_of(text: str) -> float:
    """A time of the engine in wall-clock seconds; 0 for the year 1, with which it means "never"."""
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return 0.0


PATH_STAT = "X-Docker-Container-Path-Stat"


def path_stat(api: EngineApi, container: str, path: str) -> tuple[Inspection | None, str]:
    """What the engine says about a file in a container (`name`, `mode`, `mtime`), and its own date.

    In a mount it looks at the source as it is now, not at what the container sees. None if the container or
    the file is not there; empty if the engine cannot tell.
    """
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
    reply = api.head(url, params={"path": path})
    date = reply.headers.get("Date", "")
    if reply.status_code == 404:
        return None, date
    try:
        found = parse_json(base64.b64decode(reply.headers.get(PATH_STAT, "")))
    except (binascii.Error, ValueError):
        return {}, date
    return (found if isinstance(found, dict) else {}), date


class Reply(Protocol):
    """To a request that docker-py has no method for."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...


class Created(TypedDict):
    Id: str
    Warnings: NotRequired[list[str] | None]


class Started(TypedDict):
    """A command in a container."""

    Id: str


class MadeVolume(TypedDict):
    CreatedAt: str
    Labels: Mapping[str, str] | None


class InspectedContainer(TypedDict):
    Id: str
    State: Inspection
    Name: NotRequired[str]
    Created: NotRequired[str]
    Mounts: NotRequired[list[Inspection]]
    Image: NotRequired[str]
    Config: NotRequired[Inspection]
    ExecIDs: NotRequired[list[str] | None]


class Processes(TypedDict):
    Titles: NotRequired[list[str] | None]
    Processes: list[list[str]] | None


class EngineApi(Protocol):
    """See the API reference of Docker Engine. Methods raise exceptions of docker-py and requests."""

    @property
    def api_version(self) -> str: ...

    @property
    def base_url(self) -> str: ...

    def head(self, url: str, *, params: Mapping[str, str]) -> Reply: ...

    def ping(self) -> bool: ...

    def version(self, api_version: bool = True) -> Mapping[str, str]: ...

    def create_container_from_config(
        self, config: Mapping[str, object], name: str | None = None, platform: str | None = None
    ) -> Created: ...

    def start(self, container: str) -> None: ...

    def kill(self, container: str, signal: str) -> None: ...

    def wait(self, container: str) -> object: ...

    def pause(self, container: str) -> None: ...

    def unpause(self, container: str) -> None: ...

    def remove_container(self, container: str, v: bool = False, *, force: bool = False) -> None: ...

    def containers(self, *, all: bool, filters: Mapping[str, object]) -> list[Inspection]: ...  # noqa: A002

    def inspect_container(self, container: str) -> InspectedContainer: ...

    def put_archive(self, container: str, path: str, data: bytes) -> bool: ...

    def exec_create(self, container: str, cmd: Sequence[str]) -> Started: ...

    def exec_start(self, exec_id: str, *, detach: bool) -> object: ...

    def exec_inspect(self, exec_id: str) -> Inspection: ...

    def logs(self, container: str, *, stream: bool, follow: bool, tail: int) -> Iterable[bytes]: ...

    def top(self, container: str) -> Processes: ...

    def events(
        self, *, since: str, filters: Mapping[str, Sequence[str]], decode: bool
    ) -> Iterable[Inspection]: ...

    def create_volume(self, name: str, *, labels: Mapping[str, str]) -> MadeVolume: ...

    def inspect_volume(self, name: str) -> Inspection: ...

    def volumes(self, filters: Mapping[str, object]) -> Inspection: ...

    def remove_volume(self, name: str) -> None: ...

    def df(self) -> Inspection: ...

    def prune_images(self, filters: Mapping[str, object]) -> Inspection: ...

    def prune_builds(self) -> Inspection: ...

    def inspect_image(self, image: str) -> Inspection: ...

    def inspect_distribution(
        self, image: str, auth_config: Mapping[str, str] | None = None
    ) -> Inspection: ...

    def pull(
        self,
        repository: str,
        tag: str,
        *,
        stream: bool,
        decode: bool,
        platform: str | None,
        auth_config: Mapping[str, str] | None = None,
    ) -> Iterable[Inspection]: ...

    def images(self, name: str | None = None) -> list[Inspection]: ...

    def import_image_from_data(
        self, data: Iterable[bytes], repository: str, tag: str | None, changes: Sequence[str]
    ) -> str: ...

    def remove_image(self, image: str, *, noprune: bool = False) -> None: ...

    def tag(self, image: str, repository: str, tag: str) -> bool: ...

    def info(self) -> Inspection: ...

    def inspect_network(self, net_id: str) -> Inspection: ...

    def networks(
        self, names: Sequence[str] | None = None, *, filters: Mapping[str, object] | None = None
    ) -> list[Inspection]: ...

    def remove_network(self, net_id: str) -> None: ...

    def close(self) -> None: ...
