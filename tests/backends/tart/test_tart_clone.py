from __future__ import annotations

import pytest
from support.tart import fails, order_of

from runscaler.errors import StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import RUNNER_NAME
from runscaler.testing.fake_tart_host import (
    DISK_FULL,
    VANISHED,
    Rule,
)


def test_a_clone_that_fails_because_another_vm_vanished_is_retried(rig, backend, said):
    """T6"""
    rig.tart.rules(Rule("clone", do="exit", text=VANISHED, times=1))

    backend.start(order_of(rig), Interrupt())

    assert len(rig.tart.calls("clone")) == 2
    assert not [line for line in said if line.startswith(("WARNING", "ERROR"))]


def test_a_clone_that_fails_after_making_the_vm_is_retried(rig, backend):
    """T7"""
    rig.tart.rules(Rule("clone", when="after", do="exit", text="pruning failed", times=1))

    resource = backend.start(order_of(rig), Interrupt())

    assert [call.command for call in rig.tart.journal()][:3] == ["clone", "delete", "clone"]
    assert rig.tart.vms() == [resource.id]


def test_a_disk_that_is_full_during_the_clone_is_reported_with_its_free_space(rig, backend):
    """T8"""
    rig.tart.rules(Rule("clone", do="exit", text=DISK_FULL))

    error = fails(rig, backend, match=r"disk is full \([\d.]+ GiB free")

    assert "free space" in error.fixes[0]


def test_a_clone_that_hangs_is_killed_and_the_error_names_the_lock(rig, quick):
    """T9"""
    rig.tart.rules(Rule("clone", do="hang"))

    error = fails(rig, quick, match="`tart clone` did not end within 1s")

    assert "holds the lock of" in error.fixes[0]


def test_an_existing_vm_is_never_overwritten_by_a_clone(rig, backend):
    """T10"""
    order = order_of(rig)
    rig.tart.call("clone", order.settings.runner_image, order.runner, check=True)
    (rig.tart.vm_path(order.runner) / "theirs").touch()

    resource = backend.start(order, Interrupt())

    assert resource.id != order.runner
    assert RUNNER_NAME.match(resource.id)
    assert resource.runner == order.runner
    assert (rig.tart.vm_path(order.runner) / "theirs").exists()


@pytest.mark.parametrize("content", ["{", '{"macAddress": "02:00:00:00:00"}', '{"macAddress": 7}'])
def test_an_unreadable_configuration_of_a_foreign_vm_is_named_and_left_alone(rig, backend, content):
    """T12"""
    settings = rig.settings()
    rig.tart.call("clone", settings.runner_image, "theirs", check=True)
    (rig.tart.vm_path("theirs") / "config.json").write_text(content)

    with pytest.raises(StartFailed, match="configuration of theirs cannot be read"):
        backend.start(order_of(rig, settings=settings), Interrupt())

    assert rig.tart.vms() == ["theirs"]
    assert (rig.tart.vm_path("theirs") / "config.json").read_text() == content
