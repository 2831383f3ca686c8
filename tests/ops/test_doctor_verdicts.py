from __future__ import annotations

import socket

import pytest

from runscaler.backends.leftovers import Kind, Leftover
from runscaler.names import OwnerId
from runscaler.ops.doctor.findings import Verdict
from runscaler.ops.doctor.go_daemon import go_daemon_lives, is_answer_of_go
from runscaler.ops.doctor.verdicts import (
    Judgement,
    Owner,
    OwnerState,
    judge_job,
    judge_resource,
    judge_volume,
)

ID = OwnerId("a" * 32)
ORPHAN = Judgement(Verdict.ORPHAN, "")


def owner(state):
    return Owner(ID, OwnerState(state), "")


@pytest.mark.parametrize(
    ("state", "named", "verdict"),
    [
        ("dead", (), "orphan"),
        ("live", (), "live"),
        ("live", (ID,), "live"),
        ("unknown", (), "unknown"),
        ("unknown", (OwnerId("b" * 32),), "unknown"),
        ("unknown", (ID,), "orphan"),
    ],
)
def test_only_a_dead_owner_or_a_named_unknown_one_leaves_orphans(state, named, verdict):
    assert judge_resource(owner(state), named, go_lives=True).verdict == verdict


@pytest.mark.parametrize(("lives", "verdict"), [(True, "live"), (False, "orphan")])
def test_what_has_no_owner_is_the_go_tools_as_long_as_its_daemon_answers(lives, verdict):
    assert judge_resource(None, (), go_lives=lives).verdict == verdict


@pytest.mark.parametrize(
    ("runs_a_job", "force", "verdict"),
    [
        (False, False, "orphan"),
        (True, False, "busy"),
        (None, False, "busy"),
        (True, True, "orphan"),
        (None, True, "orphan"),
    ],
)
def test_what_runs_a_job_or_does_not_tell_goes_by_force_only(runs_a_job, force, verdict):
    assert judge_job(ORPHAN, runs_a_job, force=force).verdict == verdict


@pytest.mark.parametrize(
    ("users", "states", "named", "verdict"),
    [
        ((), (), (), "orphan"),
        ((), ("dead",), (), "orphan"),
        (("gone",), ("dead",), (), "orphan"),
        (("there",), ("dead",), (), "live"),
        (("gone", "there"), (), (), "live"),
        ((), ("dead", "live"), (), "live"),
        ((), ("live",), (ID,), "live"),
        ((), ("dead", "unknown"), (), "unknown"),
        ((), ("unknown",), (ID,), "orphan"),
    ],
)
def test_our_volume_is_an_orphan_if_nothing_uses_it_and_no_daemon_may(users, states, named, verdict):
    volume = Leftover(Kind.VOLUME, "runner-shared", "runner-shared", users=users)
    owners = [owner(state) for state in states]

    assert judge_volume(volume, {"gone"}, owners, named, go_lives=True).verdict == verdict


@pytest.mark.parametrize(
    ("users", "lives", "verdict"),
    [((), False, "orphan"), ((), True, "live"), (("there",), False, "live")],
)
def test_the_go_tools_volume_does_not_depend_on_our_daemons(users, lives, verdict):
    volume = Leftover(Kind.VOLUME, "runscaler-shared", "runscaler-shared", users=users)

    assert judge_volume(volume, (), [owner("live")], (), go_lives=lives).verdict == verdict


@pytest.mark.parametrize(
    ("body", "is_go"),
    [
        (b'{"status": "ok", "version": "1", "uptime": "1s", "scale_sets": []}', True),
        (b'{"status": "ok", "restarts": {}, "reason": "", "scale_sets": []}', False),
        (b'{"status": "ok"}', False),
        (b"<html>", False),
        (b"[]", False),
        (b"[" * 100_000, False),
    ],
)
def test_a_health_report_without_our_keys_is_the_go_tools(body, is_go):
    assert is_answer_of_go(body) is is_go


def test_what_listens_but_does_not_answer_may_be_the_go_tool():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert go_daemon_lives(port, seconds=0.05)

    assert not go_daemon_lives(port)
