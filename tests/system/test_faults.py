"""Faults of docs/protocol.md § 10 against the whole program: after each one jobs run and nothing is left.

One daemon meets them one after the other, as a real one does over months. Faults that last minutes are tested
without threads in tests/actors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.daemon import Daemon
from support.embedded import ACKNOWLEDGE, JIT, POLL, EmbeddedDaemon, Fault, configured, make_fault

from runscaler.testing.simulator import FAST, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMERS = replace(FAST, long_poll=1.0, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0)
NAME = "linux"
OTHER_GROUP = "Builders"
EARLY_END = make_fault("F23")
"""Makes the next call of the actions service log in again, which happens every 10 s at most."""
NEW_SESSION = make_fault("F36")
NEW_SET = make_fault("F58")

CASES: dict[str, tuple[Fault, ...]] = {
    "F2": (make_fault("F2", seconds=1.0),),
    "F3": (make_fault("F3", POLL), make_fault("F3", JIT)),
    "F4": (make_fault("F4", POLL), make_fault("F4", JIT)),
    "F5": (make_fault("F5", POLL), make_fault("F5", JIT)),
    "F7": (make_fault("F7", POLL, seconds=0.0001), make_fault("F7", JIT, seconds=0.0001)),
    "F8": (make_fault("F8", POLL), make_fault("F8", JIT)),
    "F9 invalid": (make_fault("F9", POLL, shape="invalid"), make_fault("F9", JIT, shape="invalid")),
    "F9 list": (make_fault("F9", POLL, shape="list"), make_fault("F9", JIT, shape="list")),
    "F9 strings": (make_fault("F9", POLL, shape="string"), make_fault("F9", JIT, shape="string")),
    "F9 for good": (make_fault("F9", POLL, count=4, shape="list"),),
    "F10": (make_fault("F10"),),
    "F11": (make_fault("F11"),),
    "F12 text": (make_fault("F12", POLL), make_fault("F12", JIT)),
    "F12 empty": (make_fault("F12", POLL, text=""), make_fault("F12", JIT, text="")),
    "F13": (make_fault("F13", POLL, count=2), make_fault("F13", JIT, count=1)),
    "F14 seconds": (make_fault("F14", POLL, retryAfter=1),),
    "F14 date": (make_fault("F14", JIT, retryAfter=1, date=True),),
    "F15": (make_fault("F15", POLL, retryAfter=1),),
    "F17 negative": (make_fault("F17", POLL, value="-5"),),
    "F17 garbage": (make_fault("F17", JIT, value="soon"),),
    "F18": (make_fault("F18", POLL, mib=9), make_fault("F18", JIT, mib=9)),
    "F19": (make_fault("F19", POLL), make_fault("F19", JIT)),
    "F21 poll": (make_fault("F21", POLL),),
    "F21 acknowledge": (make_fault("F21", ACKNOWLEDGE),),
    "F21 jit": (make_fault("F21", JIT),),
    "F22": (make_fault("F22"),),
    "F25 poll": (make_fault("F25", POLL),),
    "F25 acknowledge": (make_fault("F25", ACKNOWLEDGE),),
    "F26": (make_fault("F26", count=3),),
    "F23 with F32": (make_fault("F32"), EARLY_END),
    "F36": (NEW_SESSION,),
    "F37": (make_fault("F37"),),
    "F38 url": (make_fault("F38", field="url"), NEW_SESSION),
    "F38 token": (make_fault("F38", field="token"), NEW_SESSION),
    "F38 statistics": (make_fault("F38", field="statistics"), NEW_SESSION),
    "F39": (make_fault("F39", count=1), make_fault("F25", POLL)),
    "F41": (make_fault("F41"),),
    "F42": (make_fault("F42"),),
    "F43": (make_fault("F43"),),
    "F44": (make_fault("F44", seconds=3.0),),
    "F45": (make_fault("F45"),),
    "F46": (make_fault("F46"),),
    "F47 event": (make_fault("F47"),),
    "F47 message": (make_fault("F47", outer=True),),
    "F48 unknown": (make_fault("F48"),),
    "F48 empty": (make_fault("F48", name=""),),
    "F49 missing": (make_fault("F49", count=3, kind="missing"),),
    "F49 zero": (make_fault("F49", count=3, kind="zero"),),
    "F49 empty": (make_fault("F49", count=3, kind="empty"),),
    "F49 year 1": (make_fault("F49", count=3, kind="year-1"),),
    "F49 unparsable": (make_fault("F49", count=3, kind="unparsable"),),
    "F50": (make_fault("F50", count=3),),
    "F51 element": (make_fault("F51", kind="element"),),
    "F51 text": (make_fault("F51", kind="text"),),
    "F52": (make_fault("F52", jobs=6),),
    "F53 server error": (make_fault("F53", status=500),),
    "F53 refused": (make_fault("F53", status=401),),
    "F58": (NEW_SET,),
    "F59 labels": (make_fault("F59", action="relabel", value="other"), NEW_SESSION),
    "F59 name": (make_fault("F59", action="rename", value="renamed"), NEW_SESSION),
    "F59 group": (make_fault("F59", action="move", value=OTHER_GROUP), NEW_SESSION),
    "F60": (make_fault("F60"), NEW_SET),
    "F61": (make_fault("F61", count=1), NEW_SET),
    "F63": (make_fault("F63", count=1), NEW_SET),
    "F65": (make_fault("F65", count=2),),
    "F66": (make_fault("F66"),),
    "F67": (make_fault("F67", count=2, assigned=40),),
    "F68 negative": (make_fault("F68", kind="negative"),),
    "F68 huge": (make_fault("F68", kind="huge"),),
    "F68 missing": (make_fault("F68", kind="missing"),),
    "F68 strings": (make_fault("F68", kind="strings"),),
    "F69": (make_fault("F69"),),
    "F70": (make_fault("F70"),),
    "F71": (make_fault("F71"),),
    "F72 every second": (make_fault("F72", count=2),),
    "F72 slow": (make_fault("F72", count=None, status=0, seconds=0.5),),
    "F73 id": (make_fault("F73", kind="id"),),
    "F73 garbage": (make_fault("F73", kind="garbage"),),
    "F74": (make_fault("F74"),),
    "F84": (make_fault("F84", count=1),),
    "F55": (make_fault("F55", first=1),),
}
"""The faults that are injected together, by the name of the case."""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory) -> Iterator[EmbeddedDaemon]:
    with SimulatedGitHub(Options(timers=TIMERS, groups=(OTHER_GROUP,), labels_mutable=True)) as github:
        keys = configured(github, NAME, max_runners=3, idle_timeout="2s", labels=[NAME, "gpu"])
        made = EmbeddedDaemon(github, Daemon(tmp_path_factory.mktemp("embedded"), keys))
        with made:
            yield made
        made.assert_nothing_is_left()


@pytest.mark.parametrize("case", CASES)
def test_jobs_run_and_nothing_is_left_after_a_fault(embedded: EmbeddedDaemon, case: str) -> None:
    faults = embedded.inject(*CASES[case])
    jobs = embedded.jobs(NAME)
    while not embedded.all_hit(faults):
        jobs += embedded.jobs(NAME, 1)
    embedded.github.clear_faults()
    embedded.wait_until_clear(NAME)

    assert {one.result for one in jobs} == {"succeeded"}
    assert embedded.github.violations() == ()
    assert embedded.of(NAME).restarts == 0
