"""Runner images from a real registry: policies, refreshes, logins, the mirror, joined pulls."""

from __future__ import annotations

import base64
import json
import threading
from types import SimpleNamespace

import pytest
from support.docker_registry import PASSWORD, USER, DockerRegistry
from support.engine import connect

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import Images, image_id
from runscaler.backends.docker.registry_logins import GivenLogin
from runscaler.config.secrets import Secret
from runscaler.errors import ImageMissing
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

pytestmark = pytest.mark.engine

PATIENCE = 60.0
HOUR = 3600.0
WRONG = "a wrong s3cr3t"


@pytest.fixture
def open_registry(engine_url, tmp_path):
    """A factory; what an engine got from these registries is removed from it."""
    opened = []

    def _open(**options):
        opened.append(DockerRegistry(tmp_path / f"registry{len(opened)}", **options))
        return opened[-1]

    yield _open
    for registry in opened:
        registry.close()
    with connect(engine_url) as api:
        for image in api.images(all=True):
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            if any(one.startswith(f"{registry.host}/") for one in names for registry in opened):
                api.remove_image(image["Id"], force=True)


@pytest.fixture
def registry(open_registry):
    return open_registry()


@pytest.fixture
def private(open_registry):
    registry = open_registry(login=True)
    registry.push("runner:1")
    return registry


@pytest.fixture(autouse=True)
def docker_config(monkeypatch, tmp_path):
    """A Docker configuration of the test's own: `write` sets it."""
    folder = tmp_path / "docker-config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return SimpleNamespace(
        write=lambda content: (folder / "config.json").write_text(json.dumps(content)), folder=folder
    )


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def images(engine_url, clock):
    engine = Engine(EngineAddress(engine_url))
    yield Images(engine, clock)
    engine.disconnect()


def ignore(what, done, total):
    pass


def ensure(images, request, progress=ignore):
    images.ensure(request, progress, Interrupt())


def id_of(images, request):
    found = images.inspect(request)
    return "" if found is None else image_id(found)


def of(registry, **more):
    return ImageRequest(f"{registry.host}/runner:1", **more)


def login(registry, password=PASSWORD, user=USER):
    return (GivenLogin(registry.host, Secret(user), Secret(password)),)


def config_login(password):
    return {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}


# -- policies ------------------------------------------------------------------------------------------


def test_always_takes_a_newer_image_after_its_interval_and_says_so(images, registry, clock, log_lines):
    request = of(registry, pull_interval=HOUR)
    first = registry.push("runner:1", "first")
    ensure(images, request)
    assert id_of(images, request) == first
    second = registry.push("runner:1", "second")

    clock.advance(HOUR - 1)
    ensure(images, request)
    assert id_of(images, request) == first
    assert not any("a newer image" in line for line in log_lines)

    clock.advance(2)
    ensure(images, request)
    assert id_of(images, request) == second
    assert any("a newer image" in line and "the next runners use it" in line for line in log_lines)


def test_missing_takes_what_is_there_whatever_the_registry_has(images, registry, clock):
    request = of(registry, pull="missing", pull_interval=HOUR)
    first = registry.push("runner:1", "first")
    ensure(images, request)
    asked = registry.manifest_requests("runner:1")
    registry.push("runner:1", "second")

    clock.advance(10 * HOUR)
    ensure(images, request)

    assert id_of(images, request) == first
    assert registry.manifest_requests("runner:1") == asked


def test_never_uses_what_is_there_and_asks_nobody(images, registry):
    registry.push("runner:1")
    with pytest.raises(ImageMissing, match='pull is "never"'):
        ensure(images, of(registry, pull="never"))
    ensure(images, of(registry, pull="missing"))
    asked = registry.manifest_requests("runner:1")

    ensure(images, of(registry, pull="never"))

    assert registry.manifest_requests("runner:1") == asked > 0


def test_a_registry_that_is_gone_is_asked_again_after_an_hour(images, registry, clock, log_lines):
    request = of(registry, pull_interval=24 * HOUR)
    registry.push("runner:1")
    ensure(images, request)
    registry.close()

    warned = []
    for hours in (23, 1.5, 0.5, 0.75):
        clock.advance(hours * HOUR)
        ensure(images, request)
        warned.append(sum("the image on the engine is used" in line for line in log_lines))

    assert warned == [0, 1, 1, 2]


