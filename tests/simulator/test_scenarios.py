"""Bad days as data, and how they are played (docs/behaviour.md § 10.4)."""

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
from runscaler.simulator.scale_sets import ScaleSetWish
from runscaler.simulator.scenarios.catalogue import BY_NAME, SCENARIOS, UnknownScenario, find_scenario
from runscaler.simulator.scenarios.plan import LiftFault, Scenario, SetFault, Step, arrivals, unrolled
from runscaler.simulator.server import SimulatorServer
from runscaler.simulator.timers import FAST
from runscaler.testing.clock import FakeClock
from runscaler.testing.simulator import Match, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runscaler.simulator.scenarios.player import Blow
    from runscaler.simulator.things import Job

ASKED_FOR = {
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
}
COLUMNS = 80
MADE_UP = Scenario(
    name="made-up",
    about="",
    story="",
    look_for="",
    seed=0,
    steps=(
        Step("first", (SetFault("F13", Match(path="/nowhere"), None, lasts=30.0),), 10.0),
        Step("second", (), 20.0),
    ),
    length=10.0,
)

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=BY_NAME)


def faults_of(scenario: Scenario) -> list[SetFault]:
    return [deed for step in scenario.steps for deed in step.deeds if isinstance(deed, SetFault)]


# -- plans ----------------------------------------------------------------------------------------


def test_the_bad_days_of_the_specification_are_there_each_under_its_own_seed() -> None:
    assert set(BY_NAME) >= ASKED_FOR
    assert len({one.seed for one in SCENARIOS}) == len(SCENARIOS)


@each_scenario
def test_what_is_told_fits_into_a_terminal(scenario: Scenario) -> None:
    blows = [f"00:00 {scenario.name}: over: {step.text}" for step in scenario.steps]
    lines = [f"look for     {scenario.look_for}", f"scenario     {scenario.about}", *blows]

    assert [line for line in lines if len(line) > COLUMNS or "\n" in line] == []
    assert scenario.story


@each_scenario
def test_a_plan_takes_its_faults_from_the_table_and_ends_them(scenario: Scenario) -> None:
    lifted = {deed.fault for step in scenario.steps for deed in step.deeds if isinstance(deed, LiftFault)}
    endless = [
        one.fault
        for one in faults_of(scenario)
        if (TABLE[one.fault].count if one.count == "default" else one.count) is None
        and one.lasts is None
        and one.fault not in lifted
    ]

    assert endless == []


@each_scenario
def test_a_plan_s_faults_can_be_set(scenario: Scenario) -> None:
    with SimulatedGitHub(threads=32) as github:
        client = ScaleSetClient(github)
        with client.http:
            client.ready()
            for one in faults_of(scenario):
                if one.fault != "F2":  # would take the control away for a while
                    github.inject(one.fault, count=one.count, match=one.match, **one.params)


@each_scenario
def test_the_same_seed_is_the_same_day_and_another_seed_another(scenario: Scenario) -> None:
    day = unrolled(scenario, 7, 1.0)

    assert day == unrolled(scenario, 7, 1.0)
    assert day != unrolled(scenario, 8, 1.0)
    assert arrivals(scenario, 10, 7, 1.0) == arrivals(scenario, 10, 7, 1.0)


def test_shorter_timers_shrink_times_but_exact_ones() -> None:
    race = find_scenario("registration-race")
    limits = unrolled(find_scenario("rate-limited"), 1, 0.1)
    outage = unrolled(find_scenario("github-away"), 1, 0.1)

    assert unrolled(race, 1, 0.1)[-1].after == 4.0
    assert [fault.params for fault in faults_of_steps(limits)] == [{"retryAfter": 6}] * 2
    assert faults_of_steps(outage)[0].params == {"seconds": 6.0}
    assert faults_of_steps(outage)[1].lasts == 3.0


def faults_of_steps(steps: tuple[Step, ...]) -> list[SetFault]:
    return [deed for step in steps for deed in step.deeds if isinstance(deed, SetFault)]


def test_jobs_arrive_in_order_over_the_length_of_the_day() -> None:
    moments = arrivals(MADE_UP, 20, 1, 2.0)

    assert moments[0] == 0.0
    assert list(moments) == sorted(moments)
    assert moments[-1] < 20.0


def test_an_unknown_name_is_one_line_that_lists_the_names() -> None:
    with pytest.raises(UnknownScenario, match="there is no scenario monday; there are ") as caught:
        find_scenario("monday")

    assert all(name in str(caught.value) for name in ASKED_FOR)
    assert "\n" not in str(caught.value)


def test_a_scenario_brings_the_options_that_it_needs() -> None:
    assert find_scenario("capacity-trap").fitted(Options()).capacity_trap
    assert not find_scenario("lost-acks").fitted(Options()).capacity_trap


@each_scenario
def test_the_reliability_page_tells_of_it(scenario: Scenario) -> None:
    page = Path(__file__).parents[2] / "docs" / "reliability.md"

    assert f"| `{scenario.name}` | {scenario.about} | {scenario.look_for} |" in page.read_text()


# -- playing, without a thread, by a clock that the test moves ----------------------------------------


