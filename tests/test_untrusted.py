from __future__ import annotations

import pytest

from runscaler.untrusted import LARGEST_NUMBER, in_one_line, is_number, parse_json, whole_number


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), (b"7", 7), ("0042", 42), (str(LARGEST_NUMBER), LARGEST_NUMBER)]
)
def test_a_number_is_read(text: str | bytes, number: int) -> None:
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "-1", "+1", " 1", "1.0", "1_0", "\u0663", "\u00b2", "9" * 5000, str(LARGEST_NUMBER + 1), b"1\n"],
)
def test_what_is_no_number_is_none(text: str | bytes) -> None:
    assert whole_number(text) is None


def test_a_number_above_the_limit_is_none() -> None:
    assert (whole_number("8", 7), whole_number("7", 7)) == (None, 7)
    assert [is_number(value, 7) for value in (0, 7, 8, -1, True, 1.0, "1", None)] == [True, True] + [
        False
    ] * 6


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "9" * 5000, b"\xff"])
def test_what_is_no_json_is_a_value_error(content: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


def test_the_text_of_others_is_shown_on_one_short_line() -> None:
    assert in_one_line("a\n\tb\x1b[2J\u202ec") == "a b\ufffd[2J\ufffdc"
    assert in_one_line("x" * 300) == "x" * 200 + "…"
    assert len(in_one_line("x" * 10_000_000, 5)) == 6
