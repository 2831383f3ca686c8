"""The catalogue of scenarios (docs/behaviour.md § 10.4). Their faults are those of docs/protocol.md § 10."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from runscaler.simulator.faults.row import Match
from runscaler.simulator.scenarios.plan import (
    CancelJobs,
    ChangeSessions,
    ExpireAdminTokens,
    QueueJob,
    RemoveFault,
    Scenario,
    ScenarioStep,
    SetFault,
    Trigger,
)

if TYPE_CHECKING:
    from runscaler.simulator.scenarios.plan import Action

POLL = Match("GET", "/_sim/queue/")
ACKNOWLEDGE = Match("DELETE", "/_sim/queue/")
JIT = Match("POST", "/generatejitconfig")
REMOVE_RUNNER = Match("DELETE", "/pools/0/agents/")
SURPLUS: tuple[Action, ...] = (SetFault("F83", each_set=True), *[QueueJob("cancelled", "true")] * 3)
"""Jobs for which runners start that have nothing to do once the jobs are cancelled."""
EXPIRE_ALL_TOKENS = (ChangeSessions("expire-token"), ExpireAdminTokens(), SetFault("F31", count=1))


class UnknownScenario(ValueError):
    """No scenario has this name."""


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="stale-statistics",
        about="GitHub's counts are wrong: none, far too many, then both in turn.",
        story="Fleets that scaled on one wrong number started nothing for hours, or everything at once.",
        look_for="counts are asked for again, max-runners holds, no flapping",
        seed=1,
        steps=(
            ScenarioStep("all counts are zero although jobs were assigned", (SetFault("F66", count=3),), 5.0),
            ScenarioStep(
                "counts are stuck at 30 assigned jobs",
                (SetFault("F67", params={"assigned": 30}, lasts=60.0),),
                30.0,
            ),
            ScenarioStep("counts jump to 500 and back", (SetFault("F69"),), 80.0),
        ),
        length=120.0,
    ),
    Scenario(
        name="mute-session",
        about="A session stays valid, but its polls are never answered again.",
        story="Listeners that looked healthy got no jobs until somebody restarted them by hand.",
        look_for="after three poll lengths the session is replaced by a new one",
        seed=2,
        steps=(ScenarioStep("the session goes mute", (ChangeSessions("mute"),), 10.0, Trigger.LISTENING),),
        length=60.0,
    ),
    Scenario(
        name="session-stolen",
        about="Another client ends the session and holds its own for a while.",
        story="Two hosts with one configuration took the session from each other all night.",
        look_for="standby with its reason, no stealing back, takeover once it is free",
        seed=3,
        steps=(
            ScenarioStep(
                "another client takes the session", (ChangeSessions("steal"),), 10.0, Trigger.LISTENING
            ),
        ),
        length=60.0,
    ),
    Scenario(
        name="lost-acks",
        about="Acknowledgements are lost or fail; messages are delivered again.",
        story="Messages delivered twice were counted twice; runners started for finished jobs.",
        look_for="repeated messages have no effect; none is left unacknowledged",
        seed=4,
        steps=(
            ScenarioStep("two replies to acknowledgements are lost", (SetFault("F21", ACKNOWLEDGE, 2),), 5.0),
            ScenarioStep("two acknowledgements fail", (SetFault("F53", count=2),), trigger=Trigger.EXHAUSTED),
            ScenarioStep("a message is delivered again", (SetFault("F41"),), trigger=Trigger.EXHAUSTED),
            ScenarioStep(
                "old job messages are delivered under a new id", (SetFault("F42"),), trigger=Trigger.EXHAUSTED
            ),
        ),
        length=60.0,
    ),
    Scenario(
        name="registration-race",
        about="An idle runner is removed; 4 s later a job starts on it.",
        story="GitHub agreed to a removal and gave the runner a job in the same moment: killed mid-job.",
        look_for="JobStarted after the removal saves it (set a short idle-timeout)",
        seed=5,
        steps=(
            ScenarioStep(
                "a job is queued, but offered to no runner yet",
                (SetFault("F83", each_set=True), QueueJob("cancelled", "true")),
                2.0,
            ),
            ScenarioStep(
                "the job is cancelled, so its runner has none",
                (CancelJobs(), RemoveFault("F83"), SetFault("F82")),
                trigger=Trigger.IDLE,
            ),
            ScenarioStep(
                "the removed runner gets a job after all",
                (QueueJob("late", "sleep 12"),),
                4.0,
                Trigger.EXHAUSTED,
                exact=True,
            ),
        ),
        length=30.0,
        quiet=True,
    ),
    Scenario(
        name="early-completed",
        about="JobCompleted comes for jobs that still run or have not started.",
        story="Runners were killed in the middle of a deployment because a message came too early.",
        look_for="no busy runner is killed; both sides agree at the end",
        seed=6,
        steps=(
            ScenarioStep("2 jobs are reported completed as they start", (SetFault("F46", count=2),), 5.0),
            ScenarioStep(
                "JobCompleted overtakes JobStarted, twice",
                (SetFault("F43", count=2),),
                10.0,
                Trigger.EXHAUSTED,
            ),
        ),
        length=90.0,
    ),
    Scenario(
        name="version-refused",
        about="For five minutes GitHub refuses every runner as too old.",
        story="An image missed an update: runners came and went all weekend, at full speed.",
        look_for="degraded with the version as the reason, slow retries, recovery",
        seed=7,
        steps=(
            ScenarioStep(
                "every runner is refused as too old", (SetFault("F84", count=None, lasts=300.0),), 5.0
            ),
        ),
        length=200.0,
    ),
    Scenario(
        name="rate-limited",
        about="GitHub limits the rate: first a poll, then a registration.",
        story="Retries against a limit prolonged it, until the whole organisation was locked out.",
        look_for="no request before Retry-After has passed; the limit is shown",
        seed=8,
        steps=(
            ScenarioStep(
                "a poll is answered 429 with Retry-After", (SetFault("F14", POLL, 1, {"retryAfter": 60}),), 10
            ),
            ScenarioStep(
                "a registration meets the secondary limit",
                (SetFault("F15", JIT, 1, {"retryAfter": 60}),),
                70.0,
                Trigger.EXHAUSTED,
            ),
        ),
        length=180.0,
    ),
    Scenario(
        name="github-away",
        about="GitHub is unreachable for a minute, then answers 5xx for a while.",
        story="During an outage fleets removed their runners and logged a line for each retry.",
        look_for="no runner is touched; few log lines; recovery without help",
        seed=9,
        steps=(
            ScenarioStep("connections are refused", (SetFault("F2", params={"seconds": 60.0}),), 10.0),
            ScenarioStep("every call is answered 5xx", (SetFault("F13", count=None, lasts=30.0),), 80.0),
        ),
        length=90.0,
    ),
    Scenario(
        name="assigned-but-ignored",
        about="Jobs are assigned to the set, but for minutes offered to no runner.",
        story="Runners stayed idle beside waiting jobs; each retry leaked one more runner.",
        look_for="no surplus runners; the first ones are replaced only after 3 min",
        seed=10,
        steps=(
            ScenarioStep(
                "assigned jobs are offered to no runner",
                (SetFault("F83", lasts=240.0, each_set=True),),
                5.0,
            ),
        ),
        length=120.0,
    ),
    Scenario(
        name="capacity-trap",
        about="No runner can be registered; announcing capacity 0 now loses jobs.",
        story="A scale set in trouble announced capacity 0; jobs queued then were never offered to it.",
        look_for="the announced capacity does not drop to 0; every job runs",
        seed=11,
        steps=(ScenarioStep("registering runners fails", (SetFault("F72", count=None, lasts=60.0),), 5.0),),
        length=90.0,
        capacity_trap=True,
    ),
    Scenario(
        name="token-expiry-storm",
        about="All tokens expire at once, several times.",
        story="After an incident all tokens were void; thousands of refreshes caused the next incident.",
        look_for="one refresh serves all callers; no message lost; jobs unaffected",
        seed=12,
        steps=(
            ScenarioStep("all tokens expire", EXPIRE_ALL_TOKENS, 10.0, Trigger.LISTENING),
            ScenarioStep("all tokens expire again", EXPIRE_ALL_TOKENS, 25.0, Trigger.LISTENING),
            ScenarioStep("a new token is refused", (SetFault("F26", count=2),), 25.0, Trigger.LISTENING),
            ScenarioStep("all tokens expire once more", EXPIRE_ALL_TOKENS, 25.0, Trigger.LISTENING),
        ),
        length=90.0,
    ),
    Scenario(
        name="silent-minutes",
        about="JobStarted and JobCompleted come minutes late, or never.",
        story="Runners that had done their job counted as failures; starts slowed to a crawl.",
        look_for="no failure is counted, no pause: the next runner starts at once",
        seed=13,
        steps=(
            ScenarioStep(
                "both messages of 3 jobs come minutes late",
                (SetFault("F87", count=3, params={"seconds": 360.0}),),
                5.0,
            ),
            ScenarioStep(
                "both messages of 3 jobs never come",
                (SetFault("F87", count=3, params={"lost": True}),),
                10.0,
                Trigger.EXHAUSTED,
            ),
        ),
        length=120.0,
    ),
    Scenario(
        name="lost-completions",
        about="JobCompleted is lost, and the runner's process lives on.",
        story="Runners that GitHub had long forgotten held every slot, busy for days.",
        look_for="within 3 min the slots are free; no running job is touched",
        seed=14,
        steps=(
            ScenarioStep("2 runners hang after jobs whose end is lost", (SetFault("F88", count=2),), 5.0),
        ),
        length=150.0,
    ),
    Scenario(
        name="never-online",
        about="Some runners start, but never find their way to GitHub.",
        story="A proxy was missing inside the image; runners looked ready, and jobs waited.",
        look_for="after 90 s: degraded, with the runner's last line; replaced",
        seed=15,
        steps=(ScenarioStep("2 runners cannot connect", (SetFault("F76", count=2),), 5.0),),
        length=150.0,
    ),
    Scenario(
        name="mass-deregistration",
        about="Most registrations vanish at once; their runners are not told.",
        story="GitHub removed most of a fleet's registrations; its runners listened on in vain.",
        look_for="ghosts are found and replaced; no running job is touched",
        seed=16,
        steps=(
            ScenarioStep("3 jobs are queued and offered to no runner", SURPLUS, 5.0),
            ScenarioStep(
                "cancelled; most registrations vanish",
                (CancelJobs(), RemoveFault("F83"), SetFault("F91", params={"share": 0.7})),
                trigger=Trigger.IDLE,
            ),
            ScenarioStep("most registrations vanish again", (SetFault("F91", params={"share": 0.7}),), 60.0),
        ),
        length=150.0,
    ),
    Scenario(
        name="undeletable",
        about="GitHub refuses to remove registrations, then answers 5xx.",
        story="Registrations piled up by the thousand, until no new runner could be made.",
        look_for="removals are tried until they succeed; nothing is left behind",
        seed=17,
        steps=(
            ScenarioStep("3 jobs are queued and offered to no runner", SURPLUS, 5.0),
            ScenarioStep(
                "cancelled; removing runners is refused",
                (
                    SetFault("F12", REMOVE_RUNNER, None, {"status": 403, "text": "Not now."}, lasts=100.0),
                    SetFault("F64", lasts=150.0),
                    CancelJobs(),
                    RemoveFault("F83"),
                ),
                trigger=Trigger.IDLE,
            ),
            ScenarioStep(
                "removing runners is answered 5xx", (SetFault("F13", REMOVE_RUNNER, None, lasts=50.0),), 100.0
            ),
        ),
        length=150.0,
    ),
)
BY_NAME = {one.name: one for one in SCENARIOS}


def find_scenario(name: str) -> Scenario:
    """Raises `UnknownScenario`, which suggests a similar name and lists all."""
    if name not in BY_NAME:
        near = get_close_matches(name.lower(), BY_NAME, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise UnknownScenario(f"there is no scenario {name}{guess}; there are {', '.join(BY_NAME)}")
    return BY_NAME[name]
