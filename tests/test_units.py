from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.units import format_bytes, format_duration, format_uptime, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("10m", 600.0),
        ("6h30m", 23400.0),
        ("168h", 604800.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        ("1h2m3s4ms", 3723.004),
        ("0", 0.0),
        (" 5s ", 5.0),
        ("+5s", 5.0),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "5x", "s", "-5s", "5 s", "1h-2m", "5s5", "1d", "∞", "٣s", "5S"])
def test_invalid_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_a_written_duration_reads_back_as_the_same(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "1m30s"), (600, "10m"), (86400, "24h"), (0.25, "250ms"), (3661.5, "1h1m1.5s")],
)
def test_durations_are_written_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.9, "7s"), (120, "2m0s"), (3723, "1h2m3s"), (3600, "1h0m0s")]
)
def test_uptime_is_written_as_the_go_tool_does(seconds: float, text: str) -> None:
    assert format_uptime(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GiB", 10 * 1024**3),
        ("512 MB", 512 * 1000**2),
        ("1.5G", 3 * 1024**3 // 2),
        ("100", 100 * 1024**2),
        ("0", 0),
        ("1kib", 1024),
        ("7B", 7),
    ],
)
def test_sizes_are_read_with_their_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "10 apples", "1,5G", "10%"])
def test_invalid_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1536, "1.5 KiB"), (1024**3, "1 GiB"), (5 * 1024**5, "5120 TiB"), (1023, "1023 B")],
)
def test_bytes_are_written_in_binary_units(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize("text", ["1" * 5000, "1" * 5000 + "h", "9" * 400 + "GiB", "1h" * 3000, " " * 5000])
def test_a_text_that_is_too_long_is_none_and_is_not_repeated_in_full(text):
    for parse in (parse_duration, parse_size):
        with pytest.raises(ValueError, match="is too long") as caught:
            parse(text)
        assert len(str(caught.value)) < 100
