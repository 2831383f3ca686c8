"""Scenarios and how they are played (docs/behaviour.md § 10.4)."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from support.scale_set_client import ScaleSetClient

from runscaler.simulator.faults.table import TABLE
from runscaler.simulator.options import Options
from runscaler.simulator.scale_sets import ScaleSetSpec
from runscaler.simulator.scenarios.catalogue import BY_NAME, SCENARIOS, UnknownScenario, find_scenario
from runscaler.simulator.scenarios.plan import (
    RemoveFault,
    Scenario,
    ScenarioStep,
    SetFault,
    arrivals,
    scaled_steps,
)
from runscaler.simulator.server import SimulatorServer
from runscaler.simulator.timers import FAST
from runscaler.testing.clock import FakeClock
from runscaler.testing.simulator import Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.simulator.records import Job
    from runscaler.simulator.scenarios.player import ScenarioEvent

REQUIRED = {
    "stale-statistics",
    "mute-session",
    "session-stolen",
    "lost-acks",
    "registration-race",
    "early-completed",
    "version-refused",
    "rate-limited",
    "github-away",
    "assigned-but-ignored",
    "capacity-trap",
    "token-expiry-storm",
    "silent-minutes",
    "lost-completions",
    "never-online",
    "mass-deregistration",
    "undeletable",
}
COLUMNS = 80
MADE_UP = Scenario(
    name="made-up",
    about="",
    story="",
    look_for="",
    seed=0,
    steps=(
        ScenarioStep("first", (SetFault("F13", Match(path="/nowhere"), None, lasts=30.0),), 10.0),
        ScenarioStep("second", (), 20.0),
    ),
    length=10.0,
)

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=BY_NAME)


def faults_of(scenario: Scenario) -> list[SetFault]:
    return [action for step in scenario.steps for action in step.actions if isinstance(action, SetFault)]


# -- the catalogue --------------------------------------------------------------------------------


def test_all_scenarios_exist_and_each_has_a_seed_of_its_own() -> None:
    assert set(BY_NAME) >= REQUIRED
    assert len({one.seed for one in SCENARIOS}) == len(SCENARIOS)


@each_scenario
def test_the_printed_lines_fit_into_a_terminal(scenario: Scenario) -> None:
    events = [f"00:00 {scenario.name}: ended: {step.text}" for step in scenario.steps]
    lines = [f"look for     {scenario.look_for}", f"scenario     {scenario.about}", *events]

    assert [line for line in lines if len(line) > COLUMNS or "\n" in line] == []
    assert scenario.story


@each_scenario
def test_every_fault_of_a_scenario_ends(scenario: Scenario) -> None:
    removed = {
        action.fault for step in scenario.steps for action in step.actions if isinstance(action, RemoveFault)
    }
    endless = [
        one.fault
        for one in faults_of(scenario)
        if (TABLE[one.fault].count if one.count == "default" else one.count) is None
        and one.lasts is None
        and one.fault not in removed
    ]

    assert endless == []


@each_scenario
def test_the_faults_of_a_scenario_can_be_set(scenario: Scenario) -> None:
    with SimulatedGitHub(threads=32) as github:
        client = ScaleSetClient(github)
        with client.http:
            client.ready()
            for one in faults_of(scenario):
                if one.fault != "F2":  # would also refuse the next call for a while
                    github.inject(one.fault, count=one.count, match=one.match, **one.params)


@each_scenario
def test_the_same_seed_gives_the_same_times_and_another_seed_others(scenario: Scenario) -> None:
    steps = scaled_steps(scenario, 7, 1.0)

    assert steps == scaled_steps(scenario, 7, 1.0)
    assert steps != scaled_steps(scenario, 8, 1.0)
    assert arrivals(scenario, 10, 7, 1.0) == arrivals(scenario, 10, 7, 1.0)


def test_shorter_timers_scale_all_times_except_exact_ones() -> None:
    race = find_scenario("registration-race")
    limits = scaled_steps(find_scenario("rate-limited"), 1, 0.1)
    outage = scaled_steps(find_scenario("github-away"), 1, 0.1)

    assert scaled_steps(race, 1, 0.1)[-1].after == 4.0
    assert [fault.params for fault in faults_of_steps(limits)] == [{"retryAfter": 6}] * 2
    assert faults_of_steps(outage)[0].params == {"seconds": 6.0}
    assert faults_of_steps(outage)[1].lasts == 3.0


def faults_of_steps(steps: tuple[ScenarioStep, ...]) -> list[SetFault]:
    return [action for step in steps for action in step.actions if isinstance(action, SetFault)]


def test_jobs_arrive_in_order_over_the_length_of_the_scenario() -> None:
    times = arrivals(MADE_UP, 20, 1, 2.0)

    assert times[0] == 0.0
    assert list(times) == sorted(times)
    assert times[-1] < 20.0


def test_the_error_for_an_unknown_name_lists_the_names_in_one_line() -> None:
    with pytest.raises(UnknownScenario, match="there is no scenario monday; there are ") as caught:
        find_scenario("monday")

    assert all(name in str(caught.value) for name in REQUIRED)
    assert "\n" not in str(caught.value)


def test_a_scenario_turns_on_the_options_that_it_needs() -> None:
    without = Options(capacity_trap=False)

    assert find_scenario("capacity-trap").adapt(without).capacity_trap
    assert not find_scenario("lost-acks").adapt(without).capacity_trap


@each_scenario
def test_the_scenario_is_described_in_the_reliability_page(scenario: Scenario) -> None:
    page = Path(__file__).parents[2] / "docs" / "reliability.md"

    assert f"| `{scenario.name}` | {scenario.about} | {scenario.look_for} |" in page.read_text()


# -- playing without a thread, by a clock that the test moves ------------------------------------------


class ScenarioRig:
    """A simulator that is not started, whose client and clock the test controls."""

    def __init__(self, scenario: Scenario, jobs: int = 0) -> None:
        self.clock = FakeClock()
        self.server = SimulatorServer(Options(timers=FAST), threads=1, clock=self.clock)
        self.faults = self.server.app.faults
        self.player = self.server.load_scenario(scenario, jobs=jobs)

    def connect_client(self) -> None:
        with self.server.lock as machine:
            made = machine.scale_sets.create("my-org", ScaleSetSpec(name="linux"))
            session = machine.sessions.create(made, "host-a")
            machine.sessions.poll_begins(session, 0, 3)
        self.run()

    def run(self) -> None:
        """Run everything that is due, including what becomes due meanwhile."""
        count = -1
        while count != len(self.texts()):
            count = len(self.texts())
            with self.server.lock:
                self.player.set_timer()
            with self.server.lock:
                pass
            self.player.run_due()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.run()

    def texts(self) -> list[str]:
        return [event.text for event in self.player.progress().events]

    def faults_set(self) -> list[str]:
        return [fault.row.name for fault in self.faults.all()]

    def jobs(self) -> list[Job]:
        return list(self.server.machine.store.jobs.values())


def test_no_step_runs_before_a_client_polls() -> None:
    rig = ScenarioRig(MADE_UP)

    rig.advance(1000)

    assert rig.texts() == []
    assert rig.player.progress().pending == ("first", "second")


def test_steps_run_and_faults_are_removed_at_their_times() -> None:
    rig = ScenarioRig(MADE_UP)
    rig.connect_client()
    assert (rig.texts(), rig.faults_set()) == (["linux is listening"], [])

    rig.advance(1.25)
    assert (rig.texts()[-1], rig.faults_set()) == ("first", ["F13"])

    rig.advance(2.5)
    assert rig.texts()[-1] == "second"
    assert not rig.player.finished

    rig.advance(3)
    assert (rig.texts()[-1], rig.faults_set()) == ("ended: first", [])
    assert rig.player.finished


def test_the_same_seed_runs_the_steps_at_the_same_times() -> None:
    def events() -> list[ScenarioEvent]:
        rig = ScenarioRig(find_scenario("stale-statistics"))
        rig.connect_client()
        for _ in range(400):
            rig.advance(0.05)
        return list(rig.player.progress().events)

    assert len(events()) == 5
    assert events() == events()


def test_a_session_is_muted_or_stolen_by_another_client() -> None:
    mute, stolen = ScenarioRig(find_scenario("mute-session")), ScenarioRig(find_scenario("session-stolen"))
    for rig in (mute, stolen):
        rig.connect_client()
        rig.advance(2)

    (muted,) = mute.server.machine.store.sessions.values()
    ours, other = stolen.server.machine.store.sessions.values()
    assert (muted.live, muted.mute) == (True, True)
    assert (ours.live, other.live, other.owner) == (False, True, "another-host")


def test_registration_race_offers_the_job_4_seconds_after_the_removal() -> None:
    rig = ScenarioRig(find_scenario("registration-race"))
    rig.connect_client()
    rig.advance(1)
    with rig.server.lock as machine:
        (scale_set,) = machine.store.scale_sets.values()
        runner = machine.runners.register(scale_set, "runner-1", "", repeated=False)
        agent = machine.agents.register(runner.id, (runner.client_id, runner.secret), "1")
        machine.agents.poll_begins(agent)
    rig.run()
    (cancelled,) = rig.jobs()
    assert (cancelled.result, cancelled.runner) == ("canceled", None)

    (race,) = (fault for fault in rig.faults.all() if fault.row.name == "F82")
    assert rig.faults.should_apply(race)
    rig.run()
    rig.advance(3.9)
    assert len(rig.jobs()) == 1

    rig.advance(0.1)
    assert rig.jobs()[-1].runner is runner
    assert rig.player.finished


def test_the_jobs_of_a_quiet_scenario_wait_for_its_last_step() -> None:
    busy, quiet = ScenarioRig(MADE_UP, jobs=3), ScenarioRig(replace(MADE_UP, quiet=True), jobs=3)
    for rig in (busy, quiet):
        rig.connect_client()
        rig.advance(0.9)

    assert [len(rig.jobs()) for rig in (busy, quiet)] == [3, 0]


# -- the result ------------------------------------------------------------------------------------


def test_the_result_counts_jobs_violations_and_steps_that_did_not_run() -> None:
    rig = ScenarioRig(MADE_UP, jobs=3)
    rig.connect_client()
    rig.advance(0.9)
    for result, job in zip(("succeeded", "failed"), rig.jobs(), strict=False):
        with rig.server.lock as machine:
            machine.dispatch.finish(job, result)
    with rig.server.lock as machine:
        machine.store.violations.record(11, "too early")
    result = rig.player.result()

    assert str(result) == "made-up: 1 jobs done, 1 failed, 1 waiting; 1 violations"
    assert result.pending == ("first", "second")
    assert not result.good


def test_the_result_is_good_if_all_steps_ran_and_no_job_failed() -> None:
    rig = ScenarioRig(MADE_UP)
    rig.connect_client()
    for _ in range(3):
        rig.advance(3)

    assert rig.player.result().good
    assert str(rig.player.result()) == "made-up: 0 jobs done, 0 failed, 0 waiting; no rule broken"


# -- over HTTP --------------------------------------------------------------------------------------


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(threads=32, scenario="session-stolen") as simulated:
        yield simulated


def scenario_of(github: SimulatedGitHub) -> requests.Response:
    return requests.get(f"{github.control_url}/scenario", headers=github.control_headers, timeout=20)


def test_the_control_api_shows_past_and_pending_steps(github: SimulatedGitHub) -> None:
    before: dict[str, Any] = scenario_of(github).json()
    client = ScaleSetClient(github)
    with client.http:
        polling = threading.Thread(target=client.ready().poll)
        polling.start()
        github.wait_for_scenario()
        polling.join(30)
    after: dict[str, Any] = scenario_of(github).json()

    assert (before["name"], before["over"], before["struck"]) == ("session-stolen", False, [])
    assert before["toCome"] == ["another client takes the session"]
    assert (after["over"], after["toCome"]) == (True, [])
    assert [event["text"] for event in after["struck"]][1:] == before["toCome"]
    assert github.scenario.finished


def test_without_a_scenario_the_control_api_answers_404() -> None:
    with SimulatedGitHub(threads=8) as github:
        assert scenario_of(github).status_code == 404


def test_a_mute_session_answers_no_poll_until_its_client_gives_up(client: ScaleSetClient) -> None:
    client.github.change_session("my-runners", "mute")
    client.github.queue_jobs("my-runners")
    polling = threading.Thread(target=client.poll)
    polling.start()
    client.github.wait_until(lambda state: any(one.polls_open for one in state.sessions))
    client.github.pass_time(60)
    still = [one.polls_open for one in client.github.state().sessions]
    client.close_session()
    polling.join(30)

    assert still == [1]
    assert not polling.is_alive()
