"""What differs from engine to engine; `scripts/engines` runs this on each kind (docs/behaviour.md § 7.1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.engine import RunnerScript, connect
from support.siblings import ALL, LeftByJob, label_of

from runscaler.errors import BackendError
from runscaler.findings import Level
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_contract import Observed, Orders
from runscaler.testing.backend_rig import wait_for_output

pytestmark = pytest.mark.engine

CONNECTS = "if test -w /var/run/docker.sock; then echo may use it; else echo may not; fi; exec sleep 600"


@pytest.fixture
def backend(rig, owner):
    backend = rig.open(owner)
    yield backend
    backend.close()


def levels(findings):
    return {finding.level for finding in findings}


def test_a_job_may_use_the_mounted_socket_unless_validate_says_that_it_may_not(rig, backend):
    settings = rig.settings(RunnerScript(), dind=True, run_command=f'/bin/sh -c "{CONNECTS}"')
    found = [one for one in backend.check(settings) if "socket" in one.message]
    order = replace(Orders(rig).make(), settings=settings)

    try:
        resource = backend.start(order, Interrupt())
    except BackendError:
        assert levels(found) == {Level.ERROR}
    else:
        expected = b"may use it" if not found else b"may not"
        wait_for_output(backend, resource, expected)


def test_limits_bind_unless_validate_says_that_they_do_not(rig, backend):
    look = (
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; echo seen; exec sleep 600"
    )
    settings = rig.settings(RunnerScript(), memory=64, run_command=f'/bin/sh -c "{look}"')
    found = [one for one in backend.check(settings) if "has no effect" in one.message]

    resource = backend.start(replace(Orders(rig).make(), settings=settings), Interrupt())

    output = wait_for_output(backend, resource, b"seen")
    assert (str(64 * 1024 * 1024).encode() in output) == (not found)


def test_an_end_is_heard_without_asking(rig, backend, log_lines):
    observed = Observed(backend)
    observed.first()

    resource = backend.start(Orders(rig).make(RunnerScript(exit_code=5)), Interrupt())

    assert observed.end_of(resource).ending.exit_code == 5
    observed.stop()
    assert not any("does not report every end" in line for line in log_lines)


def test_whether_a_job_runs_is_told_or_not_known_but_never_an_error(rig, backend):
    resource = backend.start(Orders(rig).make(), Interrupt())

    assert backend.runs_a_job(resource, Interrupt()) in (False, None)


def test_what_the_job_of_an_ended_runner_left_goes_with_it(rig, backend):
    order = Orders(rig).make()
    settings = rig.settings(RunnerScript(), dind=True, dind_group="123")
    try:
        resource = backend.start(replace(order, settings=settings), Interrupt())
    except BackendError as error:
        pytest.skip(f"its socket cannot be mounted: {error}")

    with (
        LeftByJob(rig.url, rig.image, label_of(rig.url, resource.id)) as left,
        LeftByJob(rig.url, rig.image, "f0f0f0") as foreign,
    ):
        backend.remove(resource, force=True, interrupt=Interrupt())

        assert left.left() == []
        assert set(foreign.left()) == ALL


def test_a_plain_runner_on_it_is_no_cause_for_an_error(rig, backend):
    assert Level.ERROR not in levels(backend.check(rig.settings(RunnerScript())))


def test_old_files_of_a_runner_go_from_the_shared_volume(rig, owner):
    age = "touch -d 2020-01-01"
    make = f"cd /shared; mkdir d; touch old new d/old; {age} old d/old; {age} d; echo made"
    settings = rig.settings(
        RunnerScript(),
        shared_volume="/shared",
        shared_volume_ttl=3600.0,
        buildx_cleanup=False,
        run_command=f'/bin/sh -c "{make}; exec sleep 600"',
    )
    backend = rig.open_with(settings, owner)
    try:
        backend.prepare(settings, lambda *_: None, Interrupt())
        resource = backend.start(replace(Orders(rig).make(), settings=settings), Interrupt())
        wait_for_output(backend, resource, b"made")
        (sweep,) = backend.sweeps([settings])

        assert [one.name for one in sweep.plan()] == ["2 in volume runner-shared"]
        assert str(sweep.run()).startswith("removed 2 files and 1 empty folder, ")
        assert str(sweep.run()) == ""
    finally:
        backend.close()
        with connect(rig.url) as api:
            for name in rig.leftovers():
                api.remove_container(name, force=True)
            api.remove_volume("runner-shared")
