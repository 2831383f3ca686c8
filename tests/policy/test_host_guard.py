"""Is this host short of something (docs/behaviour.md § 6.4)?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runscaler.config.model import HostSettings
from runscaler.policy.host_guard import Disk, Measurement, shortages

GIB = 1024**3
LIMITS = HostSettings.model_validate({"min_free_memory": "2GiB", "min_free_disk": "10GiB", "max_load": 8.0})
PLENTY = Measurement(64 * GIB, (Disk("/state", 500 * GIB), Disk("/engine", 500 * GIB)), 0.5)
SIZES = st.integers(0, 40 * GIB)


def words(measured: Measurement, *before: str, limits: HostSettings = LIMITS) -> list[str]:
    return [one.words for one in shortages(limits, measured, before)]


def test_nothing_is_short_where_there_is_plenty() -> None:
    assert words(PLENTY) == []


def test_what_is_short_says_how_much_there_is_and_how_much_there_must_be() -> None:
    measured = Measurement(GIB // 2, (Disk("/state", 11 * GIB), Disk("/engine", 4 * GIB)), 8.26)

    assert words(measured) == [
        "free memory 512 MiB is below min-free-memory 2 GiB",
        "free disk 4 GiB is below min-free-disk 10 GiB (/engine)",
        "load 8.3 is above max-load 8",
    ]


def test_two_different_numbers_are_not_said_in_the_same_words() -> None:
    measured = Measurement(disks=(Disk("/state", 10 * GIB - 1),))

    assert words(measured) == ["free disk just under 10 GiB is below min-free-disk 10 GiB (/state)"]


def test_exactly_the_limit_is_enough() -> None:
    assert words(Measurement(2 * GIB, (Disk("/state", 10 * GIB),), 8.0)) == []


def test_what_was_short_needs_a_margin_before_it_is_enough() -> None:
    measured = Measurement(2 * GIB, (Disk("/state", 10 * GIB), Disk("/engine", 10 * GIB)), 7.5)

    assert words(measured, "free memory", "free disk /engine", "load") == [
        "free memory 2 GiB is just above min-free-memory 2 GiB; starts go on at 2.2 GiB",
        "free disk 10 GiB is just above min-free-disk 10 GiB; starts go on at 11 GiB (/engine)",
        "load 7.5 is just below max-load 8; starts go on at 7.2",
    ]
    assert words(Measurement(3 * GIB, (Disk("/engine", 11 * GIB),), 7.2), "free memory", "load") == []


def test_the_margin_of_a_large_limit_is_a_gibibyte() -> None:
    limits = HostSettings.model_validate({"min_free_disk": "500GiB"})

    assert words(Measurement(disks=(Disk("/a", 501 * GIB),)), "free disk /a", limits=limits) == []


def test_a_limit_of_0_is_off() -> None:
    assert words(Measurement(0, (Disk("/a", 0),), 1000.0), "load", "free memory", limits=HostSettings()) == []


def test_what_cannot_be_measured_guards_nothing() -> None:
    assert words(Measurement(), "free memory", "free disk /state", "load") == []


@given(SIZES, SIZES, st.floats(0, 20), st.booleans())
def test_more_of_everything_never_makes_anything_short(
    memory: int, disk: int, load: float, was_short: bool
) -> None:
    before = ("free memory", "free disk /a", "load") if was_short else ()
    less = shortages(LIMITS, Measurement(memory, (Disk("/a", disk),), load), before)
    more = shortages(LIMITS, Measurement(memory + GIB, (Disk("/a", disk + GIB),), load / 2), before)

    assert {one.what for one in more} <= {one.what for one in less}


@given(SIZES, SIZES, st.floats(0, 20))
def test_what_is_short_was_short_or_is_beyond_its_limit(memory: int, disk: int, load: float) -> None:
    found = {one.what for one in shortages(LIMITS, Measurement(memory, (Disk("/a", disk),), load), ())}

    assert found == {
        what
        for what, is_short in (
            ("free memory", memory < 2 * GIB),
            ("free disk /a", disk < 10 * GIB),
            ("load", load > 8),
        )
        if is_short
    }
