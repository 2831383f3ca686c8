from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.config.positions import find_positions

STRING = '''\
# a comment with = and [brackets]
plain = 1
"quoted key" = "a # b"
dotted.key.here = true
many = [
  1, # one
  { a = 2 },
]
long = """
x = 9
[not.a.table]
\\""" still inside"""
literal = \'\'\'
y = 1\'\'\'\'
inline = { b = 1, c = { d = [1, 2] } }

[table]
memory = 5

[[scaleset]]
name = "a"
[scaleset.docker]
cpu = 1

[[ scaleset ]]
name = "b"
  [scaleset."docker"]
  cpu = 2
[[scaleset.schedule]]
cron = "x"
[[scaleset.schedule]]
cron = "y"'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("plain",), 2),
        (("quoted key",), 3),
        (("dotted", "key", "here"), 4),
        (("dotted",), 4),
        (("many",), 5),
        (("many", 0), 6),
        (("many", 1, "a"), 7),
        (("long",), 9),
        (("literal",), 13),
        (("inline", "c", "d"), 15),
        (("table",), 17),
        (("table", "memory"), 18),
        (("scaleset", 0), 20),
        (("scaleset", 0, "docker", "cpu"), 23),
        (("scaleset", 1, "name"), 26),
        (("scaleset", 1, "docker", "cpu"), 28),
        (("scaleset", 1, "schedule", 1, "cron"), 32),
        (("table", "memory", "no", "such"), 18),
        (("scaleset", 1, "unknown"), 25),
        (("nothing",), 1),
    ],
)
def test_each_key_is_found_on_its_line(path: tuple[str | int, ...], line: int) -> None:
    tomllib.loads(STRING)

    assert find_positions(STRING).line(path) == line


KEYS = st.text("abcdefgh-_019", min_size=1, max_size=6)
VALUES = st.sampled_from(
    [
        "1",
        '"x"',
        "'#'",
        "true",
        "[1, 2]",
        "[\n 1,\n 2,\n]",
        '"""\na\n"""',
        "{ a = 1 }",
        "1979-05-27 07:32:00",
        '"\\""',
    ]
)


@given(st.dictionaries(KEYS, VALUES, max_size=12))
def test_lines_are_right_after_any_values(pairs: dict[str, str]) -> None:
    lines, text = {}, ""
    for key, value in pairs.items():
        lines[key] = text.count("\n") + 1
        text += f"{key} = {value} # {{\n"
    tomllib.loads(text)

    positions = find_positions(text)

    assert {key: positions.line((key,)) for key in pairs} == lines
