"""What a job leaves beside its runner, made as GitHub's runner makes it (docs/protocol.md § 8.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from docker.errors import NotFound
from support.engine import connect

from runscaler.backends.docker.image_names import familiar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient

ALL = {"job", "service", "network", "image"}


@dataclass
class LeftByJob:
    """A context: a running job container and an ended service container, with a network, and an image."""

    url: str
    image: str
    label: str
    more_labels: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> LeftByJob:
        self.name = token_hex(16)
        self.network, self.built = f"github_network_{self.name}", f"{self.label}:{self.name}"
        with connect(self.url) as api:
            api.create_network(self.network, labels={self.label: ""})
            api.tag(self.image, self.label, self.name)
            self._containers = {
                "job": self._container(api, "job", ["sleep", "600"]),
                "service": self._container(api, "service", ["echo"]),
            }
        return self

    def __exit__(self, *_: object) -> None:
        with connect(self.url) as api:
            for what in self.left():
                if what == "network":
                    api.remove_network(self.network)
                elif what == "image":
                    api.remove_image(self.built)
                else:
                    api.remove_container(self._containers[what], force=True, v=True)

    def left(self) -> list[str]:
        """What of it is still there, containers first."""
        with connect(self.url) as api:
            return [*self._left(api)]

    def _left(self, api: APIClient) -> Iterator[str]:
        for what, container in self._containers.items():
            try:
                api.inspect_container(container)
            except NotFound:
                continue
            yield what
        if any(one["Name"] == self.network for one in api.networks()):
            yield "network"
        tags = [familiar(tag) for image in api.images() for tag in image["RepoTags"] or ()]
        if self.built in tags:
            yield "image"

    def _container(self, api: APIClient, what: str, command: list[str]) -> str:
        body: dict[str, Any] = {
            "Image": self.image,
            "Cmd": command,
            "Labels": {self.label: "", **self.more_labels},
            "HostConfig": {"NetworkMode": self.network},
        }
        made: str = api.create_container_from_config(body, f"{self.name}_{what}")["Id"]
        api.start(made)
        return made


def label_of(url: str, container: str) -> str:
    """The job label of a runner's container."""
    with connect(url) as api:
        label: str = api.inspect_container(container)["Config"]["Labels"]["io.runscaler.job-label"]
    return label
