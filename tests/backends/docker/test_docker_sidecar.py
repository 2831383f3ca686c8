"""`dind = "sidecar"` on a real engine, with a real engine in each sidecar (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.engine import DockerRig, RunnerScript, connect
from support.sidecar import IMPORT_TINY, SidecarEngine, runner_image, sidecar_image, with_entrypoint

from runscaler.backends.base import ResourceState
from runscaler.backends.docker import factory
from runscaler.backends.docker.sidecar import DEAD_SIDECAR, Sidecars
from runscaler.clock import SystemClock
from runscaler.errors import ImageMissing, Interrupted, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.testing.backend_contract import Orders
from runscaler.testing.backend_rig import wait_for_output

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def engine_url():
    engine = SidecarEngine()
    engine.start()
    yield engine.url
    engine.close()


@pytest.fixture(scope="module")
def images(engine_url):
    return runner_image(engine_url), sidecar_image(engine_url)


@pytest.fixture
def rig(engine_url, images):
    rig = DockerRig(engine_url, images[0])
    yield rig
    with connect(engine_url) as api:
        for name in rig.leftovers():
            api.remove_container(name, force=True, v=True)


@pytest.fixture
def backend(rig, owner):
    backend = rig.open(owner)
    yield backend
    backend.close()


@pytest.fixture
def api(engine_url):
    with connect(engine_url) as api:
        yield api


@pytest.fixture
def order(rig, images):
    """`order("script")`: a runner with a sidecar that runs a script, and sleeps after it."""

    def make(script="true", seconds=60.0, **docker):
        run = f'/bin/sh -c "{script}; exec sleep 600"'
        keys = {"dind": "sidecar", "sidecar_image": images[1], "run_command": run}
        settings = rig.settings(RunnerScript(), **keys | docker)
        deadline = SystemClock().monotonic() + seconds
        return replace(Orders(rig).make(), settings=settings, deadline=deadline)

    return make


def sidecar_of(api, resource):
    return api.inspect_container(f"{resource.runner}-engine")


def nothing_is_left(rig, api):
    return rig.leftovers() == [] and api.volumes()["Volumes"] in ([], None)


def removed(backend, resource, *, force=True):
    backend.remove(resource, force=force, interrupt=Interrupt())


# -- what a job finds -------------------------------------------------------------------------------


def test_a_job_sees_its_own_engine_only(backend, order, rig, api):
    starts = f"{IMPORT_TINY} && docker run --detach --name NAME tiny sleep 600 > /dev/null"
    script = f"{starts}; docker ps --all --format {{{{.Names}}}}; echo done"
    names = ("first", "second")
    resources = [backend.start(order(script.replace("NAME", name)), Interrupt()) for name in names]

    outputs = [wait_for_output(backend, resource, b"done") for resource in resources]

    assert outputs == [b"first\ndone\n", b"second\ndone\n"]
    on_the_host = {name for one in api.containers(all=True) for name in one["Names"]}
    assert on_the_host == {f"/{one.runner}{end}" for one in resources for end in ("", "-engine")}


def test_job_containers_find_the_workspace_and_the_externals_of_the_runner(backend, order, api):
    mounts = "-v /home/runner/_work:/w -v /home/runner/externals:/e:ro"
    script = (
        "cd /home/runner && mkdir _work/repository && echo checked-out > _work/repository/file; "
        f"{IMPORT_TINY} && docker run --rm {mounts} tiny cat /w/repository/file /e/node; echo done"
    )

    resource = backend.start(order(script), Interrupt())

    assert wait_for_output(backend, resource, b"done") == b"checked-out\nnode of the image\ndone\n"


def test_ports_that_a_job_publishes_are_at_localhost(backend, order):
    serve = "docker run --detach --publish 8080:80 tiny nc -ll -p 80 -e echo hello > /dev/null"
    ask = "until nc 127.0.0.1 8080 > ~/answer; test -s ~/answer; do sleep 0.1; done; cat ~/answer"
    script = f"{IMPORT_TINY} && {serve}; {ask.replace('~', '/home/runner')}; echo done"

    resource = backend.start(order(script, network=""), Interrupt())

    assert wait_for_output(backend, resource, b"done") == b"hello\ndone\n"


def test_a_job_is_told_where_the_engine_is_and_has_the_right_to_use_it(backend, order):
    resource = backend.start(
        order("echo $DOCKER_HOST; id -u; test -w /var/run/docker.sock && echo done"), Interrupt()
    )

    assert wait_for_output(backend, resource, b"done") == b"unix:///var/run/docker.sock\n1001\ndone\n"


def test_neither_the_jit_configuration_nor_the_environment_of_jobs_is_in_the_sidecar(backend, order, api):
    made = order(env={"SECRET": "s3cr3t"})
    jit = made.jit().encoded.reveal()

    resource = backend.start(made, Interrupt())

    assert jit in str(api.inspect_container(resource.id))
    inspected = str(sidecar_of(api, resource))
    assert jit not in inspected
    assert "s3cr3t" not in inspected


def test_limits_hold_for_the_sidecar_too(backend, order, api):
    resource = backend.start(order(memory=512, cpu=0.5), Interrupt())

    host = sidecar_of(api, resource)["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (512 * 1024 * 1024, 500_000_000)
    assert host["Privileged"] is True


# -- its end ----------------------------------------------------------------------------------------


def test_it_goes_with_its_runner_and_so_do_its_volumes(backend, order, rig, api):
    killed, ended = (backend.start(order(script), Interrupt()) for script in ("true", "exit 0"))
    api.wait(ended.id)

    removed(backend, killed)
    removed(backend, ended, force=False)

    assert nothing_is_left(rig, api)


def test_only_that_of_the_runner_goes(backend, order, rig, api):
    other = rig.open(new_owner_id())
    mine, second, foreign = (each.start(order(), Interrupt()) for each in (backend, backend, other))

    removed(backend, mine)

    assert sidecar_of(api, second)["State"]["Running"]
    assert sidecar_of(api, foreign)["State"]["Running"]
    removed(other, foreign)
    other.close()


def test_it_is_no_runner_of_its_own(backend, order):
    resource = backend.start(order(), Interrupt())

    assert [(one.id, one.state, one.unfit) for one in backend.inventory()] == [
        (resource.id, ResourceState.RUNNING, "")
    ]


def test_a_runner_without_it_is_unfit(backend, order, api):
    resource = backend.start(order(), Interrupt())

    api.kill(f"{resource.runner}-engine")
    api.wait(f"{resource.runner}-engine")

    (listed,) = backend.inventory()
    assert (listed.state, listed.unfit) == (ResourceState.RUNNING, DEAD_SIDECAR)


# -- starts that fail -------------------------------------------------------------------------------


def test_its_image_is_prepared_with_that_of_the_runner(backend, order):
    settings = order(sidecar_image="runscaler-test-absent:1").settings

    with pytest.raises(ImageMissing, match="runscaler-test-absent:1 is not on the engine"):
        backend.prepare(settings, lambda *_: None, Interrupt())
    backend.prepare(order().settings, lambda *_: None, Interrupt())


def test_what_a_sidecar_said_last_is_why_the_start_failed(backend, order, rig, api, engine_url):
    image = with_entrypoint(engine_url, "echo trying; echo the disk is full; exit 1")

    with pytest.raises(StartFailed, match=r"ended before it answered; it said: the disk is full$"):
        backend.start(order(sidecar_image=image), Interrupt())

    assert nothing_is_left(rig, api)


def test_an_engine_that_never_answers_is_given_up_at_the_start_timeout(backend, order, rig, api, engine_url):
    image = with_entrypoint(engine_url, "echo still loading; exec sleep 600", docker=True)

    with pytest.raises(StartFailed, match=r"start-timeout has passed; it said: still loading$"):
        backend.start(order(seconds=8.0, sidecar_image=image), Interrupt())

    assert nothing_is_left(rig, api)


def test_an_image_whose_engine_cannot_be_asked_is_named(backend, order, rig, api, engine_url):
    image = with_entrypoint(engine_url, "exec sleep 600")

    with pytest.raises(StartFailed, match=f"image {image}\\) has no docker command") as raised:
        backend.start(order(sidecar_image=image), Interrupt())

    assert "docker:dind" in raised.value.fixes[0]
    assert nothing_is_left(rig, api)


def test_a_start_that_is_interrupted_leaves_nothing(backend, order, rig, api, monkeypatch):
    interrupt = Interrupt()

    def interrupted(*_):
        interrupt.set()
        interrupt.wait(0)

    monkeypatch.setattr(Sidecars, "_await", interrupted)

    with pytest.raises(Interrupted):
        backend.start(order(), interrupt)

    assert nothing_is_left(rig, api)


def test_a_survey_counts_a_runner_and_its_sidecar_once_and_removes_both(backend, order, rig, api):
    settings = order().settings
    resource = backend.start(order(), Interrupt())
    survey = factory.survey(settings, (), SystemClock())

    (leftover,) = survey.leftovers()
    survey.remove(leftover, Interrupt())

    assert leftover.name == resource.runner
    assert nothing_is_left(rig, api)
    survey.close()


def test_a_survey_finds_a_sidecar_whose_runner_is_gone(backend, order, api):
    resource = backend.start(order(), Interrupt())
    api.remove_container(resource.id, force=True, v=True)
    survey = factory.survey(order().settings, (), SystemClock())

    assert [one.name for one in survey.leftovers()] == [f"{resource.runner}-engine"]
    survey.close()


# -- daemons that are killed ------------------------------------------------------------------------


def test_what_a_daemon_that_was_killed_in_a_start_left_goes_with_the_runner(
    backend, order, rig, owner, api, monkeypatch
):
    monkeypatch.setattr(type(backend), "_discard", lambda *_: None)
    monkeypatch.setattr(Sidecars, "_await", killed)
    with pytest.raises(Killed):
        backend.start(order(), Interrupt())
    monkeypatch.undo()

    successor = rig.open(owner)
    (found,) = successor.inventory()
    assert found.state is ResourceState.ENDED
    assert len(rig.leftovers()) == 2
    removed(successor, found, force=False)
    successor.close()

    assert nothing_is_left(rig, api)


def test_what_a_daemon_that_was_killed_in_a_removal_left_goes_with_the_runner(
    backend, order, rig, owner, api, monkeypatch
):
    resource = backend.start(order(), Interrupt())
    monkeypatch.setattr("runscaler.backends.docker.companions.remove_sidecars", killed)
    with pytest.raises(Killed):
        removed(backend, resource)
    monkeypatch.undo()

    successor = rig.open(owner)
    (found,) = successor.inventory()
    removed(successor, found, force=False)
    successor.close()

    assert nothing_is_left(rig, api)


def test_one_whose_runner_somebody_removed_goes_with_the_next_inventory(backend, order, rig, api, log_lines):
    resource, other = backend.start(order(), Interrupt()), backend.start(order(), Interrupt())
    api.remove_container(resource.id, force=True, v=True)

    found = backend.inventory()

    assert [one.runner for one in found] == [other.runner]
    assert sorted(rig.leftovers()) == [other.runner, f"{other.runner}-engine"]
    assert any(
        f"removing the engine of {resource.runner}, whose container is gone" in line for line in log_lines
    )


class Killed(BaseException):
    pass


def killed(*_):
    raise Killed
