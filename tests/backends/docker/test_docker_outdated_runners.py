"""Runners of an image that their scale set's runner-image does not name any more."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from docker.errors import APIError, ImageNotFound
from support.engine import connect

from runscaler.backends.base import BackendContext, Resource, ResourceState
from runscaler.backends.docker import factory
from runscaler.backends.docker.outdated_runners import OutdatedRunners
from runscaler.clock import SystemClock
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId, RunnerName, SlotNumber
from runscaler.testing.backend_contract import Orders, RunnerScript

OLD, NEW = "a" * 64, "b" * 64


def settings(name="linux", image="demo:1", **docker):
    return ScaleSetSettings(
        url="https://github.com/o",
        name=name,
        token=Secret("t"),
        runner_image=image,
        docker=DockerSettings(**docker),
    )


class Inspector:
    """The part of docker-py's client that inspects images: `images` has what names and ids lead to."""

    def __init__(self, **images) -> None:
        self.images, self.asked = images, Counter()

    def inspect_image(self, image):
        self.asked[image] += 1
        found = self.images.get(image, ImageNotFound("no such image"))
        if isinstance(found, Exception):
            raise found
        return found


def resource(container, key, state=ResourceState.RUNNING):
    return Resource(
        container, OwnerId("owner"), key, SlotNumber(0), RunnerName(f"r-{container}"), 1, 0.0, state
    )


def outdated(api, containers, *sets, expected=None):
    """Which of the containers, {id: (settings, image id)}, are outdated."""
    runners = OutdatedRunners()
    for one in expected or sets:
        runners.expect(one)
    listed = [{"Id": container, "ImageID": image} for container, (_, image) in containers.items()]
    resources = [resource(container, one.key) for container, (one, _) in containers.items()]
    return runners.among(api, listed, resources)


def test_a_runner_of_the_image_that_the_name_meant_earlier_is_outdated():
    one = settings()
    old, new = f"sha256:{OLD}", f"sha256:{NEW}"
    api = Inspector(**{"demo:1": {"Id": new}, old: {"Id": old}})

    found = outdated(api, {"c1": (one, old), "c2": (one, new)}, one)

    assert found == {"c1": "demo:1 names another image than theirs now"}


def test_each_image_is_asked_for_once_an_inventory():
    one, other = settings(), settings("windows")
    old, new = f"sha256:{OLD}", f"sha256:{NEW}"
    api = Inspector(**{"demo:1": {"Id": new}, old: {"Id": old}})
    runners = OutdatedRunners()
    runners.expect(one)
    runners.expect(other)
    listed = [{"Id": f"c{n}", "ImageID": old} for n in range(20)]
    resources = [resource(f"c{n}", (one, other)[n % 2].key) for n in range(20)]

    for _ in range(2):
        assert len(runners.among(api, listed, resources)) == 20

    assert api.asked == {"demo:1": 2, old: 1}


def test_an_engine_may_write_ids_without_their_algorithm():
    one = settings()

    assert outdated(Inspector(**{"demo:1": {"Id": f"sha256:{OLD}"}}), {"c1": (one, OLD)}, one) == {}


def test_an_engine_may_list_another_id_of_the_same_image():
    """Of its manifest, say, where the name leads to a list of manifests."""
    one = settings()
    new = f"sha256:{NEW}"
    api = Inspector(**{"demo:1": {"Id": new}, f"sha256:{OLD}": {"Id": new}})

    assert outdated(api, {"c1": (one, f"sha256:{OLD}")}, one) == {}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        pytest.param({"Id": f"sha256:{NEW}"}, ImageNotFound("gone"), id="its image is gone"),
        pytest.param(ImageNotFound("gone"), {"Id": f"sha256:{OLD}"}, id="the name is gone"),
        pytest.param(APIError("busy"), {"Id": f"sha256:{OLD}"}, id="the engine cannot tell"),
        pytest.param({"Id": 5}, {"Id": f"sha256:{OLD}"}, id="nonsense"),
        pytest.param([], {"Id": f"sha256:{OLD}"}, id="no table"),
        pytest.param(
            {"Id": f"sha256:{NEW}", "Architecture": "arm64"},
            {"Id": f"sha256:{OLD}"},
            id="the name means an image for another platform",
        ),
    ],
)
def test_what_is_not_proved_is_not_outdated(name, own):
    one = settings(platform="linux/amd64")
    api = Inspector(**{"demo:1": name, f"sha256:{OLD}": own})

    assert outdated(api, {"c1": (one, f"sha256:{OLD}")}, one) == {}


def test_runners_of_unknown_scale_sets_and_ended_ones_are_not_asked_for():
    known, stranger = settings(), settings("stranger")
    runners, api = OutdatedRunners(), Inspector()
    runners.expect(known)
    listed = [{"Id": "c1", "ImageID": OLD}, {"Id": "c2", "ImageID": OLD}, {"Id": "c3", "ImageID": None}]
    resources = [
        resource("c1", stranger.key),
        resource("c2", known.key, ResourceState.ENDED),
        resource("c3", known.key),
    ]

    assert (runners.among(api, listed, resources), api.asked) == ({}, {})


# -- on a real engine ----------------------------------------------------------------------------------


@pytest.fixture
def moving(engine_url, image):
    """A name of the test's own, and `move`, which makes it mean a new image, as a build does."""
    name = "runscaler-test-moving:1"
    made = []

    def move():
        with connect(engine_url) as api:
            held = api.create_container(image, command=["/bin/sh"])
            made.append(api.commit(held["Id"], *name.split(":"), changes=f"LABEL mark={len(made)}")["Id"])
            api.remove_container(held["Id"])

    move()
    yield SimpleNamespace(name=name, move=move)
    with connect(engine_url) as api:
        for one in reversed(made):
            api.remove_image(one, force=True)


@pytest.mark.engine
def test_a_running_runner_is_outdated_once_its_name_means_another_image(moving, rig, owner):
    orders = Orders(rig)
    wanted = rig.settings(RunnerScript()).model_copy(update={"runner_image": moving.name})
    backend = factory.create(wanted, BackendContext(owner, None, SystemClock()))
    rig._owners.add(owner)
    backend.prepare(wanted, lambda *_: None, Interrupt())
    first = backend.start(replace(orders.make(slot=0), settings=wanted), Interrupt())
    assert [one.outdated for one in backend.inventory()] == [""]

    moving.move()
    second = backend.start(replace(orders.make(slot=1), settings=wanted), Interrupt())

    found = {one.id: (one.unfit, one.outdated) for one in backend.inventory()}
    backend.close()
    assert found == {
        first.id: ("", f"{moving.name} names another image than theirs now"),
        second.id: ("", ""),
    }
