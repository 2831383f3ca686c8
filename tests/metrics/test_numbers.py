"""Numbers as Go prints them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.metrics.numbers import go_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (1.0, "1"),
        (-3, "-3"),
        (0.25, "0.25"),
        (0.1 + 0.2, "0.30000000000000004"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (2.5e-7, "2.5e-07"),
        (999_999, "999999"),
        (1_000_000, "1e+06"),
        (1_234_567, "1.234567e+06"),
        (21_600, "21600"),
        (1_800_000_000.5, "1.8000000005e+09"),
        (-1_500_000.0, "-1.5e+06"),
        (2**63, "9.223372036854776e+18"),
        (1e21, "1e+21"),
        (1e100, "1e+100"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (True, "1"),
    ],
)
def test_a_number_is_written_as_go_writes_it(value: float, text: str) -> None:
    assert go_number(value) == text


@given(st.floats(allow_nan=False))
def test_what_is_written_is_the_same_number(value: float) -> None:
    assert float(go_number(value)) == value
