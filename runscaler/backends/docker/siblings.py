"""What a job left beside its runner, on the engine whose socket it mounts (docs/behaviour.md § 7.1).

The runner puts the label of docs/protocol.md § 8.3 on job, service and action containers and on their
network, and calls images that it builds after it. Whoever has the socket can write that label, too: only what
no other runner's container names goes, and nothing that bears a mark of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound
from loguru import logger

from runscaler.backends.docker import answers
from runscaler.backends.docker.errors import explanation
from runscaler.backends.docker.image_names import familiar
from runscaler.backends.docker.labels import JOB_LABEL, MANAGED_BY, OWNER, RUNNER, labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from runscaler.backends.docker.api import EngineApi

LABEL = re.compile(r"^[0-9a-f]{6}\Z")
NETWORK = re.compile(r"^github_network_[0-9a-f]{32}\Z")
MOST_ROUNDS = 3
"""A container may still be in the making when its runner ends, so that a look which found something is
repeated."""


@dataclass(frozen=True, slots=True)
class Siblings:
    """Ids of containers and networks, and tags of images."""

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = {"containers": self.containers, "networks": self.networks, "images": self.images}
        return ", ".join(f"{len(found)} {what}" for what, found in counts.items() if found)

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.images)


def remove_siblings(api: EngineApi, container: str, runner: str, label: str) -> None:
    """Remove what the job of an ended runner left; `container` is the runner's, which still exists.

    What the engine refuses to remove is warned about and stays. Raises what the calls raise otherwise.
    """
    if not LABEL.match(label):
        return
    failed: set[str] = set()
    for _ in range(MOST_ROUNDS):
        found = find_siblings(api, label, failed)
        if not found:
            return
        if _names_another(api, container, label):
            logger.warning(
                "left alone: {} with the label {} of runner {}, which another runner bears as well",
                found,
                label,
                runner,
            )
            return
        logger.info("removing what the job of {} left beside it: {}", runner, found)
        _remove(api, found, failed)


def find_siblings(api: EngineApi, label: str, without: set[str]) -> Siblings:
    """All that bears the label as a runner writes it, but what is named in `without`."""
    listed = answers.tables(api.containers(all=True, filters={"label": [label]}), "the list")
    networks = answers.tables(api.networks(filters={"label": label}), "the list of networks")
    images = answers.tables(api.images(f"{label}:*"), "the list of images")
    found = Siblings(
        tuple(_id(one) for one in listed if _is_sibling(one, label)),
        tuple(_id(one) for one in networks if _is_network(one, label)),
        tuple(tag for image in images for tag in _tags(image) if _is_built_for(familiar(tag), label)),
    )
    return Siblings(
        *(
            tuple(one for one in kind if one not in without)
            for kind in (found.containers, found.networks, found.images)
        )
    )


def _remove(api: EngineApi, found: Siblings, failed: set[str]) -> None:
    """Containers first, as they use the others."""
    for container in found.containers:
        _try(partial(api.remove_container, v=True, force=True), container, failed)
    for network in found.networks:
        _try(api.remove_network, network, failed)
    for image in found.images:
        _try(api.remove_image, image, failed)


def _try(remove: Callable[[str], None], name: str, failed: set[str]) -> None:
    try:
        remove(name)
    except NotFound:
        return
    except APIError as error:
        failed.add(name)
        logger.warning("{} was left by a job and cannot be removed: {}", name[:40], explanation(error))


def _names_another(api: EngineApi, container: str, label: str) -> bool:
    """Does the container of another runner bear this job label, in whatever state it is?"""
    filters = {"label": [f"{MANAGED_BY}={RUNNER}", f"{JOB_LABEL}={label}"]}
    listed = answers.tables(api.containers(all=True, filters=filters), "the list")
    return any(_id(one) != container for one in listed if labels_of(one).get(JOB_LABEL) == label)


def _is_sibling(listed: Mapping[str, object], label: str) -> bool:
    labels = labels_of(listed)
    return labels.get(label) == "" and OWNER not in labels and labels.get(MANAGED_BY) != RUNNER


def _is_network(listed: Mapping[str, object], label: str) -> bool:
    return _is_sibling(listed, label) and bool(NETWORK.match(str(listed.get("Name"))))


def _is_built_for(tag: str, label: str) -> bool:
    return bool(re.match(rf"^{label}:[0-9a-f]{{32}}\Z", tag))


def _tags(image: Mapping[str, object]) -> Iterator[str]:
    tags = image.get("RepoTags")
    return (str(tag) for tag in tags) if isinstance(tags, list) else iter(())


def _id(listed: Mapping[str, object]) -> str:
    return answers.identifier(listed.get("Id"), "an id in a list")
