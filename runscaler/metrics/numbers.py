"""Numbers as Go prints them, because Prometheus keeps the text of a bucket's bound as a label."""

from __future__ import annotations

import math

_SCIENTIFIC_FROM = 1e6
"""Go's shortest form goes over to an exponent here, Python's only at 1e16."""


def go_number(value: float) -> str:
    """As `strconv.FormatFloat(value, 'g', -1, 64)` does: "1", "0.25", "1.5e+09", "+Inf"."""
    if isinstance(value, int) and -_SCIENTIFIC_FROM < value < _SCIENTIFIC_FROM:
        return str(int(value))
    number = float(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else ("+Inf" if number > 0 else "-Inf")
    if abs(number) < _SCIENTIFIC_FROM:
        return str(int(number)) if number.is_integer() else repr(number)
    text = repr(number)
    if "e" in text:
        return text
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text)
    whole, _, fraction = digits.partition(".")
    significant = (whole + fraction).rstrip("0")
    mantissa = significant[0] + (f".{significant[1:]}" if len(significant) > 1 else "")
    return f"{sign}{mantissa}e+{len(whole) - 1:02d}"
