"""Which runner images go, and which others beside them never do."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from docker.errors import APIError, ImageNotFound
from support.docker_registry import DockerRegistry
from support.engine import connect

from runscaler.backends.base import SweepTarget
from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.backends.docker.image_pruning import ImagePruning, _Image, _removed
from runscaler.backends.docker.image_records import ImageRecords
from runscaler.backends.docker.image_request import ImageRequest
from runscaler.backends.docker.images import Images
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

pytestmark = pytest.mark.engine

DAY = 86_400.0


@pytest.fixture
def registry(engine_url, tmp_path):
    registry = DockerRegistry(tmp_path / "registry")
    yield registry
    registry.close()
    with connect(engine_url) as api:
        for image in api.images():
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            if any(one.startswith((f"{registry.host}/", "runscaler-test-mine:")) for one in names):
                api.remove_image(image["Id"], force=True)


@pytest.fixture
def clock():
    """It begins now, as the engine's own times are held against it."""
    return FakeClock(wall=time.time())


@pytest.fixture
def host(engine_url, registry, clock, tmp_path):
    """A daemon's part in images: `pull`, `pruning`, what is `there`, and a `restart`."""
    engine = Engine(EngineAddress(engine_url))
    state_dir = tmp_path / "state"
    host = SimpleNamespace(registry=registry, state_dir=state_dir)

    def restart():
        host.records = ImageRecords(state_dir, engine.url)
        host.images = Images(engine, clock, host.records)

    def settings(image="runner:1", **docker):
        docker = {"prune_images_after": 10 * DAY, **docker}
        return ScaleSetSettings(
            url="https://github.com/o",
            name="linux",
            token=Secret("t"),
            runner_image=f"{registry.host}/{image}",
            docker=DockerSettings(**docker),
        )

    def pull(image="runner:1"):
        clock.advance(2 * DAY)
        host.images.ensure(ImageRequest.of(settings(image)), lambda *_: None, Interrupt())

    def there(image):
        with connect(engine_url) as api:
            try:
                return bool(api.inspect_image(image))
            except ImageNotFound:
                return False

    host.restart, host.settings, host.pull, host.there = restart, settings, pull, there
    host.pruning = lambda *sets: ImagePruning(engine, clock, host.records, sets or (settings(),))
    restart()
    yield host
    engine.disconnect()


@pytest.fixture
def replaced(host):
    """The id of an image whose tag has gone on to a newer one."""
    old = host.registry.push("runner:1", "old")
    host.pull()
    host.registry.push("runner:1", "new")
    host.pull()
    return old


def days_pass(clock, *prunings, days=12):
    """With a look every day."""
    for _ in range(days):
        clock.advance(DAY)
        for pruning in prunings:
            pruning.run()


def test_an_image_that_lost_its_tag_goes_after_the_time_and_not_before(host, replaced, clock):
    pruning = host.pruning()
    clock.advance(7 * DAY)
    assert (pruning.plan(), str(pruning.run()), host.there(replaced)) == ([], "", True)

    clock.advance(4 * DAY)
    (planned,) = pruning.plan()
    assert isinstance(planned, SweepTarget)
    assert (planned.kind, planned.bytes > 1_000_000) == ("image", True)
    assert planned.name == f"{host.registry.host}/runner ({replaced[7:19]})"
    assert host.there(replaced)

    result = pruning.run()
    assert result.words.startswith(f"removed {planned.name} (up to ")
    assert (result.removed, result.bytes) == (1, planned.bytes)
    assert not host.there(replaced)
    assert pruning.plan() == []


def test_the_image_in_use_stays_for_ever(host, replaced, clock):
    days_pass(clock, host.pruning(), days=40)

    assert host.there(f"{host.registry.host}/runner:1")


def test_an_image_of_any_container_stays_and_its_time_begins_anew(host, replaced, clock, engine_url):
    pruning = host.pruning()
    with connect(engine_url) as api:
        somebodys = api.create_container(replaced, command=["/bin/sh"])["Id"]
        days_pass(clock, pruning, days=20)
        assert host.there(replaced)
        api.remove_container(somebodys)

    days_pass(clock, pruning, days=9)
    assert host.there(replaced)
    days_pass(clock, pruning, days=2)
    assert not host.there(replaced)


def test_look_alikes_stay(host, replaced, clock, engine_url):
    """Another tag and another repository of the registry, which somebody pulled; what is still tagged by
    somebody; a dangling image of somebody's build."""
    registry = host.registry
    kept = []
    with connect(engine_url) as api:
        for image in ("runner:2", "runner-2:1", "other:1"):
            registry.push(image, image)
            api.pull(f"{registry.host}/{image}")
            kept.append(f"{registry.host}/{image}")
        dangling = registry.push("other:1", "newer")
        api.pull(f"{registry.host}/other:1")
        api.tag(kept[-1], f"{registry.host}/other", "1", force=True)
        kept.append(dangling)
        api.tag(replaced, "runscaler-test-mine", "1")
        kept.append("runscaler-test-mine:1")

    days_pass(clock, host.pruning(), days=40)

    assert [one for one in kept if not host.there(one)] == []
    assert host.there(replaced)


