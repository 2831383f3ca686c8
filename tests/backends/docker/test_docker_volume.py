from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
from docker.errors import APIError, NotFound
from support.engine import RunnerScript, connect, shell_layer

from runscaler.backends.docker.container import SHARED_VOLUME
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_contract import Orders

pytestmark = pytest.mark.engine
LEFT = {"io.runscaler.helper": "shared-volume"}
LOOK = '/bin/sh -c "stat -c %u:%g:%a \\"$SHARED_DIR\\"; touch \\"$SHARED_DIR\\"/made; ls \\"$SHARED_DIR\\""'


@pytest.fixture
def api(engine_url):
    with connect(engine_url) as api:
        discard(api)
        yield api


@pytest.fixture(autouse=True)
def no_volume_left(rig, engine_url):
    yield
    with connect(engine_url) as api:
        for name in rig.leftovers():
            api.remove_container(name, force=True)
        discard(api)


def discard(api):
    with suppress(NotFound):
        api.remove_volume(SHARED_VOLUME, force=True)


def look(rig, backend, api, path="/shared dir; false"):
    settings = rig.settings(RunnerScript(), shared_volume=path, run_command=LOOK)
    backend.prepare(settings, lambda *_: None, Interrupt())
    order = replace(Orders(rig).make(), settings=settings)
    resource = backend.start(order, Interrupt())
    api.wait(resource.id, timeout=60)
    return api.logs(resource.id).decode().splitlines()


def test_the_shared_volume_belongs_to_the_runner_before_it_starts(rig, api, owner):
    backend = rig.open(owner)

    assert look(rig, backend, api) == ["1001:123:2775", "made"]
    backend.close()


def test_what_lies_in_the_volume_stays_when_it_is_prepared_again(rig, api, owner):
    first, second = rig.open(owner), rig.open(owner)
    look(rig, first, api)
    first.close()

    assert look(rig, second, api) == ["1001:123:2775", "made"]
    second.close()


def test_a_volume_that_somebody_replaced_gets_its_owner_again(rig, api, owner):
    backend = rig.open(owner)
    look(rig, backend, api)
    for name in rig.leftovers():
        api.remove_container(name, force=True)
    api.remove_volume(SHARED_VOLUME)

    assert look(rig, backend, api) == ["1001:123:2775", "made"]
    backend.close()


def prepared(rig, owner, **docker):
    backend = rig.open(owner)
    settings = rig.settings(RunnerScript(), shared_volume="/shared", **docker)
    backend.prepare(settings, lambda *_: None, Interrupt())
    return backend, settings


def test_a_container_that_is_no_runner_and_never_starts_holds_the_volume(rig, api, owner):
    backend, _ = prepared(rig, owner)

    assert backend.inventory() == []
    assert rig.leftovers() == [f"runner-shared-{owner[:8]}"]
    assert api.inspect_container(f"runner-shared-{owner[:8]}")["State"]["Status"] == "created"
    with pytest.raises(APIError, match="in use"):
        api.remove_volume(SHARED_VOLUME)
    backend.close()


def test_the_volume_is_held_by_the_same_container_until_somebody_removes_that(rig, api, owner):
    backend, settings = prepared(rig, owner)
    (held,) = api.containers(all=True, filters={"name": f"runner-shared-{owner[:8]}"})
    backend.prepare(settings, lambda *_: None, Interrupt())
    (same,) = api.containers(all=True, filters={"name": f"runner-shared-{owner[:8]}"})
    api.remove_container(held["Id"])
    backend.prepare(settings, lambda *_: None, Interrupt())

    assert same["Id"] == held["Id"]
    assert rig.leftovers() == [f"runner-shared-{owner[:8]}"]
    backend.close()


def test_the_container_does_not_keep_an_old_image_of_the_same_name(rig, api, owner):
    rig.image, old = f"runscaler-test-renewed:{owner[:8]}", api.inspect_image(rig.image)["Id"]
    name, tag = rig.image.split(":")
    api.tag(old, name, tag)
    try:
        backend, settings = prepared(rig, owner)
        api.import_image_from_data(shell_layer(), name, tag)
        backend.prepare(settings, lambda *_: None, Interrupt())
        held = api.inspect_container(f"runner-shared-{owner[:8]}")

        assert held["Image"] == api.inspect_image(rig.image)["Id"] != old
        backend.close()
    finally:
        for one in rig.leftovers():
            api.remove_container(one, force=True)
        api.remove_image(rig.image)


def test_such_a_container_left_by_a_killed_daemon_is_replaced(rig, api, owner):
    api.create_container_from_config(
        {
            "Image": rig.image,
            "Cmd": ["/"],
            "Labels": {**LEFT, "io.runscaler.helper.owner": owner},
        },
        f"runner-shared-{owner[:8]}",
    )
    backend = rig.open(owner)

    assert backend.inventory() == []
    assert look(rig, backend, api) == ["1001:123:2775", "made"]
    backend.close()