class Theatre:
    """A simulator that nobody started: its one client and its clock do as the test says."""

    def __init__(self, scenario: Scenario, jobs: int = 0) -> None:
        self.clock = FakeClock()
        self.server = SimulatorServer(Options(timers=FAST), threads=1, clock=self.clock)
        self.faults = self.server.app.faults
        self.player = self.server.rehearse(scenario, jobs=jobs)

    def client_comes(self) -> None:
        with self.server.gate as machine:
            made = machine.scale_sets.create("my-org", ScaleSetWish(name="linux"))
            session = machine.sessions.create(made, "host-a")
            machine.sessions.poll_begins(session, 0, 3)
        self.play()

    def play(self) -> None:
        """Everything that is due now, and what becomes due by it."""
        told = -1
        while told != len(self.told()):
            told = len(self.told())
            with self.server.gate:
                self.player.look()
            with self.server.gate:
                pass
            self.player.play_due()

    def pass_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.play()

    def told(self) -> list[str]:
        return [blow.text for blow in self.player.progress().struck]

    def faults_set(self) -> list[str]:
        return [fault.row.name for fault in self.faults.all()]

    def jobs(self) -> list[Job]:
        return list(self.server.machine.world.jobs.values())


def test_nothing_strikes_before_a_client_polls() -> None:
    theatre = Theatre(MADE_UP)

    theatre.pass_by(1000)

    assert theatre.told() == []
    assert theatre.player.progress().to_come == ("first", "second")


def test_blows_fall_at_their_times_and_faults_are_lifted_at_theirs() -> None:
    theatre = Theatre(MADE_UP)
    theatre.client_comes()
    assert (theatre.told(), theatre.faults_set()) == (["linux is listening"], [])

    theatre.pass_by(1.25)
    assert (theatre.told()[-1], theatre.faults_set()) == ("first", ["F13"])

    theatre.pass_by(2.5)
    assert theatre.told()[-1] == "second"
    assert not theatre.player.over

    theatre.pass_by(3)
    assert (theatre.told()[-1], theatre.faults_set()) == ("over: first", [])
    assert theatre.player.over


def test_the_same_seed_strikes_at_the_same_seconds() -> None:
    def blows() -> list[Blow]:
        theatre = Theatre(find_scenario("stale-statistics"))
        theatre.client_comes()
        for _ in range(400):
            theatre.pass_by(0.05)
        return list(theatre.player.progress().struck)

    assert len(blows()) == 5
    assert blows() == blows()


def test_a_session_goes_mute_or_to_another_client() -> None:
    mute, stolen = Theatre(find_scenario("mute-session")), Theatre(find_scenario("session-stolen"))
    for theatre in (mute, stolen):
        theatre.client_comes()
        theatre.pass_by(2)

    (muted,) = mute.server.machine.world.sessions.values()
    ours, thief = stolen.server.machine.world.sessions.values()
    assert (muted.live, muted.mute) == (True, True)
    assert (ours.live, thief.live, thief.owner) == (False, True, "another-host")


def test_the_race_gives_the_job_4_seconds_after_the_removal_of_its_runner() -> None:
    theatre = Theatre(find_scenario("registration-race"))
    theatre.client_comes()
    theatre.pass_by(1)
    with theatre.server.gate as machine:
        (scale_set,) = machine.world.scale_sets.values()
        runner = machine.runners.register(scale_set, "runner-1", "", repeated=False)
        agent = machine.agents.register(runner.id, (runner.client_id, runner.secret), "1")
        machine.agents.poll_begins(agent)
    theatre.play()
    (cancelled,) = theatre.jobs()
    assert (cancelled.result, cancelled.runner) == ("canceled", None)

    (race,) = (fault for fault in theatre.faults.all() if fault.row.name == "F82")
    assert theatre.faults.take(race)
    theatre.play()
    theatre.pass_by(3.9)
    assert len(theatre.jobs()) == 1

    theatre.pass_by(0.1)
    assert theatre.jobs()[-1].runner is runner
    assert theatre.player.over


def test_jobs_of_a_quiet_day_wait_for_its_end() -> None:
    busy, quiet = Theatre(MADE_UP, jobs=3), Theatre(replace(MADE_UP, quiet=True), jobs=3)
    for theatre in (busy, quiet):
        theatre.client_comes()
        theatre.pass_by(0.9)

    assert [len(theatre.jobs()) for theatre in (busy, quiet)] == [3, 0]


# -- the verdict ------------------------------------------------------------------------------------


def test_the_verdict_counts_jobs_rules_and_what_never_struck() -> None:
    theatre = Theatre(MADE_UP, jobs=3)
    theatre.client_comes()
    theatre.pass_by(0.9)
    for result, job in zip(("succeeded", "failed"), theatre.jobs(), strict=False):
        with theatre.server.gate as machine:
            machine.dispatch.finish(job, result)
    with theatre.server.gate as machine:
        machine.world.violations.record(11, "too early")
    verdict = theatre.player.verdict()

    assert str(verdict) == "made-up: 1 jobs done, 1 failed, 1 waiting; 1 violations"
    assert verdict.to_come == ("first", "second")
    assert not verdict.good


def test_a_day_without_jobs_and_without_a_blow_missed_is_good() -> None:
    theatre = Theatre(MADE_UP)
    theatre.client_comes()
    for _ in range(3):
        theatre.pass_by(3)

    assert theatre.player.verdict().good
    assert str(theatre.player.verdict()) == "made-up: 0 jobs done, 0 failed, 0 waiting; no rule broken"


# -- over HTTP --------------------------------------------------------------------------------------


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(threads=32, scenario="session-stolen") as simulated:
        yield simulated


def scenario_of(github: SimulatedGitHub) -> requests.Response:
    return requests.get(f"{github.control_url}/scenario", headers={"X-Sim-Control": "1"}, timeout=20)


def test_the_control_api_tells_what_has_struck_and_what_is_to_come(github: SimulatedGitHub) -> None:
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
    assert [blow["text"] for blow in after["struck"]][1:] == before["toCome"]
    assert github.scenario.over


def test_without_a_scenario_the_control_api_knows_none() -> None:
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
