"""What `schedule` accepts, and what each line about a bad value says (docs/behaviour.md § 4.2)."""

from __future__ import annotations

import zoneinfo
from typing import TYPE_CHECKING

import pytest

from runscaler.config.schedule_values import cron_expression, time_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Lines, Load

MINIMAL = 'url = "https://github.com/my-org"\nname = "linux"\ntoken = "ghp_x"\n'
GOOD = 'cron = "0 8 * * MON-FRI", duration = "10h", max-runners = 20'


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("60 8 * * *", 'its minute is "60", not within 0 to 59'),
        ("0 25 * * *", 'its hour is "25", not within 0 to 23'),
        ("0 8 32 * *", 'its day of the month is "32", not within 1 to 31'),
        ("0 8 * 13 *", 'its month is "13", not within 1 to 12 or JAN to DEC'),
        ("0 8 * * MOO", 'its day of the week is "MOO", not within 0 to 7 or SUN to SAT'),
        ("0 8 31 2,4 *", "there is no such day in these months"),
        ("0 8 * *", "it has 4 fields"),
        ("0 0 8 * * *", "it has 6 fields"),
        ("never", "it has 1 field"),
        ("", "it has 0 fields"),
        (f"{'9' * 5000} * * * *", 'its minute is "9{58}…, not within 0 to 59'),
    ],
)
def test_a_bad_cron_expression_is_told_by_its_field(cron: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        cron_expression(cron)


@pytest.mark.parametrize("cron", ["0 8 * * 1-5", "*/15 0-6,22 1 JAN-mar sun", "0 8 L * *", "0 8 31 * 7"])
def test_usual_cron_expressions_are_taken(cron: str) -> None:
    assert cron_expression(cron) == cron


@pytest.mark.parametrize(
    ("zone", "meant"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/kyiv", "Europe/Kyiv"),
        ("berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
    ],
)
def test_an_unknown_time_zone_names_the_nearest(zone: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"^there is no such time zone; did you mean {meant}\?$"):
        time_zone(zone)


@pytest.mark.parametrize("zone", ["", "Qxzw", "../etc/passwd", "Europe"])
def test_what_is_no_time_zone_at_all_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"^there is no such time zone"):
        time_zone(zone)


@pytest.fixture
def without_time_zones() -> Iterator[None]:
    """As in a slim image: the system has none."""
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=())
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


def test_a_nickname_of_cron_is_refused_as_it_was_written(error_lines: Lines) -> None:
    (line,) = error_lines(f"{MINIMAL}schedule = [{{ {GOOD.replace('0 8 * * MON-FRI', '@daily')} }}]\n")

    assert 'cron: "@daily" is not valid (it has 1 field)' in line


@pytest.mark.usefixtures("without_time_zones")
def test_time_zones_are_known_on_a_host_that_has_none() -> None:
    assert time_zone("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValueError, match="did you mean Europe/Berlin"):
        time_zone("Europe/Berln")


def test_each_problem_names_the_line_of_its_window(error_lines: Lines) -> None:
    lines = error_lines(
        f"{MINIMAL}schedule = [\n  {{ {GOOD} }},\n  {{ {GOOD.replace('8', '24')} }},\n"
        f"  {{ {GOOD.replace('10h', '0')} }},\n]\n"
    )

    assert [line.partition(" is not valid")[0] for line in lines] == [
        'config.toml:6: schedule, entry 2: cron: "0 24 * * MON-FRI"',
        'config.toml:7: schedule, entry 3: duration: "0"',
    ]


def test_windows_as_tables_of_their_own_are_taken(error_lines: Lines, load: Load) -> None:
    window = '[[schedule]]\ncron = "0 8 * * *"\nduration = "1h"\nmax-runners = 3\n'

    assert [one.max_runners for one in load(f"{MINIMAL}{window}{window}").scale_sets[0].schedule] == [3, 3]
    (line,) = error_lines(f"{MINIMAL}{window}{window.replace('1h', '-1h')}")
    assert line.startswith('config.toml:8: schedule, entry 2: duration: "-1h" is not valid (it is negative)')


def test_a_maximum_of_0_is_refused_with_what_to_do_instead(error_lines: Lines) -> None:
    (line,) = error_lines(f"{MINIMAL}schedule = [{{ {GOOD.replace('20', '0')} }}]\n")

    assert "max-runners: 0 is not valid (GitHub may never again offer a job" in line
    assert "use runner drain" in line


def test_limits_are_compared_with_those_of_the_scale_set_that_the_window_leaves(error_lines: Lines) -> None:
    (line,) = error_lines(
        f'{MINIMAL}min-runners = 5\nschedule = [{{ cron = "0 8 * * *", duration = "1h", max-runners = 3 }}]\n'
    )

    assert line == "config.toml:5: schedule, entry 1: min-runners (5) is above max-runners (3)"


def test_a_duration_longer_than_the_period_is_fine(load: Load) -> None:
    text = f'{MINIMAL}schedule = [{{ cron = "0 * * * *", duration = "36h", max-runners = 3 }}]\n'

    assert load(text).scale_sets[0].schedule[0].duration == 36 * 3600


def test_a_window_without_limits_is_warned_about(load: Load) -> None:
    (*_, warning) = load(f'{MINIMAL}schedule = [{{ cron = "0 8 * * *", duration = "1h" }}]\n').warnings

    expected = "config.toml:4: schedule, entry 1: it sets neither min-runners nor max-runners"
    assert warning.message.endswith(expected)
