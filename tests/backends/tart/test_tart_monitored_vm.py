"""One monitored VM, checked at given times."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.tart import order_of, wait_until

from runscaler.backends.tart.monitored_vm import MonitoredVm
from runscaler.backends.tart.timings import Timings
from runscaler.backends.wakeable_selector import WakeableSelector
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_rig import PATIENCE
from runscaler.testing.clock import FakeClock

TIMINGS = Timings()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def selector():
    selector = WakeableSelector()
    yield selector
    selector.close()


@pytest.fixture
def monitored(backend, clock, selector):
    """A function that monitors a VM by its name, without an exit descriptor."""
    opened = []

    def monitor(name):
        record = backend._host.inventory.find(name)
        tart = replace(backend._host.tart_at(record), clock=clock)
        opened.append(MonitoredVm(record, tart, TIMINGS, selector))
        opened[-1].open(lambda _pid: None)
        return opened[-1]

    yield monitor
    for vm in opened:
        vm.close()


def test_a_warm_vm_is_probed_at_intervals_through_its_socket_alone(rig, backend, monitored, clock):
    warm = backend.make_warm(rig.settings(), backend.claim_place(2), Interrupt())
    vm = monitored(warm.id)
    assert vm.seconds_to_check() == TIMINGS.exit_poll

    for _ in range(3):
        clock.advance(TIMINGS.warm_probe_interval)
        assert vm.seconds_to_check() == 0
        assert vm.check() is None

    assert rig.tart.calls("exec") == []
    assert vm.seconds_to_check() == TIMINGS.exit_poll


def test_a_lost_exec_is_started_again_after_a_pause(rig, backend, monitored, clock, selector):
    def watches():
        return rig.tart.agent_log(resource.id).count("8<>")

    resource = backend.start(order_of(rig), Interrupt())
    wait_until(lambda: watches() == 1)  # the backend's own, which ends with it
    backend.close()
    vm = monitored(resource.id)

    assert vm.check() is None
    wait_until(lambda: watches() == 2)
    rig.tart.restart_agent(resource.id)
    (ended,) = selector.select(PATIENCE)
    ended.data.on_readable(ended.fileobj)

    assert vm.check() is None
    assert vm.seconds_to_check() == TIMINGS.runner_watch_retry
    clock.advance(TIMINGS.runner_watch_retry)
    assert vm.check() is None
    wait_until(lambda: watches() == 3)
