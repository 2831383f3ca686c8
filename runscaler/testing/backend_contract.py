"""The specification of a backend as a test suite to inherit: what every backend has to guarantee.

    class TestMyBackend(BackendContract):
        @pytest.fixture
        def rig(self) -> Iterator[BackendRig]:
            yield MyRig(…)          # afterwards remove whatever the test left

The rig gives access to the engine or host; everything else is here. The tests use real time and threads,
but assert no durations: waits have a generous limit (`PATIENCE`).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runscaler.backends.base import BackendAvailable, Resource, ResourceState
from runscaler.errors import BackendError, Interrupted, RunnerExists
from runscaler.interrupt import Interrupt
from runscaler.names import new_owner_id
from runscaler.testing.backend_rig import (
    PATIENCE,
    TERMINATED,
    BackendRig,
    Observed,
    OnSigterm,
    Orders,
    RunnerScript,
    wait_for_output,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from runscaler.backends.base import Backend, RunnerOrder
    from runscaler.names import OwnerId

__all__ = ["PATIENCE", "BackendContract", "BackendRig", "Observed", "OnSigterm", "Orders", "RunnerScript"]

SLEEPS = RunnerScript()
CUT_MOMENTS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Seconds after which a start is interrupted; which step that hits is left to chance."""


class BackendContract:
    """Inherit from it and provide the fixture `rig`."""

    @pytest.fixture
    def rig(self) -> Iterator[BackendRig]:
        raise NotImplementedError("provide a fixture `rig` that yields a BackendRig")

    @pytest.fixture
    def owner(self) -> OwnerId:
        """New for each test, so that none meets what another one left."""
        return new_owner_id()

    @pytest.fixture
    def backend(self, rig: BackendRig, owner: OwnerId) -> Iterator[Backend]:
        yield from _opened(rig, owner)

    @pytest.fixture
    def other_backend(self, rig: BackendRig) -> Iterator[Backend]:
        """Another daemon's backend on the same engine or host."""
        yield from _opened(rig, new_owner_id())

    @pytest.fixture
    def orders(self, rig: BackendRig) -> Orders:
        return Orders(rig)

    # start and inventory

    def test_a_started_runner_is_listed_with_its_marks(
        self, backend: Backend, owner: OwnerId, orders: Orders
    ) -> None:
        order = orders.make(slot=7)

        started = backend.start(order, Interrupt())

        assert started.state is ResourceState.RUNNING
        assert _marks(started) == (owner, order.key, 7, order.runner, orders.runner_id(order))
        assert [_timeless(listed) for listed in backend.inventory()] == [_timeless(started)]

    def test_nothing_is_listed_where_nothing_was_started(self, backend: Backend) -> None:
        assert backend.inventory() == []

    def test_a_fresh_backend_of_the_same_owner_adopts_what_runs(
        self, rig: BackendRig, backend: Backend, owner: OwnerId, orders: Orders
    ) -> None:
        started = backend.start(orders.make(), Interrupt())
        backend.close()

        successor = rig.open(owner)

        assert [_timeless(listed) for listed in successor.inventory()] == [_timeless(started)]
        successor.remove(started, force=True, interrupt=Interrupt())
        assert successor.inventory() == []
        successor.close()

    def test_what_ended_is_listed_as_ended_with_its_exit_code(self, backend: Backend, orders: Orders) -> None:
        resource = _run_to_its_end(backend, orders.make(RunnerScript(exit_code=7)))

        (listed,) = backend.inventory()

        assert (listed.id, listed.state) == (resource.id, ResourceState.ENDED)
        assert listed.ending is not None
        assert listed.ending.exit_code == 7
        assert listed.ending.at > 0

    def test_fifty_start_and_go_at_once(self, backend: Backend, orders: Orders) -> None:
        def remove(resource: Resource) -> None:
            backend.remove(resource, force=True, interrupt=Interrupt())

        made = [orders.make(slot=slot) for slot in range(50)]
        with ThreadPoolExecutor(50) as pool:
            started = list(pool.map(lambda order: backend.start(order, Interrupt()), made))
            listed = backend.inventory()
            list(pool.map(remove, started))

        assert {resource.id for resource in listed} == {resource.id for resource in started}
        assert all(resource.state is ResourceState.RUNNING for resource in listed)
        assert sorted(resource.slot for resource in listed) == list(range(50))
        assert backend.inventory() == []

    # the JIT configuration

    def test_jit_is_called_once_on_the_thread_of_start(self, backend: Backend, orders: Orders) -> None:
        threads: list[threading.Thread] = []
        order = orders.make(before_jit=lambda: threads.append(threading.current_thread()))

        backend.start(order, Interrupt())

        assert threads == [threading.current_thread()]

    def test_what_jit_raises_passes_through_and_leaves_nothing(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        def refuse() -> None:
            raise RunnerExists("that name is taken")

        with pytest.raises(RunnerExists, match="that name is taken"):
            backend.start(orders.make(before_jit=refuse), Interrupt())

        assert backend.inventory() == []
        assert rig.leftovers() == []

    # starts that fail

    def test_a_start_that_cannot_succeed_leaves_nothing(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        order = replace(orders.make(), settings=rig.unusable_settings())

        with pytest.raises(BackendError):
            backend.start(order, Interrupt())

        assert backend.inventory() == []
        assert rig.leftovers() == []

    def test_a_start_after_its_deadline_fails_and_leaves_nothing(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        with pytest.raises(BackendError):
            backend.start(replace(orders.make(), deadline=0.0), Interrupt())

        assert backend.inventory() == []
        assert rig.leftovers() == []

    def test_what_a_killed_daemon_left_of_a_start_can_be_cleared_by_the_next(
        self, rig: BackendRig, backend: Backend, owner: OwnerId, orders: Orders
    ) -> None:
        """A start that blocks in `jit` stands for a daemon that died there."""
        held, dead = threading.Event(), threading.Event()

        def die() -> None:
            held.set()
            dead.wait(PATIENCE)
            raise RunnerExists("the dead daemon's thread ends here")

        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(backend.start, orders.make(before_jit=die), Interrupt())
            assert held.wait(PATIENCE)

            left = _cleared_by_the_next(rig, owner)

            dead.set()
            assert isinstance(start.exception(PATIENCE), RunnerExists)
        assert all(resource.owner == owner for resource in left)
        assert rig.leftovers() == []

    # interrupts

    def test_an_interrupted_caller_starts_nothing(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        with pytest.raises(Interrupted):
            backend.start(orders.make(), _set())

        assert backend.inventory() == []
        assert rig.leftovers() == []

    def test_a_start_cut_while_jit_is_asked_for_leaves_nothing(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        interrupt = Interrupt()

        with pytest.raises(Interrupted):
            backend.start(orders.make(before_jit=interrupt.set), interrupt)

        assert backend.inventory() == []
        assert rig.leftovers() == []

    @pytest.mark.parametrize("moment", CUT_MOMENTS)
    def test_a_start_cut_at_any_moment_gives_a_resource_or_leaves_nothing(
        self, rig: BackendRig, backend: Backend, orders: Orders, moment: float
    ) -> None:
        started = _cut_after(moment, lambda interrupt: backend.start(orders.make(), interrupt))

        assert [listed.id for listed in backend.inventory()] == ([started.id] if started else [])
        if started is None:
            assert rig.leftovers() == []

    @pytest.mark.parametrize("moment", CUT_MOMENTS)
    def test_a_removal_cut_at_any_moment_can_be_repeated(
        self, backend: Backend, orders: Orders, moment: float
    ) -> None:
        resource = backend.start(orders.make(), Interrupt())

        _cut_after(moment, lambda interrupt: backend.remove(resource, force=True, interrupt=interrupt))
        backend.remove(resource, force=True, interrupt=Interrupt())

        assert backend.inventory() == []

    def test_an_interrupted_caller_removes_nothing(self, backend: Backend, orders: Orders) -> None:
        resource = backend.start(orders.make(), Interrupt())

        with pytest.raises(Interrupted):
            backend.remove(resource, force=True, interrupt=_set())

        assert [listed.state for listed in backend.inventory()] == [ResourceState.RUNNING]

    # remove

    def test_a_removed_runner_is_gone_with_all_that_belonged_to_it(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        resource = backend.start(orders.make(), Interrupt())

        backend.remove(resource, force=True, interrupt=Interrupt())

        assert backend.inventory() == []
        assert rig.leftovers() == []

    def test_removing_twice_is_harmless(self, backend: Backend, orders: Orders) -> None:
        resource = backend.start(orders.make(), Interrupt())

        backend.remove(resource, force=True, interrupt=Interrupt())
        backend.remove(resource, force=True, interrupt=Interrupt())
        backend.remove(resource, force=False, interrupt=Interrupt())

    def test_removing_the_unknown_is_harmless(self, backend: Backend, orders: Orders) -> None:
        kept = backend.start(orders.make(), Interrupt())
        unknown = replace(kept, id=kept.id[:-4] + "0000", runner=orders.make().runner)

        backend.remove(unknown, force=True, interrupt=Interrupt())

        assert [listed.id for listed in backend.inventory()] == [kept.id]

    def test_a_running_one_is_removed_by_force_only(self, backend: Backend, orders: Orders) -> None:
        resource = backend.start(orders.make(), Interrupt())

        with pytest.raises(BackendError):
            backend.remove(resource, force=False, interrupt=Interrupt())

        assert [listed.state for listed in backend.inventory()] == [ResourceState.RUNNING]

    def test_an_ended_one_is_removed_without_force(self, backend: Backend, orders: Orders) -> None:
        resource = _run_to_its_end(backend, orders.make(RunnerScript(exit_code=0)))

        backend.remove(resource, force=False, interrupt=Interrupt())

        assert backend.inventory() == []

    # SIGTERM before the kill

    def test_a_runner_that_got_sigterm_lives_on_where_its_grace_is_cut(
        self, backend: Backend, orders: Orders
    ) -> None:
        resource = _run_until_it_traps(backend, orders, OnSigterm.STAYS)

        with _removal(backend, resource, grace=2 * PATIENCE) as removal:
            wait_for_output(backend, resource, TERMINATED)
            is_waiting = not removal.done()

        assert is_waiting
        assert isinstance(removal.exception(), Interrupted)
        assert [listed.state for listed in backend.inventory()] == [ResourceState.RUNNING]

    def test_a_runner_that_ends_at_sigterm_is_waited_for_no_longer(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        resource = _run_until_it_traps(backend, orders, OnSigterm.ENDS)

        with _removal(backend, resource, grace=2 * PATIENCE) as removal:
            removal.result(PATIENCE)

        assert backend.inventory() == []
        assert rig.leftovers() == []

    def test_a_runner_that_does_not_end_at_sigterm_is_gone_after_its_grace(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        resource = _run_until_it_traps(backend, orders, OnSigterm.STAYS)

        backend.remove(resource, force=True, interrupt=Interrupt(), grace=0.5)

        assert backend.inventory() == []
        assert rig.leftovers() == []

    def test_an_ended_runner_has_no_grace(self, backend: Backend, orders: Orders) -> None:
        resource = _run_to_its_end(backend, orders.make(RunnerScript(exit_code=0)))

        with _removal(backend, resource, grace=2 * PATIENCE) as removal:
            removal.result(PATIENCE)

        assert backend.inventory() == []

    def test_a_grace_does_not_replace_the_force(self, backend: Backend, orders: Orders) -> None:
        resource = _run_until_it_traps(backend, orders, OnSigterm.ENDS)

        with pytest.raises(BackendError):
            backend.remove(resource, force=False, interrupt=Interrupt(), grace=2 * PATIENCE)

        assert [listed.state for listed in backend.inventory()] == [ResourceState.RUNNING]

    # resources of other daemons

    def test_another_daemons_resources_are_neither_listed_nor_touched(
        self, backend: Backend, other_backend: Backend, orders: Orders
    ) -> None:
        foreign = other_backend.start(orders.make(), Interrupt())
        ours = backend.start(orders.make(), Interrupt())

        assert [listed.id for listed in backend.inventory()] == [ours.id]
        backend.remove(ours, force=True, interrupt=Interrupt())

        assert backend.inventory() == []
        assert [(listed.id, listed.state) for listed in other_backend.inventory()] == [
            (foreign.id, ResourceState.RUNNING)
        ]

    def test_another_daemons_ends_are_not_reported(
        self, backend: Backend, other_backend: Backend, orders: Orders
    ) -> None:
        observed = Observed(backend)

        foreign = _run_to_its_end(other_backend, orders.make(RunnerScript(exit_code=0)))
        ours = backend.start(orders.make(RunnerScript(exit_code=0)), Interrupt())
        observed.end_of(ours)

        assert foreign.id not in {seen.resource_id for seen in observed.ends()}
        observed.stop()

    # output

    def test_the_last_bytes_of_the_output_are_kept(self, backend: Backend, orders: Orders) -> None:
        script = RunnerScript(lines=2000, exit_code=1)
        resource = _run_to_its_end(backend, orders.make(script))

        assert backend.logs(resource, 1_000_000, Interrupt()) == script.output
        assert backend.logs(resource, 1000, Interrupt()) == script.output[-1000:]
        assert backend.logs(resource, 0, Interrupt()) == b""

    def test_a_removed_runner_has_no_output(self, backend: Backend, orders: Orders) -> None:
        resource = _run_to_its_end(backend, orders.make(RunnerScript(lines=1, exit_code=0)))
        backend.remove(resource, force=False, interrupt=Interrupt())

        assert backend.logs(resource, 1000, Interrupt()) == b""

    # watch

    def test_a_watch_says_first_that_the_thing_answers(self, backend: Backend) -> None:
        observed = Observed(backend)

        assert observed.first() == BackendAvailable()
        observed.stop()

    @pytest.mark.parametrize("exit_code", [0, 7])
    def test_an_end_is_observed_with_its_exit_code(
        self, backend: Backend, orders: Orders, exit_code: int
    ) -> None:
        observed = Observed(backend)
        observed.first()

        resource = backend.start(orders.make(RunnerScript(exit_code=exit_code)), Interrupt())

        ending = observed.end_of(resource).ending
        assert ending is not None
        assert ending.exit_code == exit_code
        observed.stop()

    def test_an_end_is_observed_of_what_ran_before_the_watch(
        self, rig: BackendRig, backend: Backend, owner: OwnerId, orders: Orders
    ) -> None:
        resource = backend.start(orders.make(), Interrupt())
        successor = rig.open(owner)
        observed = Observed(successor)
        observed.first()

        rig.destroy(resource)

        assert observed.end_of(resource).resource_id == resource.id
        observed.stop()
        successor.close()

    def test_what_somebody_removed_by_hand_is_no_longer_listed(
        self, rig: BackendRig, backend: Backend, orders: Orders
    ) -> None:
        resource = backend.start(orders.make(), Interrupt())

        rig.destroy(resource)

        assert backend.inventory() == []
        backend.remove(resource, force=False, interrupt=Interrupt())

    def test_a_stopped_watch_reports_no_more(self, backend: Backend, orders: Orders) -> None:
        stopped, other = Observed(backend), Observed(backend)
        stopped.first()
        stopped.stop()
        stopped.stop()

        resource = backend.start(orders.make(RunnerScript(exit_code=0)), Interrupt())
        other.end_of(resource)

        assert stopped.ends() == []
        other.stop()

    # jobs, settings, closing

    def test_no_job_is_seen_in_a_runner_that_waits(self, backend: Backend, orders: Orders) -> None:
        resource = backend.start(orders.make(), Interrupt())

        assert not backend.runs_a_job(resource, Interrupt())

    def test_a_look_at_a_runner_ends_with_its_interrupt(self, backend: Backend, orders: Orders) -> None:
        resource, interrupt = backend.start(orders.make(), Interrupt()), Interrupt()
        interrupt.set()

        with pytest.raises(Interrupted):
            backend.runs_a_job(resource, interrupt)
        with pytest.raises(Interrupted):
            backend.logs(resource, 1000, interrupt)

    def test_usable_settings_have_no_errors_and_unusable_ones_do(
        self, rig: BackendRig, backend: Backend
    ) -> None:
        assert [found for found in backend.check(rig.settings(SLEEPS)) if found.level == "error"] == []
        assert [found for found in backend.check(rig.unusable_settings()) if found.level == "error"] != []

    def test_preparing_twice_is_harmless(self, rig: BackendRig, backend: Backend) -> None:
        for _ in range(2):
            backend.prepare(rig.settings(SLEEPS), _ignore, Interrupt())

    def test_closing_twice_is_harmless_and_keeps_the_resources(
        self, rig: BackendRig, backend: Backend, owner: OwnerId, orders: Orders
    ) -> None:
        resource = backend.start(orders.make(), Interrupt())

        backend.close()
        backend.close()

        successor = rig.open(owner)
        assert [listed.id for listed in successor.inventory()] == [resource.id]
        successor.close()


def _opened(rig: BackendRig, owner: OwnerId) -> Iterator[Backend]:
    backend = rig.open(owner)
    yield backend
    backend.close()
    sweeper = rig.open(owner)
    for resource in sweeper.inventory():
        sweeper.remove(resource, force=True, interrupt=Interrupt())
    sweeper.close()


def _marks(resource: Resource) -> tuple[object, ...]:
    return (resource.owner, resource.key, resource.slot, resource.runner, resource.runner_id)


def _timeless(resource: Resource) -> Resource:
    """Without its creation time, on which the engine's clock and ours may differ."""
    assert resource.created_at > 0
    return replace(resource, created_at=0.0)


def _ignore(_what: str, _done: int, _total: int, /) -> None:
    pass


def _set() -> Interrupt:
    interrupt = Interrupt()
    interrupt.set()
    return interrupt


def _run_to_its_end(backend: Backend, order: RunnerOrder) -> Resource:
    observed = Observed(backend)
    observed.first()
    resource = backend.start(order, Interrupt())
    observed.end_of(resource)
    observed.stop()
    return resource


def _run_until_it_traps(backend: Backend, orders: Orders, on_sigterm: OnSigterm) -> Resource:
    """A runner that handles SIGTERM from now on."""
    script = RunnerScript(lines=1, on_sigterm=on_sigterm)
    resource = backend.start(orders.make(script), Interrupt())
    wait_for_output(backend, resource, script.output)
    return resource


@contextmanager
def _removal(backend: Backend, resource: Resource, *, grace: float) -> Iterator[Future[None]]:
    """By force, on another thread; cut in the end if it has not returned."""
    interrupt = Interrupt()
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(backend.remove, resource, force=True, interrupt=interrupt, grace=grace)
        finally:
            interrupt.set()


def _cleared_by_the_next(rig: BackendRig, owner: OwnerId) -> list[Resource]:
    successor = rig.open(owner)
    left = successor.inventory()
    for resource in left:
        successor.remove(resource, force=True, interrupt=Interrupt())
    assert successor.inventory() == []
    successor.close()
    return left


def _cut_after(seconds: float, call: Callable[[Interrupt], Resource | None]) -> Resource | None:
    """What the call returned; None if it was interrupted before it returned."""
    interrupt = Interrupt()
    timer = threading.Timer(seconds, interrupt.set)
    timer.start()
    try:
        return call(interrupt)
    except Interrupted:
        return None
    finally:
        timer.join()
