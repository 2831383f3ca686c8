from __future__ import annotations

import errno

import pytest
from support.tart import IMAGE, fails, order_of, tart_settings, wait_until

from runscaler.backends.base import Place, ResourceState
from runscaler.backends.tart.cli import Output
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.output_errors import command_error, file_error
from runscaler.errors import BackendDown, ImageMissing, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.names import RUNNER_NAME
from runscaler.testing.fake_tart_host import (
    AUXILIARY_LOCKED,
    DISK_FULL,
    GARBAGE_NOISE,
    START_FAILED,
    VANISHED,
    Rule,
)


def test_a_runners_vm_has_its_size_its_mac_and_none_of_the_hosts_sound(rig, backend):
    resource = backend.start(order_of(rig, cpu=3, memory=5000), Interrupt())

    config = rig.tart.config(resource.id)
    assert (config["cpuCount"], config["memorySize"] >> 20) == (3, 5000)
    assert config["macAddress"] == resource.place.mac == "02:00:00:00:00:01"
    assert config["hardwareModel"] == "ZmFrZQ=="
    assert set(rig.tart.calls("run")[0].argv[2:]) == {"--no-graphics", "--no-audio", "--no-clipboard"}


def test_no_set_is_run_where_the_images_size_will_do(rig, backend):
    backend.start(order_of(rig), Interrupt())

    assert [call.command for call in rig.tart.journal()][:3] == ["clone", "run", "exec"]


def test_every_command_runs_without_pruning_and_without_telemetry(rig, backend):
    rig.environ.update(TRACEPARENT="00-1-2-03", RUNNER_TOKEN="ghp_secret")

    backend.start(order_of(rig), Interrupt())

    for call in rig.tart.journal():
        assert {"TART_NO_AUTO_PRUNE", "CI", "TART_HOME"} <= set(call.environment)
        assert not {"TRACEPARENT", "RUNNER_TOKEN"} & set(call.environment)


def test_a_clone_that_fails_since_a_vm_vanished_is_done_again(rig, backend, said):
    """T6"""
    rig.tart.rules(Rule("clone", do="exit", text=VANISHED, times=1))

    backend.start(order_of(rig), Interrupt())

    assert len(rig.tart.calls("clone")) == 2
    assert not [line for line in said if line.startswith(("WARNING", "ERROR"))]


def test_a_clone_that_fails_after_it_made_the_vm_is_done_again(rig, backend):
    """T7"""
    rig.tart.rules(Rule("clone", when="after", do="exit", text="pruning failed", times=1))

    resource = backend.start(order_of(rig), Interrupt())

    assert [call.command for call in rig.tart.journal()][:3] == ["clone", "delete", "clone"]
    assert rig.tart.vms() == [resource.id]


def test_a_full_disk_at_the_clone_is_named_with_its_space(rig, backend):
    """T8"""
    rig.tart.rules(Rule("clone", do="exit", text=DISK_FULL))

    error = fails(rig, backend, match=r"disk is full \([\d.]+ GiB free")

    assert "free space" in error.fixes[0]


def test_a_full_disk_at_our_own_files_is_named_with_its_space(folder):
    """T8: the metadata."""
    full = OSError(errno.ENOSPC, "No space left on device")

    error = file_error("write the record of VM runner-12345678", full, TartHome(folder))

    assert "disk is full (" in str(error)


def test_an_intent_that_cannot_be_written_down_fails_the_start_before_the_clone(rig, backend):
    """T8"""
    rig.state_dir.mkdir()
    (rig.state_dir / "tart").touch()

    fails(rig, backend, match="cannot write the intent file of VM")

    assert rig.tart.calls("clone") == []


def test_a_record_that_cannot_be_written_fails_the_start(rig, backend):
    """T8"""
    rig.wrap('[ "$1" = clone ] && { "$REAL" "$@" && mkdir "$TART_HOME/vms/$3/runscaler.json"; exit; }')

    fails(rig, backend, match="cannot write the record of VM")

    assert rig.tart.calls("run") == []


def test_a_clone_that_hangs_is_killed_and_the_lock_named(rig, quick):
    """T9"""
    rig.tart.rules(Rule("clone", do="hang"))

    error = fails(rig, quick, match="`tart clone` did not end within 1s")

    assert "holds the lock of" in error.fixes[0]


def test_a_vm_of_that_name_is_never_cloned_over(rig, backend):
    """T10"""
    order = order_of(rig)
    rig.tart.call("clone", order.settings.runner_image, order.runner, check=True)
    (rig.tart.vm_path(order.runner) / "theirs").touch()

    resource = backend.start(order, Interrupt())

    assert resource.id != order.runner
    assert RUNNER_NAME.match(resource.id)
    assert resource.runner == order.runner
    assert (rig.tart.vm_path(order.runner) / "theirs").exists()


