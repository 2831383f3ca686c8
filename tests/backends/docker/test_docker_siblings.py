"""What a job leaves beside its runner goes with it, and nothing else does (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
from support.engine import RunnerScript, connect
from support.siblings import ALL, LeftByJob, label_of

from runscaler.errors import BackendError
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.testing.backend_contract import Orders

pytestmark = pytest.mark.engine


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
def started(rig, backend):
    """`started(RunnerScript(), dind=True)` starts a runner that may use the engine."""
    orders = Orders(rig)

    def start(script=None, on=backend, **docker):
        settings = rig.settings(script or RunnerScript(), **{"dind": True, **docker})
        return on.start(replace(orders.make(), settings=settings), Interrupt())

    return start


@pytest.fixture
def left_by(rig, image):
    """`left_by(resource)` makes what the job of a runner leaves."""
    with ExitStack() as undo:

        def leave(resource, label=None, **more_labels):
            label = label_of(rig.url, resource.id) if label is None else label
            return undo.enter_context(LeftByJob(rig.url, image, label, more_labels))

        yield leave


def removed(backend, resource, *, force=True):
    backend.remove(resource, force=force, interrupt=Interrupt())


def test_what_the_job_of_an_ended_runner_left_goes_with_it_and_that_of_others_stays(
    rig, backend, api, started, left_by
):
    other = rig.open(new_owner_id())
    ended, live, foreign = started(RunnerScript(exit_code=0)), started(), started(on=other)
    of_ended, of_live, of_foreign = left_by(ended), left_by(live), left_by(foreign)
    api.wait(ended.id)

    removed(backend, ended, force=False)

    assert set(of_live.left()) == ALL == set(of_foreign.left())
    assert of_ended.left() == []
    assert [one.runner for one in backend.inventory()] == [live.runner]
    other.close()


@pytest.mark.parametrize("restarted", [False, True])
def test_what_is_left_goes_although_somebody_removed_the_runners_container(
    rig, owner, backend, api, started, left_by, restarted
):
    resource, other = started(), started()
    left, of_other = left_by(resource), left_by(other)
    if restarted:
        backend = rig.open(owner)
        backend.inventory()
    api.remove_container(resource.id, force=True)

    removed(backend, resource)

    assert left.left() == []
    assert set(of_other.left()) == ALL
    if restarted:
        backend.close()


def test_a_runner_that_is_removed_by_force_takes_what_its_job_left_with_it(backend, started, left_by):
    resource = started()
    left = left_by(resource)

    removed(backend, resource)

    assert left.left() == []
    assert backend.inventory() == []


def test_the_runner_is_found_again_until_all_is_gone(rig, owner, backend, started, left_by, monkeypatch):
    """As with `kill -9` between the two."""
    resource = started()
    left = left_by(resource)
    monkeypatch.setattr(
        "runscaler.backends.docker.companions.remove_siblings", lambda *_: (_ for _ in ()).throw(Killed)
    )

    with pytest.raises(Killed):
        removed(backend, resource)

    monkeypatch.undo()
    successor = rig.open(owner)
    (found,) = successor.inventory()
    assert set(left.left()) == ALL
    removed(successor, found, force=False)
    assert left.left() == []
    successor.close()


class Killed(BaseException):
    pass


def test_a_runner_that_runs_keeps_what_its_job_made_where_it_must_not_be_removed(backend, started, left_by):
    resource = started()
    left = left_by(resource)

    with pytest.raises(BackendError):
        removed(backend, resource, force=False)

    assert set(left.left()) == ALL


def test_what_another_runner_s_label_names_as_well_stays(rig, backend, api, started, left_by, log_lines):
    """Whoever has the socket can write a label on a container of its own."""
    resource, victim = started(), started()
    label = label_of(rig.url, victim.id)
    forged = forge(rig, api, resource, label)
    left = left_by(victim)

    removed(backend, replace(resource, id=forged))

    assert set(left.left()) == ALL
    assert any("which another runner bears as well" in line for line in log_lines)


def forge(rig, api, resource, label):
    """A container that claims to be the runner's, with another job label."""
    labels = {**api.inspect_container(resource.id)["Config"]["Labels"], "io.runscaler.job-label": label}
    socket = {"Type": "bind", "Source": rig.url.removeprefix("unix://"), "Target": "/var/run/docker.sock"}
    body = {"Image": rig.image, "Cmd": ["sh"], "Labels": labels, "HostConfig": {"Mounts": [socket]}}
    return api.create_container_from_config(body)["Id"]


def test_runners_and_what_a_daemon_made_stay_whatever_label_they_bear(rig, backend, api, started, left_by):
    resource = started()
    label = label_of(rig.url, resource.id)
    marked = left_by(resource, label, **{"io.runscaler.owner": new_owner_id()})

    removed(backend, resource)

    # The network has to stay as well: they are in it.
    assert marked.left() == ["job", "service", "network"]


@pytest.mark.parametrize("label", ["", "abcdef0", "abcdeg"])
def test_a_label_that_is_none_of_a_runner_removes_nothing(rig, backend, api, started, left_by, label):
    resource = started()
    forged = forge(rig, api, resource, label)
    left = left_by(resource, label or None)

    removed(backend, replace(resource, id=forged))

    assert set(left.left()) == ALL


def test_without_the_engine_s_socket_no_job_can_have_left_anything(backend, started, left_by):
    resource = started(dind=False)
    left = left_by(resource)

    removed(backend, resource)

    assert set(left.left()) == ALL


def test_what_bears_the_label_in_another_way_than_a_runner_writes_it_stays(rig, backend, api, started, image):
    resource = started()
    label = label_of(rig.url, resource.id)
    made = api.create_container_from_config({"Image": image, "Cmd": ["sh"], "Labels": {label: "mine"}})["Id"]
    network = api.create_network(f"mine-{label}", labels={label: ""})["Id"]
    api.tag(image, label, "latest")

    removed(backend, resource)

    assert api.inspect_container(made)["Id"] == made
    assert api.inspect_network(network)["Id"] == network
    assert api.inspect_image(f"{label}:latest")
    api.remove_container(made, v=True)
    api.remove_network(network)
    api.remove_image(f"{label}:latest")


def test_what_the_engine_refuses_to_remove_is_said_and_keeps_no_runner(
    rig, backend, api, started, left_by, log_lines
):
    resource = started()
    left = left_by(resource)
    guest = api.create_container_from_config(
        {"Image": rig.image, "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": left.network}}
    )["Id"]
    api.start(guest)

    removed(backend, resource)

    assert backend.inventory() == []
    assert left.left() == ["network"]
    assert any("was left by a job and cannot be removed" in line for line in log_lines)
    api.remove_container(guest, force=True, v=True)
