from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psutil
import pytest
from support.tart import IMAGE, order_of, tart_settings, wait_until

from runscaler.backends.tart.cli import TartTimedOut
from runscaler.config.secrets import Secret
from runscaler.errors import Interrupted, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import Rule, runner_script

INJECTION = "ACTIONS_RUNNER_INPUT_JITCONFIG"


def secret_of(order):
    return order.jit().encoded.reveal()


def burns(rig, backend, order, match=None):
    """Asserts that the start fails and leaves nothing of the VM."""
    with pytest.raises(StartFailed, match=match) as caught:
        backend.start(order, Interrupt())
    assert rig.leftovers() == []
    assert len([call for call in rig.tart.calls("exec") if INJECTION in " ".join(call.argv)]) == 1
    return caught.value


def test_the_runner_gets_its_jit_configuration_in_its_environment(rig, backend):
    order = order_of(rig, f'printf %s "${INJECTION}" >"$HOME/seen"; exec sleep 600')

    resource = backend.start(order, Interrupt())

    seen = rig.tart.guest_home(resource.id) / "seen"
    wait_until(lambda: seen.exists() and seen.read_text() == secret_of(order))


def test_the_jit_configuration_is_passed_on_standard_input_only(rig, backend, said):
    """No argument of any process, no file and no log line contains it, neither during nor after the start."""
    order, arguments = order_of(rig), []
    watching = threading.Event()

    def look():
        while not watching.is_set():
            for process in psutil.process_iter(["cmdline"]):
                arguments.extend(process.info["cmdline"] or [])

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        resource = backend.start(order, Interrupt())
        inside = backend.runs_a_job(resource, Interrupt())
        output = backend.logs(resource, 1000, Interrupt())
        watching.set()
        looking.result()
    rig.tart.rules(Rule("exec", do="kill", contains=INJECTION))
    with pytest.raises(StartFailed) as failed:
        backend.start(replace(order_of(rig), jit=order.jit), Interrupt())

    secret = secret_of(order)
    files = [path for top in (rig.state_dir, rig.tart.home, rig.slots) for path in top.rglob("*")]
    assert not [path for path in files if path.is_file() and secret.encode() in path.read_bytes()]
    assert secret not in " ".join(arguments)
    assert secret not in rig.tart.journal_text() + rig.tart.agent_log(resource.id)
    assert secret not in "".join(said) + str(failed.value) + repr(failed.value.fixes)
    assert (inside, output) == (False, b"")
    sent = hashlib.sha256(f"{secret}\n".encode()).hexdigest()
    assert sent in {call.stdin_sha256 for call in rig.tart.calls("exec")}


def test_nothing_is_registered_before_the_guest_answers(rig, backend):
    rig.tart.state(agent={"*": "never"})
    asked = []

    with pytest.raises(StartFailed):
        backend.start(order_of(rig, boot_timeout=0.3, before_jit=lambda: asked.append(1)), Interrupt())

    assert asked == []


def test_a_vm_whose_injection_hangs_is_removed(rig, quick):
    """T20"""
    rig.tart.rules(Rule("exec", do="hang", contains=INJECTION))

    burns(rig, quick, order_of(rig), match="did not end within 2s")


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_vm_whose_connection_is_lost_during_the_injection_is_removed(rig, backend, when):
    """T21: before the guest has the command, while it runs, and when the runner has started."""
    rig.tart.rules(Rule("exec", when=when, do="kill", contains=INJECTION))

    burns(rig, backend, order_of(rig))

    rig.tart.rules()
    resource = backend.start(order_of(rig), Interrupt())
    assert rig.tart.vms() == [resource.id]


def test_a_vm_whose_injection_tart_refuses_is_removed(rig, backend):
    """T21"""
    text = "Error: unavailable (14): Transport became inactive"
    rig.tart.rules(Rule("exec", do="exit", text=text, contains=INJECTION))

    burns(rig, backend, order_of(rig), match="unavailable")


def test_a_vm_that_ends_during_the_injection_is_removed(rig, backend):
    """T21"""
    order = order_of(rig)
    rig.tart.rules(Rule("exec", when="during", do="delay", seconds=600, contains=INJECTION))
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(backend.start, order, Interrupt())
        rig.called("exec")
        rig.tart.kill_vm(order.runner)
        for process in psutil.process_iter():
            if process.is_running() and process.pid in {call.pid for call in rig.tart.calls("exec")}:
                process.kill()

        with pytest.raises(StartFailed):
            start.result()
    assert rig.leftovers() == []


def test_an_interrupt_during_the_injection_leaves_nothing(rig, backend):
    rig.tart.rules(Rule("exec", do="hang", contains=INJECTION))
    interrupt = Interrupt()
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(backend.start, order_of(rig), interrupt)
        rig.called("exec")
        interrupt.set()

        with pytest.raises(Interrupted):
            start.result()
    assert rig.leftovers() == []


def test_an_image_without_the_runner_has_its_own_error(rig, backend):
    """T22"""
    error = burns(rig, backend, order_of(rig, runner_dir="/Users/admin/nowhere"), match="no runner at")

    assert "runner-dir" in error.fixes[0]


def test_an_empty_jit_configuration_has_its_own_error(rig, backend):
    """T22"""
    order = order_of(rig)
    empty = replace(order.jit(), encoded=Secret(""))

    burns(rig, backend, replace(order, jit=lambda: empty), match="no JIT configuration on standard input")


def test_a_guest_without_disk_space_has_its_own_error(rig, backend):
    """T22, and T8 for the guest's disk."""
    rig.tart.add_image(IMAGE, {**runner_script("exec sleep 600"), ".runscaler": "in the way"})

    error = burns(rig, backend, order_of(rig, settings=tart_settings()))

    assert "disk is full" in error.fixes[0]


def test_a_job_that_keeps_the_runners_output_open_does_not_hold_up_the_start(rig, backend):
    """T24"""
    resource = backend.start(order_of(rig, "sleep 600 & exec sleep 600"), Interrupt())

    assert [listed.id for listed in backend.inventory()] == [resource.id]


def test_a_command_whose_child_keeps_its_output_open_runs_into_the_timeout(rig, backend):
    """T24"""
    resource = backend.start(order_of(rig), Interrupt())
    tart = backend._host.tart_of(rig.settings())

    with pytest.raises(TartTimedOut):
        tart.call("exec", resource.id, "/bin/sh", "-c", "sleep 600 &", seconds=0.5)


def test_a_job_is_noticed_in_its_guest(rig, backend):
    busy = backend.start(order_of(rig, "bin/Runner.Worker & exec sleep 600"), Interrupt())
    idle = backend.start(order_of(rig), Interrupt())

    wait_until(lambda: backend.runs_a_job(busy, Interrupt()))
    assert backend.runs_a_job(idle, Interrupt()) is False


def test_whether_a_guest_that_does_not_answer_runs_a_job_is_unknown(rig, quick):
    resource = quick.start(order_of(rig), Interrupt())
    rig.tart.freeze_guest(resource.id)

    assert quick.runs_a_job(resource, Interrupt()) is None


def test_no_job_runs_in_a_vm_that_is_gone(rig, backend):
    resource = backend.start(order_of(rig), Interrupt())
    rig.tart.kill_vm(resource.id)

    assert backend.runs_a_job(resource, Interrupt()) is False
    backend.remove(resource, force=True, interrupt=Interrupt())
    assert backend.runs_a_job(resource, Interrupt()) is False