def test_scale_sets_with_other_intervals_share_the_shorter_one(images, registry, clock):
    often, seldom = of(registry, pull_interval=HOUR), of(registry, pull_interval=24 * HOUR)
    registry.push("runner:1", "first")
    ensure(images, seldom)
    second = registry.push("runner:1", "second")

    clock.advance(HOUR)
    ensure(images, often)
    asked = registry.manifest_requests("runner:1")
    ensure(images, seldom)

    assert id_of(images, seldom) == second
    assert registry.manifest_requests("runner:1") == asked


# -- one more look when GitHub refuses the runner ------------------------------------------------------


def test_a_refused_runner_lets_a_newer_image_be_pulled_at_once(images, registry):
    request = of(registry, pull="missing")
    registry.push("runner:1", "first")
    ensure(images, request)
    second = registry.push("runner:1", "second")

    assert images.look_again(request)
    ensure(images, request)

    assert id_of(images, request) == second


def test_a_refused_runner_is_looked_into_once_an_hour(images, registry, clock, log_lines):
    request = of(registry)
    registry.push("runner:1")
    ensure(images, request)
    asked = registry.manifest_requests("runner:1")

    answers = []
    for _ in range(3):
        answers.append(images.look_again(request))
        ensure(images, request)
    assert answers == [True, False, False]
    assert asked < registry.manifest_requests("runner:1") <= 2 * asked
    assert sum("there is no newer image" in line for line in log_lines) == 1

    clock.advance(HOUR)
    assert images.look_again(request)


def test_where_nothing_may_be_pulled_a_refused_runner_changes_nothing(images, registry):
    assert not images.look_again(of(registry, pull="never"))


# -- logins --------------------------------------------------------------------------------------------


def test_the_settings_login_wins_over_the_docker_configuration(images, private, docker_config):
    docker_config.write({"auths": {private.host: config_login(WRONG)}})

    ensure(images, of(private, logins=login(private)))

    assert images.find(of(private)) is not None


def test_a_login_of_another_registry_is_not_sent(images, private, docker_config):
    docker_config.write({"auths": {private.host: config_login(PASSWORD)}})

    ensure(images, of(private, logins=(GivenLogin("ghcr.io", Secret(USER), Secret(WRONG)),)))

    assert images.find(of(private)) is not None


def test_a_password_in_a_file_is_read_at_each_pull(images, private, clock, tmp_path):
    file = tmp_path / "password"
    file.write_text(WRONG)
    logins = (GivenLogin(private.host, Secret(USER), Secret(WRONG, file)),)
    with pytest.raises(ImageMissing):
        ensure(images, of(private, logins=logins))

    file.write_text(f"{PASSWORD}\n")
    ensure(images, of(private, logins=logins))

    assert images.find(of(private)) is not None


def test_a_wrong_password_is_one_clear_line_without_it(images, private, log_lines):
    with pytest.raises(ImageMissing) as caught:
        ensure(images, of(private, logins=login(private, WRONG)))

    said = str(caught.value)
    assert said.startswith(f"cannot pull image {private.host}/runner:1: the engine ")
    assert "\n" not in said
    assert WRONG not in said + repr(caught.value.fixes) + "".join(log_lines)
    assert caught.value.fixes[0] == (
        f"correct user and password for {private.host} in [docker.registry-auth]"
    )


def test_no_login_is_one_clear_line_too(images, private):
    with pytest.raises(ImageMissing, match=r"no basic auth credentials") as caught:
        ensure(images, of(private))

    assert any("docker login" in fix for fix in caught.value.fixes)


def credential_helper(monkeypatch, tmp_path, script):
    folder = tmp_path / "helpers"
    folder.mkdir()
    helper = folder / "docker-credential-fake"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_a_credential_helper_is_asked(images, private, docker_config, monkeypatch, tmp_path):
    answer = json.dumps({"ServerURL": private.host, "Username": USER, "Secret": PASSWORD})
    credential_helper(monkeypatch, tmp_path, f"cat > {tmp_path}/asked; echo '{answer}'")
    docker_config.write({"credHelpers": {private.host: "fake"}})

    ensure(images, of(private))

    assert (tmp_path / "asked").read_text() == private.host


