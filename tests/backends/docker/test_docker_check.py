from __future__ import annotations

import pytest
from support.engine import RunnerScript, connect, shell_layer
from support.registry import Registry

from runscaler.backends.base import BackendContext
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.check import findings
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import Images
from runscaler.backends.docker.socket_group import SocketGroups
from runscaler.config.proxy_url import ProxyUrl
from runscaler.findings import Level
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

pytestmark = pytest.mark.engine


@pytest.fixture
def backend(rig, owner):
    backend = rig.open(owner)
    yield backend
    backend.close()


@pytest.fixture
def registry():
    registry = Registry(shell_layer())
    yield registry
    registry.close()


def settings_of(rig, image=None, **docker):
    settings = rig.settings(RunnerScript(), **docker)
    return settings.model_copy(update={"runner_image": image}) if image else settings


def levels(findings):
    return [finding.level for finding in findings]


def test_what_is_well_is_said_with_version_and_image(rig, backend):
    engine, image = backend.check(settings_of(rig))

    assert (engine.level, image.level) == (Level.OK, Level.OK)
    assert rig.url in engine.message
    assert "API 1." in engine.message
    assert rig.image in image.message
    assert engine.scale_set == image.scale_set == settings_of(rig).name


def test_a_missing_image_that_its_registry_has_is_a_warning_and_is_not_pulled(rig, backend, registry):
    _, image = backend.check(settings_of(rig, registry.image, pull="missing"))

    assert image.level is Level.WARNING
    assert "its registry has it" in image.message
    assert not registry.gave_its_layer


def test_a_missing_image_that_its_registry_refuses_is_a_warning_with_its_words(rig, backend, registry):
    registry.refusal = (404, "MANIFEST_UNKNOWN")

    _, image = backend.check(settings_of(rig, registry.image, pull="missing"))

    assert image.level is Level.WARNING
    assert "manifest unknown" in image.message.lower()
    assert image.fixes


def test_the_image_of_a_sidecar_is_looked_for_too(rig, backend):
    with_sidecar = settings_of(rig, dind="sidecar", sidecar_image="runscaler-test-absent:2", network="none")

    runner, sidecar = (one for one in backend.check(with_sidecar) if "image" in one.message)

    assert (runner.level, sidecar.level) == (Level.OK, Level.ERROR)
    assert "runscaler-test-absent:2 is not on the engine" in sidecar.message


def test_settings_that_keep_a_sidecar_from_starting_are_errors(rig, backend):
    found = backend.check(settings_of(rig, dind="sidecar", sidecar_image=rig.image, network="host"))

    (error,) = (one for one in found if one.level is Level.ERROR)
    assert "network = 'host'" in error.message


def test_a_missing_image_that_may_not_be_pulled_is_an_error(rig, backend):
    _, image = backend.check(settings_of(rig, "runscaler-test-absent:1", pull="never"))

    assert image.level is Level.ERROR
    assert any("docker pull" in fix for fix in image.fixes)


def test_an_old_image_is_a_warning(rig, owner, registry, engine_url):
    engine, clock = Engine(EngineAddress(engine_url)), FakeClock()
    images, settings = Images(engine, clock), settings_of(rig, registry.image, pull="missing")
    images.ensure(ImageRequest.of(settings), lambda *_: None, Interrupt())

    _, image = findings(
        engine, images, SocketGroups(engine, BackendContext(owner, None, FakeClock())), settings
    )

    with connect(engine_url) as api:
        api.remove_image(registry.image)
    engine.disconnect()
    assert image.level is Level.WARNING
    assert "45 days old" in image.message


def test_a_dind_socket_that_is_not_there_is_an_error(rig, backend):
    findings = backend.check(settings_of(rig, dind=True, dind_socket="/no/such.sock"))

    assert levels(findings) == [Level.OK, Level.OK, Level.ERROR]
    assert "/no/such.sock" in findings[2].message


def test_a_network_that_is_not_there_is_an_error(rig, backend):
    findings = backend.check(settings_of(rig, network="no-such-network"))

    assert levels(findings) == [Level.OK, Level.OK, Level.ERROR]
    assert "no network no-such-network" in findings[2].message


@pytest.mark.parametrize("network", ["", "host", "none", "bridge"])
def test_a_network_that_is_always_there_is_not_looked_for(rig, backend, network):
    assert levels(backend.check(settings_of(rig, network=network))) == [Level.OK, Level.OK]


def test_more_cores_than_the_engine_has_are_an_error(rig, backend):
    findings = backend.check(settings_of(rig, cpu=4096))

    assert levels(findings) == [Level.OK, Level.OK, Level.ERROR]


def test_a_check_leaves_no_container(rig, backend):
    backend.check(settings_of(rig, dind=True))

    assert rig.leftovers() == []


@pytest.mark.parametrize("network", ["bridge", "host"])
def test_a_proxy_on_loopback_is_a_warning_where_containers_have_their_own(rig, backend, network):
    proxy = ProxyUrl("http://me:pw@localhost:1")
    settings = settings_of(rig, network=network).model_copy(update={"proxy": proxy})

    warnings = [one.message for one in backend.check(settings) if one.level is Level.WARNING]

    expected = "the proxy localhost:1 is on this host's loopback: runners in containers do without it"
    assert warnings == ([expected] if network == "bridge" else [])
