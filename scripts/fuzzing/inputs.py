"""What the targets are fed with: bytes, most of them nearly what the target expects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

ABSURD = (
    *("", "0", "-1", "9" * 20, "9" * 400, "9" * 5000, "1e999", "NaN", "Infinity", "٣", "²"),
    *("/etc/passwd", "../..", "a\nb", "\x1b[2J", "\0", "[", "{", "https://[x", "a" * 3000, "\ud800"),
)
"""Texts that something has choked on, here or elsewhere."""
NESTED = ("[" * 5000, '{"a":' * 5000, "[" * 200 + "]" * 200)

texts = st.sampled_from(ABSURD) | st.text(max_size=40)
numbers = (
    st.integers()
    | st.sampled_from((0, -1, 2**31, 2**63 - 1, 2**63, 2**64, 10**30, 10**400))
    | st.floats(allow_nan=True, allow_infinity=True)
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def like(sample: object) -> st.SearchStrategy[object]:
    """Values of the shape of `sample`, of which some parts are missing, of another type, or absurd."""
    other = values
    if isinstance(sample, dict):
        parts = {key: like(value) for key, value in sample.items()}
        return st.one_of(st.just(sample), _some_of(parts), st.fixed_dictionaries(parts), other)
    if isinstance(sample, list):
        return st.one_of(st.lists(st.one_of(*map(like, sample)), max_size=4), other) if sample else other
    return st.one_of(st.just(sample), st.just(sample), other)


def _some_of(parts: dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[object]:
    return st.fixed_dictionaries({}, optional={**parts, "more": values})


def as_json(sample: object) -> st.SearchStrategy[bytes]:
    """JSON like `sample`, or nearly JSON, or neither."""
    return st.one_of(
        like(sample).map(_encoded),
        like(sample).map(_encoded),
        st.tuples(like(sample).map(_encoded), st.integers(0, 60)).map(lambda it: it[0][: -it[1] or None]),
        st.sampled_from([one.encode() for one in NESTED]),
        st.just(b'{"scale_set_id": ' + b"9" * 5000 + b"}"),
        st.binary(max_size=60),
    )


def as_text(samples: Sequence[str]) -> st.SearchStrategy[bytes]:
    """One of the samples, pieces of several in a row, or any text."""
    piece = st.one_of(st.sampled_from(list(samples)), texts)
    joined = st.lists(piece, max_size=6).map("".join)
    lines = st.lists(piece, max_size=12).map("\n".join)
    return st.one_of(joined, lines).map(lambda text: text.encode(errors="surrogatepass")) | st.binary(
        max_size=60
    )


def _encoded(value: object) -> bytes:
    """Python's limit for the digits of a number is kept, as a parser's limit is what is tested."""
    return json.dumps(value).encode(errors="surrogatepass")
