"""Faults of docs/protocol.md § 10 against the whole program: after each, jobs run, and nothing is left or wrong.

One daemon meets them one after another, as a real one would in its months. What takes GitHub's own
minutes is played without threads in tests/actors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon
from support.siege import ACKNOWLEDGE, JIT, POLL, Blow, Siege, blow, configured

from runscaler.testing.simulator import FAST, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMERS = replace(FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0)
NAME = "linux"
OTHER_GROUP = "Builders"
EARLY_END = blow("F23")
"""Makes the next call of the actions service log in anew, which is done every 10 s at most."""
NEW_SESSION = blow("F36")
NEW_SET = blow("F58")

CASES: dict[str, tuple[Blow, ...]] = {
    "F2": (blow("F2", seconds=1.0),),
    "F3": (blow("F3", POLL), blow("F3", JIT)),
    "F4": (blow("F4", POLL), blow("F4", JIT)),
    "F5": (blow("F5", POLL), blow("F5", JIT)),
    "F7": (blow("F7", POLL, seconds=0.0001), blow("F7", JIT, seconds=0.0001)),
    "F8": (blow("F8", POLL), blow("F8", JIT)),
    "F9 invalid": (blow("F9", POLL, shape="invalid"), blow("F9", JIT, shape="invalid")),
    "F9 list": (blow("F9", POLL, shape="list"), blow("F9", JIT, shape="list")),
    "F9 strings": (blow("F9", POLL, shape="string"), blow("F9", JIT, shape="string")),
    "F9 for good": (blow("F9", POLL, count=4, shape="list"),),
    "F10": (blow("F10"),),
    "F11": (blow("F11"),),
    "F12 text": (blow("F12", POLL), blow("F12", JIT)),
    "F12 empty": (blow("F12", POLL, text=""), blow("F12", JIT, text="")),
    "F13": (blow("F13", POLL, count=2), blow("F13", JIT, count=1)),
    "F14 seconds": (blow("F14", POLL, retryAfter=1),),
    "F14 date": (blow("F14", JIT, retryAfter=1, date=True),),
    "F15": (blow("F15", POLL, retryAfter=1),),
    "F17 negative": (blow("F17", POLL, value="-5"),),
    "F17 garbage": (blow("F17", JIT, value="soon"),),
    "F18": (blow("F18", POLL, mib=9), blow("F18", JIT, mib=9)),
    "F19": (blow("F19", POLL), blow("F19", JIT)),
    "F21 poll": (blow("F21", POLL),),
    "F21 acknowledge": (blow("F21", ACKNOWLEDGE),),
    "F21 jit": (blow("F21", JIT),),
    "F22": (blow("F22"),),
    "F25 poll": (blow("F25", POLL),),
    "F25 acknowledge": (blow("F25", ACKNOWLEDGE),),
    "F26": (blow("F26", count=3),),
    "F23 with F32": (blow("F32"), EARLY_END),
    "F36": (NEW_SESSION,),
    "F37": (blow("F37"),),
    "F38 url": (blow("F38", field="url"), NEW_SESSION),
    "F38 token": (blow("F38", field="token"), NEW_SESSION),
    "F38 statistics": (blow("F38", field="statistics"), NEW_SESSION),
    "F39": (blow("F39", count=1), blow("F25", POLL)),
    "F41": (blow("F41"),),
    "F42": (blow("F42"),),
    "F43": (blow("F43"),),
    "F44": (blow("F44", seconds=3.0),),
    "F45": (blow("F45"),),
    "F46": (blow("F46"),),
    "F47 event": (blow("F47"),),
    "F47 message": (blow("F47", outer=True),),
    "F48 unknown": (blow("F48"),),
    "F48 empty": (blow("F48", name=""),),
    "F49 missing": (blow("F49", count=3, kind="missing"),),
    "F49 zero": (blow("F49", count=3, kind="zero"),),
    "F49 empty": (blow("F49", count=3, kind="empty"),),
    "F49 year 1": (blow("F49", count=3, kind="year-1"),),
    "F49 unparsable": (blow("F49", count=3, kind="unparsable"),),
    "F50": (blow("F50", count=3),),
    "F51 element": (blow("F51", kind="element"),),
    "F51 text": (blow("F51", kind="text"),),
    "F52": (blow("F52", jobs=6),),
    "F53 trouble": (blow("F53", status=500),),
    "F53 refused": (blow("F53", status=401),),
    "F58": (NEW_SET,),
    "F59 labels": (blow("F59", action="relabel", value="other"), NEW_SESSION),
    "F59 name": (blow("F59", action="rename", value="renamed"), NEW_SESSION),
    "F59 group": (blow("F59", action="move", value=OTHER_GROUP), NEW_SESSION),
    "F60": (blow("F60"), NEW_SET),
    "F61": (blow("F61", count=1), NEW_SET),
    "F63": (blow("F63", count=1), NEW_SET),
    "F65": (blow("F65", count=2),),
    "F66": (blow("F66"),),
    "F67": (blow("F67", count=2, assigned=40),),
    "F68 negative": (blow("F68", kind="negative"),),
    "F68 huge": (blow("F68", kind="huge"),),
    "F68 missing": (blow("F68", kind="missing"),),
    "F68 strings": (blow("F68", kind="strings"),),
    "F69": (blow("F69"),),
    "F70": (blow("F70"),),
    "F71": (blow("F71"),),
    "F72 every second": (blow("F72", count=2),),
    "F72 slow": (blow("F72", count=None, status=0, seconds=0.5),),
    "F73 id": (blow("F73", kind="id"),),
    "F73 garbage": (blow("F73", kind="garbage"),),
    "F74": (blow("F74"),),
    "F84": (blow("F84", count=1),),
    "F55": (blow("F55", first=1),),
}
"""What strikes at once, by a name of the case."""


@pytest.fixture(scope="module")
def siege(tmp_path_factory) -> Iterator[Siege]:
    with SimulatedGitHub(Options(timers=TIMERS, groups=(OTHER_GROUP,))) as github:
        keys = configured(github, NAME, max_runners=3, idle_timeout="2s", labels=[NAME, "gpu"])
        made = Siege(github, Daemon(tmp_path_factory.mktemp("siege"), keys))
        with made:
            yield made
        made.assert_nothing_is_left()


@pytest.mark.parametrize("case", CASES)
def test_jobs_run_and_nothing_is_left_after_a_fault(siege: Siege, case: str) -> None:
    faults = siege.strike(*CASES[case])
    jobs = siege.jobs(NAME)
    while not siege.all_have_struck(faults):
        jobs += siege.jobs(NAME, 1)
    siege.github.clear_faults()
    siege.wait_until_clear(NAME)

    assert {one.result for one in jobs} == {"succeeded"}
    assert siege.github.violations() == ()
    assert siege.of(NAME).restarts == 0