def test_a_name_that_the_settings_had_earlier_goes_if_this_daemon_pulled_it(host, clock):
    host.registry.push("runner:1", "old")
    host.pull("runner:1")
    host.registry.push("runner:2", "new")
    host.pull("runner:2")

    days_pass(clock, host.pruning(host.settings("runner:2")), days=12)

    assert not host.there(f"{host.registry.host}/runner:1")
    assert host.there(f"{host.registry.host}/runner:2")


def test_a_name_that_the_settings_had_earlier_stays_if_it_was_there_before(host, clock, engine_url):
    host.registry.push("runner:1", "old")
    with connect(engine_url) as api:
        api.pull(f"{host.registry.host}/runner:1")
    host.pull("runner:1")
    host.registry.push("runner:2", "new")
    host.pull("runner:2")

    days_pass(clock, host.pruning(host.settings("runner:2")), days=40)

    assert host.there(f"{host.registry.host}/runner:1")


def test_a_restart_forgets_nothing(host, replaced, clock):
    host.restart()
    clock.advance(11 * DAY)

    host.pruning().run()

    assert not host.there(replaced)


def test_without_its_records_what_lost_its_tag_is_found_again_and_given_its_time(host, replaced, clock):
    for file in (host.state_dir / "docker").iterdir():
        file.write_text("spoiled")
    host.restart()
    pruning = host.pruning()
    clock.advance(100 * DAY)
    pruning.run()
    assert host.there(replaced)

    days_pass(clock, pruning, days=9)
    assert host.there(replaced)
    days_pass(clock, pruning, days=2)
    assert not host.there(replaced)


def test_what_was_tagged_lately_by_the_engines_own_clock_stays(host, replaced, engine_url):
    """Whatever the records say: this host's clock may have been wrong."""
    with connect(engine_url) as api:
        api.tag(replaced, "runscaler-test-mine", "1")
        api.remove_image("runscaler-test-mine:1")
    repository = f"{host.registry.host}/runner"
    engine = host.pruning()._engine
    host.records.is_wanted(replaced, repository, 0.0)

    def planned(days):
        now = FakeClock(wall=time.time() + days * DAY)
        return ImagePruning(engine, now, host.records, (host.settings(),)).plan()

    assert planned(days=9) == []
    assert [one.name for one in planned(days=11)] == [f"{repository} ({replaced[7:19]})"]


def test_a_scale_set_that_wants_none_pruned_keeps_those_of_its_repository(host, replaced, clock):
    keeping = host.settings(prune_images_after=0.0)

    days_pass(clock, host.pruning(host.settings(), keeping), days=40)

    assert host.there(replaced)


def test_of_several_times_the_longest_counts(host):
    pruning = host.pruning(host.settings(), host.settings("other:1", prune_images_after=20 * DAY))

    assert pruning.after == 20 * DAY


def test_a_sweep_is_planned_only_where_pruning_is_asked_for(host):
    assert [one.interval for one in host.pruning().sweeps()] == [6 * 3600.0]
    assert [one.interval for one in host.pruning(host.settings(prune_images_after=60.0)).sweeps()] == [60.0]
    assert host.pruning(host.settings(prune_images_after=0.0)).sweeps() == []
    assert host.pruning(host.settings(prune_images_after=0.0)).plan() == []


def test_what_the_engine_does_not_give_stays(host, replaced, clock, monkeypatch):
    def refuse(self, image, force=False, noprune=False):
        raise APIError("conflict")

    clock.advance(11 * DAY)
    monkeypatch.setattr("docker.APIClient.remove_image", refuse)

    assert str(host.pruning().run()) == ""
    monkeypatch.undo()
    assert host.there(replaced)


@pytest.mark.parametrize(("status", "is_said"), [(409, False), (500, True)])
def test_an_image_that_the_engine_cannot_remove_is_warned_about_but_not_one_in_use(
    log_lines, status, is_said
):
    def refuse(*_args, **_options):
        raise APIError("no", SimpleNamespace(status_code=status), "the disk is read-only")

    image = _Image("sha256:1", ("x:1",), frozenset(), 1)

    assert not _removed(SimpleNamespace(remove_image=refuse), image)
    assert log_lines == (["image x:1 stays: the disk is read-only\n"] if is_said else [])