def test_a_credential_helper_that_fails_is_one_clear_line(
    images, private, docker_config, monkeypatch, tmp_path
):
    credential_helper(monkeypatch, tmp_path, "echo 'the keyring is locked'; exit 1")
    docker_config.write({"credHelpers": {private.host: "fake"}})

    with pytest.raises(ImageMissing, match="the keyring is locked") as caught:
        ensure(images, of(private))

    assert "\n" not in str(caught.value)
    assert any("docker-credential-fake get" in fix for fix in caught.value.fixes)


def test_a_credential_helper_that_knows_nothing_is_asked_once_a_pull(
    images, registry, docker_config, monkeypatch, tmp_path
):
    registry.push("runner:1")
    credential_helper(
        monkeypatch,
        tmp_path,
        f"echo >> {tmp_path}/times; echo credentials not found in native keychain; exit 1",
    )
    docker_config.write({"credHelpers": {registry.host: "fake"}})

    ensure(images, of(registry))

    assert (tmp_path / "times").read_text() == "\n"


def test_a_credential_helper_that_is_not_there_is_warned_about(images, registry, docker_config, log_lines):
    registry.push("runner:1")
    docker_config.write({"credsStore": "absent"})

    ensure(images, of(registry))

    assert images.find(of(registry)) is not None
    (line,) = [one for one in log_lines if "docker-credential-absent" in one]
    assert "trying without a login" in line


# -- the mirror ----------------------------------------------------------------------------------------


@pytest.fixture
def of_the_hub(engine_url):
    """An image of Docker Hub that Docker Hub does not have."""
    name = "runscaler-test-mirrored:1"
    yield name
    with connect(engine_url) as api:
        for image in api.images(name):
            api.remove_image(image["Id"], force=True)


def tags_of(engine_url, image):
    with connect(engine_url) as api:
        return api.inspect_image(image)["RepoTags"]


def test_the_mirror_gives_images_of_docker_hub(images, registry, of_the_hub, engine_url, clock):
    request = ImageRequest(of_the_hub, pull_interval=HOUR, mirror=f"http://{registry.host}")
    first = registry.push(f"library/{of_the_hub}", "first")
    seen = []
    ensure(images, request, lambda *step: seen.append(step))
    assert (id_of(images, request), tags_of(engine_url, of_the_hub)) == (first, [of_the_hub])

    second = registry.push(f"library/{of_the_hub}", "second")
    clock.advance(HOUR)
    ensure(images, request)

    assert (id_of(images, request), tags_of(engine_url, of_the_hub)) == (second, [of_the_hub])
    assert {what for what, _, _ in seen} == {f"pulling {of_the_hub}"}


def test_the_mirror_gets_its_own_login(images, private, of_the_hub):
    private.push(f"library/{of_the_hub}")
    both = (*login(private), GivenLogin("docker.io", Secret("somebody"), Secret(WRONG)))

    ensure(images, ImageRequest(of_the_hub, mirror=f"http://{private.host}", logins=both))

    assert images.find(ImageRequest(of_the_hub)) is not None


def test_a_mirror_that_is_down_is_warned_about_and_passed_over(images, registry, of_the_hub, log_lines):
    request = ImageRequest(of_the_hub, mirror=f"http://{registry.host}")
    registry.close()

    with pytest.raises(ImageMissing, match=rf"^cannot pull image {of_the_hub}: "):
        ensure(images, request)

    (line,) = [one for one in log_lines if "from the mirror" in one]
    assert line.endswith("; trying docker.io\n")


# -- several at once -----------------------------------------------------------------------------------


def test_pulls_at_the_same_time_ask_the_registry_once(images, registry, engine_url):
    registry.push("runner:1")
    registry.push("alone:1", "alone")
    ensure(images, ImageRequest(f"{registry.host}/alone:1"))
    once = registry.manifest_requests("alone:1")
    together = [threading.Thread(target=ensure, args=(images, of(registry))) for _ in range(5)]

    for thread in together:
        thread.start()
    for thread in together:
        thread.join(PATIENCE)

    assert registry.manifest_requests("runner:1") == once > 0


def test_the_bytes_of_a_pull_are_seen(images, registry):
    size = 8 * 1024 * 1024
    registry.push("runner:1", more_bytes=size)
    seen = []

    ensure(images, of(registry), lambda what, done, total: seen.append((done, total)))

    done, total = seen[-1]
    assert done == total >= size
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
