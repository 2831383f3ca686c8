"""A guest dies with its VM (docs/tart.md § 16)."""

import fcntl
import os
import signal

import pytest
from support.fake_tart import PATIENCE, STUBBORN, held, running, sh, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_whole_guest_dies_however_run_ends(tart, number):
    with running(tart) as process:
        sh(tart, STUBBORN + " set -m; sleep 600 >/dev/null 2>&1 </dev/null & echo")
        assert len(tart.guest_processes("vm")) >= 2

        process.send_signal(number)
        process.wait(PATIENCE)

        wait_for(lambda: not tart.guest_processes("vm"))
    tart.call("delete", "vm", check=True)
    wait_for(lambda: not tart.leftovers())


def test_a_guest_does_not_keep_what_was_passed_to_run(tart):
    slot = os.open(tart.folder / "slot.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(slot, fcntl.LOCK_EX)
    with running(tart, pass_fds=(slot,)) as process:
        os.close(slot)
        sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null &")
        meanwhile = held(tart.folder / "slot.lock")

        process.kill()
        process.wait(PATIENCE)

        assert (meanwhile, held(tart.folder / "slot.lock")) == (True, False)


def test_a_vm_can_be_deleted_and_run_again_as_soon_as_its_run_was_killed(tart):
    with running(tart) as process:
        sh(tart, "(while :; do echo >>file; done) >/dev/null 2>&1 </dev/null &")
        process.kill()
        process.wait(PATIENCE)
        assert tart.call("delete", "vm").returncode == 0
    with running(tart) as process:
        process.kill()
        process.wait(PATIENCE)
        with running(tart):
            assert sh(tart, "true").returncode == 0
