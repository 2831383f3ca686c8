"""What a container's look at the engine's socket means. With real ones: test_engine_kinds.py."""

from __future__ import annotations

import pytest

from runscaler.backends.docker.socket_group import SeenSocket, answer_of

SOCKET = 0o140000


def test_the_group_is_what_stat_prints():
    seen = answer_of(b"c1b0 998\n")

    assert (seen.group, seen.mode, seen.usable_group, seen.trouble) == (998, 0o140660, 998, "")


@pytest.mark.parametrize("output", [b"", b"stat: cannot stat '/var/run/docker.sock'\n", b"c1b0 x", b"\xff"])
def test_another_answer_tells_nothing_but_its_words(output):
    seen = answer_of(output)

    assert (seen.group, seen.usable_group, seen.trouble) == (None, None, "")
    assert "stat in the runner image says" in seen.why


@pytest.mark.parametrize(
    ("group", "mode", "words"),
    [
        (998, 0o100644, "no socket"),
        (998, SOCKET | 0o600, "only its owner"),
        (65534, SOCKET | 0o660, "no number"),
    ],
)
def test_what_jobs_cannot_use_is_told(group, mode, words):
    assert words in SeenSocket(group, mode).trouble


def test_a_socket_that_everyone_may_use_needs_no_group():
    assert SeenSocket(65534, SOCKET | 0o666).trouble == ""
    assert SeenSocket(65534, SOCKET | 0o666).usable_group is None
