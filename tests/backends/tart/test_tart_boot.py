from __future__ import annotations

import pytest
from support.tart import IMAGE, fails, order_of, tart_settings, wait_until

from runscaler.backends.base import Place, ResourceState
from runscaler.errors import BackendDown, ImageMissing, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import (
    AUXILIARY_LOCKED,
    GARBAGE_NOISE,
    START_FAILED,
    Rule,
)


def test_a_runners_vm_has_its_size_and_mac_and_no_access_to_the_hosts_screen_or_sound(rig, backend):
    resource = backend.start(order_of(rig, cpu=3, memory=5000), Interrupt())

    config = rig.tart.config(resource.id)
    assert (config["cpuCount"], config["memorySize"] >> 20) == (3, 5000)
    assert config["macAddress"] == resource.place.mac == "02:00:00:00:00:01"
    assert config["hardwareModel"] == "ZmFrZQ=="
    assert set(rig.tart.calls("run")[0].argv[2:]) == {"--no-graphics", "--no-audio", "--no-clipboard"}


def test_set_is_not_called_if_the_image_has_the_right_size(rig, backend):
    backend.start(order_of(rig), Interrupt())

    assert [call.command for call in rig.tart.journal()][:3] == ["clone", "run", "exec"]


def test_every_command_runs_without_pruning_and_without_telemetry(rig, backend):
    rig.environ.update(TRACEPARENT="00-1-2-03", RUNNER_TOKEN="ghp_secret")

    backend.start(order_of(rig), Interrupt())

    for call in rig.tart.journal():
        assert {"TART_NO_AUTO_PRUNE", "CI", "TART_HOME"} <= set(call.environment)
        assert not {"TRACEPARENT", "RUNNER_TOKEN"} & set(call.environment)


def test_an_intent_file_that_cannot_be_written_fails_the_start_before_the_clone(rig, backend):
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


@pytest.mark.parametrize("tart", [{"cpu": 1}, {"memory": 100}])
def test_a_size_that_the_image_refuses_is_a_configuration_error(rig, backend, tart):
    """T11"""
    error = fails(rig, backend, match="at minimum", **tart)

    assert "[tart]" in error.fixes[0]
    assert len(rig.tart.calls("set")) == 1


def test_an_unreadable_configuration_of_our_own_is_an_error_that_names_the_step(rig, backend):
    """T12"""
    rig.wrap('[ "$1" = set ] && { "$REAL" "$@"; echo "{" >"$TART_HOME/vms/$2/config.json"; exit 0; }')

    fails(rig, backend, match="cannot set the MAC of VM", cpu=2)


def test_a_mac_that_tart_replaced_is_a_warning_only(rig, backend, said):
    """T15"""
    place = backend.claim_place(2)
    with rig.tart.start_foreign_vm("theirs", home=rig.tart.home, mac=place.mac):
        resource = backend.start(order_of(rig, place=place), Interrupt())

    assert resource.state is ResourceState.RUNNING
    assert rig.tart.config(resource.id)["macAddress"] != place.mac
    assert any("instead of 02:00:00:00:00:01" in line for line in said if line.startswith("WARNING"))


def test_a_locked_keychain_is_reported_with_its_fix(rig, backend):
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
def test_noise_on_stderr_of_a_successful_command_is_ignored(rig, backend, command):
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


def test_a_start_without_its_image_raises_image_missing(rig, backend):
    with pytest.raises(ImageMissing):
        backend.start(order_of(rig, settings=tart_settings("no-such")), Interrupt())


def test_a_failed_start_keeps_a_claim_that_it_did_not_make(rig, backend):
    claimed = backend.claim_place(2)
    rig.tart.rules(Rule("clone", do="exit", text="no"))

    with pytest.raises(StartFailed):
        backend.start(order_of(rig, place=claimed), Interrupt())

    assert backend.claim_place(2) == Place(1, "02:00:00:00:00:02")
    assert backend.claim_place(2) is None
    backend.return_place(claimed)
    wait_until(lambda: backend.claim_place(2) == claimed)
