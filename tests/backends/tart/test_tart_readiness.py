from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.tart import QUICK, TartRig, fails, order_of

from runscaler.backends.tart.guest import agent_answers_on
from runscaler.errors import Interrupted, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_rig import PATIENCE
from runscaler.testing.fake_tart_host import Rule


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        (
            Rule("run", when="during", do="exit", code=0, text="guest has stopped"),
            "code 0: guest has stopped",
        ),
        (Rule("run", when="during", do="exit", code=1, text="it broke"), "code 1: it broke"),
        (Rule("run", when="during", do="kill", text="last words"), "signal 9: last words"),
    ],
    ids=["0", "1", "signal"],
)
def test_a_vm_that_ends_while_it_boots_is_reported_with_its_last_output(rig, backend, rule, how):
    """T18"""
    rig.tart.latency(boot_agent=600.0)
    rig.tart.rules(rule)

    assert how in str(fails(rig, backend))


def test_a_guest_that_never_answers_fails_at_the_boot_timeout(rig, backend):
    """T19"""
    rig.tart.state(agent={"*": "never"})

    error = fails(rig, backend, match="did not answer within 500ms", boot_timeout=0.5)

    assert "vanilla" in error.fixes[0]


def test_a_guest_that_answers_too_late_fails_at_the_boot_timeout(rig, backend):
    """T19"""
    rig.tart.latency(boot_agent=600.0)

    fails(rig, backend, match="did not answer", boot_timeout=0.3)


def test_a_control_socket_with_too_long_a_path_is_replaced_by_exec_probes(folder):
    """T39"""
    rig = TartRig(folder / ("x" * 80))
    backend = rig.open(timings=QUICK)

    backend.start(order_of(rig), Interrupt())

    assert any("/usr/bin/true" in call.argv for call in rig.tart.calls("exec"))
    backend.close()
    rig.close()


def test_a_silent_control_socket_is_replaced_by_exec_probes(rig, quick):
    """T39"""
    rig.tart.state(agent={"*": "never"})
    rig.wrap('[ "$3" = /usr/bin/true ] && exit 0')

    warm = quick.make_warm(rig.settings(), quick.claim_place(2), Interrupt())

    assert rig.tart.vms() == [warm.id]


def test_an_exec_probe_that_hangs_is_killed_and_repeated(folder):
    """T20"""
    rig = TartRig(folder / ("x" * 80))
    backend = rig.open(timings=QUICK)
    rig.tart.rules(Rule("exec", do="hang", contains="/usr/bin/true", times=1))

    backend.start(order_of(rig), Interrupt())

    probes = [call for call in rig.tart.calls("exec") if "/usr/bin/true" in call.argv]
    assert probes[0].code is None
    assert probes[-1].code == 0
    backend.close()
    rig.close()


def test_a_probe_of_a_control_socket_without_a_free_descriptor_is_no_answer(folder):
    """And does not end the thread."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert not agent_answers_on(folder / "control.sock", 0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_guest_that_becomes_ready_during_an_exec_probe_is_noticed(rig):
    """T20: tart itself retries with growing pauses within such a probe."""
    rig.tart.state(agent={"*": "never"})
    rig.tart.rules(Rule("exec", do="hang", contains="/usr/bin/true"))
    backend = rig.open(timings=replace(QUICK, exec_probe=600.0))

    with ThreadPoolExecutor(1) as pool:
        warming = pool.submit(backend.make_warm, rig.settings(), backend.claim_place(2), Interrupt())
        rig.called("exec")
        rig.tart.state(agent={})
        warm = warming.result(PATIENCE)

    assert rig.tart.vms() == [warm.id]
    backend.close()


@pytest.mark.parametrize("command", ["clone", "set", "run"])
def test_an_interrupt_in_any_step_leaves_nothing(rig, backend, command):
    rig.tart.latency(boot_agent=600.0)
    rig.tart.rules(Rule(command, do="hang"))
    interrupt = Interrupt()
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(backend.start, order_of(rig, cpu=2), interrupt)
        rig.called(command)

        interrupt.set()

        with pytest.raises(Interrupted):
            start.result()
    assert rig.leftovers() == []


def test_a_start_that_takes_longer_than_its_deadline_leaves_nothing(rig, backend):
    rig.tart.latency(boot_agent=600.0)
    order = order_of(rig)
    clock = backend._host.clock

    with pytest.raises(StartFailed, match="start-timeout"):
        backend.start(replace(order, deadline=clock.monotonic() + 0.5), Interrupt())

    assert rig.leftovers() == []