@pytest.mark.parametrize("tart", [{"cpu": 1}, {"memory": 100}])
def test_a_size_that_the_image_refuses_is_an_error_of_the_configuration(rig, backend, tart):
    """T11"""
    error = fails(rig, backend, match="at minimum", **tart)

    assert "[tart]" in error.fixes[0]
    assert len(rig.tart.calls("set")) == 1


def test_our_own_unreadable_configuration_is_an_error_that_names_the_step(rig, backend):
    """T12"""
    rig.wrap('[ "$1" = set ] && { "$REAL" "$@"; echo "{" >"$TART_HOME/vms/$2/config.json"; exit 0; }')

    fails(rig, backend, match="cannot set the MAC of VM", cpu=2)


@pytest.mark.parametrize("content", ["{", '{"macAddress": "02:00:00:00:00"}', '{"macAddress": 7}'])
def test_a_foreign_unreadable_configuration_is_named_and_left_alone(rig, backend, content):
    """T12"""
    settings = rig.settings()
    rig.tart.call("clone", settings.runner_image, "theirs", check=True)
    (rig.tart.vm_path("theirs") / "config.json").write_text(content)

    with pytest.raises(StartFailed, match="configuration of theirs cannot be read"):
        backend.start(order_of(rig, settings=settings), Interrupt())

    assert rig.tart.vms() == ["theirs"]
    assert (rig.tart.vm_path("theirs") / "config.json").read_text() == content


def test_a_mac_that_tart_swapped_is_a_warning_and_works(rig, backend, said):
    """T15"""
    place = backend.claim_place(2)
    with rig.tart.start_foreign_vm("theirs", home=rig.tart.home, mac=place.mac):
        resource = backend.start(order_of(rig, place=place), Interrupt())

    assert resource.state is ResourceState.RUNNING
    assert rig.tart.config(resource.id)["macAddress"] != place.mac
    assert any("instead of 02:00:00:00:00:01" in line for line in said if line.startswith("WARNING"))


def test_a_locked_keychain_is_told_with_its_cure(rig, backend):
    """T16"""
    rig.tart.state(keychain_locked=True)

    error = fails(rig, backend, match="login keychain is locked")

    assert any("security unlock-keychain" in fix for fix in error.fixes)


@pytest.mark.parametrize("text", [AUXILIARY_LOCKED, START_FAILED])
def test_a_vm_that_macos_could_not_start_is_removed_and_the_next_is_a_new_clone(rig, backend, text):
    """T17"""
    rig.tart.rules(Rule("run", do="exit", text=text, times=1))

    fails(rig, backend, match="macOS could not start the VM")
    resource = backend.start(order_of(rig), Interrupt())

    assert rig.tart.vms() == [resource.id]


@pytest.mark.parametrize("command", ["clone", "set", "run", "exec", "delete", "list", "pull"])
def test_noise_beside_a_success_is_ignored(rig, backend, command):
    """T32"""
    rig.tart.rules(Rule(command, do="text", text=GARBAGE_NOISE))

    backend.prepare(rig.settings(cpu=2), lambda *_: None, Interrupt())
    resource = backend.start(order_of(rig, cpu=2), Interrupt())
    backend.remove(resource, force=True, interrupt=Interrupt())

    assert rig.leftovers() == []


def test_a_start_without_tart_says_how_to_install_it(rig, backend):
    rig.tart.add_image(IMAGE)
    rig.environ["PATH"] = "/usr/bin:/bin"

    with pytest.raises(BackendDown, match="not installed"):
        backend.start(order_of(rig, settings=tart_settings()), Interrupt())

    assert rig.leftovers() == []


def test_a_text_that_nobody_knows_is_passed_on_whole():
    error = command_error("do it", Output(1, b"", b"Error: Something(new)\nwith lines\n"))

    assert str(error) == "cannot do it: Error: Something(new) with lines"


def test_only_where_a_registry_was_asked_is_it_blamed():
    output = Output(1, b"", b"Error: the request timed out\n")

    assert not isinstance(command_error("start the runner", output), ImageMissing)
    assert isinstance(command_error("pull image x", output, registry=True), ImageMissing)


def test_an_image_that_is_missing_is_the_errors_type_not_a_failed_start(rig, backend):
    with pytest.raises(ImageMissing):
        backend.start(order_of(rig, settings=tart_settings("no-such")), Interrupt())


def test_starts_leave_the_claims_of_others_alone(rig, backend):
    claimed = backend.claim_place(2)
    rig.tart.rules(Rule("clone", do="exit", text="no"))

    with pytest.raises(StartFailed):
        backend.start(order_of(rig, place=claimed), Interrupt())

    assert backend.claim_place(2) == Place(1, "02:00:00:00:00:02")
    assert backend.claim_place(2) is None
    backend.return_place(claimed)
    wait_until(lambda: backend.claim_place(2) == claimed)
