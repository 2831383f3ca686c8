from __future__ import annotations

import base64
import json
import threading
import traceback
from math import inf

import pytest
from support.engine import connect, shell_layer
from support.registry import Registry
from support.wire_server import WireServer, answer, hang_up, head, raw

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import Images, fits
from runscaler.backends.docker.pulls import record_layer
from runscaler.backends.docker.registry_logins import GivenLogin
from runscaler.config.secrets import Secret
from runscaler.errors import BackendDown, ImageMissing, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

PATIENCE = 60.0
GONE, THERE = answer({"message": "No such image"}, 404), answer({"Created": ""})


@pytest.fixture
def registry(engine_url):
    registry = Registry(shell_layer())
    yield registry
    registry.close()
    with connect(engine_url) as api:
        if api.images(registry.image):
            api.remove_image(registry.image, force=True)


@pytest.fixture
def engine(engine_url):
    engine = Engine(EngineAddress(engine_url))
    yield engine
    engine.disconnect()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def images(engine, clock):
    return Images(engine, clock)


@pytest.fixture
def answering(answers, clock):
    """The images of that engine."""
    engine = Engine(EngineAddress(answers.url))
    yield Images(engine, clock)
    engine.disconnect()


@pytest.fixture
def answers(monkeypatch, tmp_path):
    """An engine whose answers the test gives, and a Docker configuration of the test's own in tmp_path."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with WireServer() as server:
        server.on("GET", "/version", answer({"ApiVersion": "1.43"}), times=9)
        yield server


def ignore(what, done, total):
    pass


def ensure(images, request, progress=ignore):
    images.ensure(request, progress, Interrupt())


@pytest.mark.engine
def test_a_missing_image_is_pulled_with_progress(images, registry):
    seen = []
    request = ImageRequest(registry.image, pull="missing")
    assert images.find(request) is None

    ensure(images, request, lambda *step: seen.append(step))

    assert images.find(request) is not None
    assert {what for what, _, _ in seen} == {f"pulling {registry.image}"}


@pytest.mark.engine
def test_the_age_of_an_image_is_known_in_days(images, registry, clock):
    """The clock stands at 2027-01-15, the image was built on 2026-12-01."""
    request = ImageRequest(registry.image)
    assert images.age_in_days(request) is None

    assert images.built(request) is None
    ensure(images, request)

    assert images.age_in_days(request) == 45
    assert images.built(request) == images.find(request)


@pytest.mark.engine
def test_only_images_of_runners_grow_too_old(images, registry, clock, log_lines):
    ensure(images, ImageRequest(registry.image, is_runner=False))
    assert not any("days old" in line for line in log_lines)

    clock.advance(3600.0)
    ensure(images, ImageRequest(registry.image, pull_interval=3600.0))
    assert any("45 days old" in line for line in log_lines)


@pytest.mark.engine
def test_an_image_for_another_platform_is_not_the_one_that_is_wanted(images, registry):
    ensure(images, ImageRequest(registry.image))

    with pytest.raises(ImageMissing, match="for linux/s390x"):
        ensure(images, ImageRequest(registry.image, "linux/s390x", pull="never"))


@pytest.mark.engine
def test_always_looks_for_a_newer_image_once_and_again_after_its_interval(images, registry, clock):
    request = ImageRequest(registry.image, pull="always", pull_interval=3600.0)
    ensure(images, request)
    after_first = registry.pulls

    clock.advance(3599.0)
    ensure(images, request)
    assert registry.pulls == after_first

    clock.advance(2.0)
    ensure(images, request)
    assert registry.pulls > after_first


@pytest.mark.engine
def test_missing_asks_no_registry_for_what_is_there(images, registry):
    request = ImageRequest(registry.image, pull="missing")
    ensure(images, request)
    after_first = len(registry.requests)

    ensure(images, request)

    assert len(registry.requests) == after_first


@pytest.mark.engine
def test_a_failed_pull_of_a_present_image_is_no_reason_not_to_start(images, registry):
    request = ImageRequest(registry.image, pull="always")
    ensure(images, ImageRequest(registry.image, pull="missing"))
    registry.refusal = (503, "UNAVAILABLE")

    ensure(images, request)

    assert images.find(request) is not None


def log_in(folder, password):
    auth = base64.b64encode(f"me:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {"registry.invalid": {"auth": auth}}}))


@pytest.mark.parametrize(
    ("pull", "interval", "due_after"),
    [("always", 600.0, 600.0), ("always", 0.0, inf), ("missing", 600.0, inf), ("never", 600.0, inf)],
)
def test_a_newer_image_is_due_only_where_it_is_always_pulled(pull, interval, due_after):
    assert ImageRequest("runner", pull=pull, pull_interval=interval).due_after == due_after


def test_each_pull_goes_with_the_login_of_that_time(answers, clock, tmp_path):
    answers.on("GET", "/json", answer({"Created": ""}), times=9)
    answers.on("POST", "/images/create", answer({"status": "done"}), times=9)
    engine = Engine(EngineAddress(answers.url))
    images, wanted = Images(engine, clock), ImageRequest("registry.invalid/runner:1", pull_interval=60.0)

    for password in ("first", "second"):
        log_in(tmp_path, password)
        ensure(images, wanted)
        clock.advance(61.0)

    engine.disconnect()
    pulls = [one.headers["x-registry-auth"] for one in answers.requests("POST", "/images/create")]
    assert [json.loads(base64.urlsafe_b64decode(one))["password"] for one in pulls] == ["first", "second"]


@pytest.mark.parametrize("pull", ["always", "missing"])
def test_an_image_that_somebody_removed_is_pulled_again(answers, answering, pull):
    """Even while it need not be looked for at its registry yet."""
    answers.on("GET", "/json", GONE, THERE, THERE, GONE, THERE)
    answers.on("POST", "/images/create", answer({"status": "done"}), times=2)
    wanted = ImageRequest("registry.invalid/runner:1", pull=pull)

    pulls = []
    for _ in ("first", "still there", "removed"):
        ensure(answering, wanted)
        pulls.append(len(answers.requests("POST", "/images/create")))

    assert pulls == [1, 1, 2]


def test_an_interval_of_0_looks_for_a_newer_image_once_only(answers, answering, clock):
    answers.on("GET", "/json", THERE, times=9)
    answers.on("POST", "/images/create", answer({"status": "done"}), times=2)
    wanted = ImageRequest("registry.invalid/runner:1", pull_interval=0)

    ensure(answering, wanted)
    clock.advance(365 * 86_400.0)
    ensure(answering, wanted)

    assert len(answers.requests("POST", "/images/create")) == 1


def test_an_engine_that_goes_down_in_a_pull_is_down_even_if_the_image_is_present(answers, answering):
    answers.on("GET", "/json", THERE, times=9)
    answers.on("POST", "/images/create", hang_up())

    with pytest.raises(BackendDown):
        ensure(answering, ImageRequest("registry.invalid/runner:1"))


def pull_progress(*lines):
    """The answer to a pull: one JSON object after the other."""
    body = b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    return raw(head(200, {"Transfer-Encoding": "chunked"}) + chunks)


def test_an_error_within_the_progress_of_a_pull_fails_it(answers, answering):
    answers.on("GET", "/json", GONE)
    answers.on("POST", "/images/create", pull_progress({"status": "x"}, {"error": "unexpected\n EOF"}))

    with pytest.raises(ImageMissing, match=r"cannot pull image registry\..*: unexpected EOF"):
        ensure(answering, ImageRequest("registry.invalid/runner:1"))


def test_a_pull_that_takes_longer_than_half_an_hour_fails(answers, answering, clock):
    answers.on("GET", "/json", GONE, THERE)
    answers.on("POST", "/images/create", pull_progress({"status": "x"}, {"status": "y"}))

    with pytest.raises(ImageMissing, match="took longer than 30 minutes"):
        ensure(answering, ImageRequest("registry.invalid/runner:1"), lambda *_: clock.advance(1801.0))


@pytest.mark.filterwarnings("ignore:docker-credential-missing")
def test_without_its_credential_helper_a_pull_is_tried_without_a_login(answers, clock, tmp_path, log_lines):
    (tmp_path / "config.json").write_text('{"credHelpers": {"registry.invalid": "missing"}}')
    answers.on("GET", "/json", GONE, THERE)
    answers.on("POST", "/images/create", answer({"status": "done"}))
    engine = Engine(EngineAddress(answers.url))

    ensure(Images(engine, clock), ImageRequest("registry.invalid/runner:1"))

    engine.disconnect()
    (pull,) = answers.requests("POST", "/images/create")
    assert json.loads(base64.urlsafe_b64decode(pull.headers["x-registry-auth"])) == {}
    (line,) = [line for line in log_lines if "docker-credential-missing" in line]
    assert "trying without a login" in line


def test_a_mirror_without_the_image_is_passed_over(answers, answering, log_lines):
    answers.on("GET", "/json", GONE, THERE)
    answers.on(
        "POST", "/images/create", answer({"message": "manifest unknown"}, 404), answer({"status": "x"})
    )

    ensure(answering, ImageRequest("registry.invalid/runner:1", mirror="http://mirror.invalid"))

    pulls = [one.target for one in answers.requests("POST", "/images/create")]
    assert [("mirror.invalid%2Fregistry.invalid%2Frunner" in target) for target in pulls] == [True, False]
    assert any("manifest unknown; trying registry.invalid" in line for line in log_lines)


def test_what_the_engine_repeats_of_a_login_is_masked(answers, answering, log_lines):
    answers.on("GET", "/json", GONE)
    answers.on("POST", "/images/create", answer({"message": "login me:hunter2 refused: unauthorized"}, 500))
    login = GivenLogin("registry.invalid", Secret("me"), Secret("hunter2"))

    with pytest.raises(ImageMissing) as caught:
        ensure(answering, ImageRequest("registry.invalid/runner:1", logins=(login,)))

    assert str(caught.value).endswith("says: login me:******** refused: unauthorized")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + "".join(log_lines)


def test_a_login_for_docker_hub_bears_the_name_that_engines_know_it_by(answers, answering):
    answers.on("GET", "/json", GONE, THERE)
    answers.on("POST", "/images/create", answer({"status": "done"}))

    ensure(
        answering, ImageRequest("my/runner:1", logins=(GivenLogin("docker.io", Secret("a"), Secret("b")),))
    )

    (pull,) = answers.requests("POST", "/images/create")
    sent = json.loads(base64.urlsafe_b64decode(pull.headers["x-registry-auth"]))
    assert sent == {"username": "a", "password": "b", "serveraddress": "https://index.docker.io/v1/"}


@pytest.mark.engine
def test_an_image_that_cannot_be_had_is_missing_with_the_registrys_words(images, registry):
    registry.refusal = (404, "MANIFEST_UNKNOWN")

    with pytest.raises(ImageMissing, match=registry.image) as caught:
        ensure(images, ImageRequest(registry.image))

    assert any("docker login" in fix for fix in caught.value.fixes)


@pytest.mark.engine
def test_never_pulls_nothing(images, registry):
    with pytest.raises(ImageMissing, match='pull is "never"'):
        ensure(images, ImageRequest(registry.image, pull="never"))

    assert registry.requests == []


@pytest.mark.engine
def test_sets_with_the_same_image_pull_it_once_together(images, registry):
    request = ImageRequest(registry.image, pull="always")
    threads = [threading.Thread(target=ensure, args=(images, request)) for _ in range(5)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    alone = registry.pulls
    with_another = Images(images._engine, FakeClock())
    ensure(with_another, request)
    assert registry.pulls <= alone * 2


@pytest.mark.engine
def test_an_interrupted_caller_pulls_nothing(images, registry):
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted):
        images.ensure(ImageRequest(registry.image), ignore, interrupt)

    assert registry.requests == []


def test_a_platform_fits_as_far_as_both_name_it():
    image = {"Os": "linux", "Architecture": "arm", "Variant": "v7"}

    assert fits("", image)
    assert fits("linux/arm", image)
    assert fits("linux/arm/v7", image)
    assert not fits("linux/arm/v6", image)
    assert not fits("linux/amd64", image)


def test_progress_adds_the_layers_up_and_counts_a_finished_one_in_full():
    layers: dict[str, tuple[int, int]] = {}
    for line in (
        {"status": "Pulling from runner", "id": "latest"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Download complete", "id": "a", "progressDetail": {}},
    ):
        record_layer(layers, line)

    assert layers == {"a": (100, 100), "b": (5, 50)}
