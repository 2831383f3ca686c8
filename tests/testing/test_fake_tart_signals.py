"""How `run` ends, `stop`, and suspended VMs (docs/tart.md § 4, 5)."""

import signal
import subprocess

import pytest
from support.fake_tart import PATIENCE, clone, listed, running, sh

from runscaler.testing.fake_tart_host import Rule


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (signal.SIGINT, "Stopping VM...\n"),
        (signal.SIGUSR2, "Requesting guest OS to stop...\nguest has stopped the virtual machine\n"),
    ],
)
def test_a_signal_ends_run_with_0(tart, number, text):
    with running(tart, stdout=subprocess.PIPE) as process:
        sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null &")

        process.send_signal(number)

        assert (process.communicate(timeout=PATIENCE)[0].decode(), process.returncode) == (text, 0)
        assert tart.guest_processes("vm") == []


def test_a_suspended_vm_is_listed_as_such_and_resumed(tart):
    with running(tart) as process:
        process.send_signal(signal.SIGUSR1)
        assert process.wait(PATIENCE) == 0
    suspended = listed(tart)[0]["State"]
    with running(tart, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()

    assert (suspended, line) == ("suspended", b"restoring VM state from a snapshot...\n")
    assert listed(tart)[0]["State"] == "stopped"


def test_stop_deletes_the_state_of_a_suspended_vm(tart):
    clone(tart, "vm")
    (tart.vm_path("vm") / "state.vzvmsave").touch()

    assert tart.call("stop", "vm").returncode == 0
    assert listed(tart)[0]["State"] == "stopped"


def test_the_clone_of_a_suspended_vm_keeps_its_mac(tart):
    clone(tart, "vm")
    (tart.vm_path("vm") / "state.vzvmsave").touch()

    tart.call("clone", "vm", "copy", check=True)

    assert tart.config("copy")["macAddress"] == tart.config("vm")["macAddress"]


def test_stop_kills_what_ignores_its_interrupt(tart):
    tart.rules(Rule("run", do="ignore", signal=signal.SIGINT))
    with running(tart) as process:
        assert tart.call("stop", "vm", "--timeout", "0").returncode == 0
        assert process.wait(PATIENCE) == -signal.SIGKILL


@pytest.mark.parametrize("command", ["shutdown -h now", "/sbin/shutdown -h now", "sudo /sbin/halt", "halt"])
def test_a_guest_that_shuts_down_ends_run_with_0(tart, command):
    with running(tart, stdout=subprocess.PIPE) as process:
        sh(tart, command)

        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert out.endswith(b"guest has stopped the virtual machine\n")


def test_a_guest_that_crashes_ends_run_with_1(tart):
    with running(tart, stdout=subprocess.PIPE) as process:
        tart.crash_guest("vm")

        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert b"due to error: Error Domain=VZErrorDomain" in out
