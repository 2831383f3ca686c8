"""A demo session with a tart that the demo did not provide itself."""

from __future__ import annotations

import itertools

import pytest

from runscaler.cli import demo_session
from runscaler.cli.demo_session import DemoSession
from runscaler.config.model import TartSettings
from runscaler.ops.demo import ALL_INTERFACES, DemoTarget
from runscaler.ops.demo_jobs import make_jobs
from runscaler.ops.demo_tart import AGENT_DIR
from runscaler.testing.clock import FakeClock
from runscaler.testing.fake_tart_host import IMAGE, FakeTart


def no_progress(what: str, done: int, total: int, /) -> None:
    """The progress of creating the VM is not tested here."""


@pytest.fixture
def mac(tmp_path, monkeypatch):
    with FakeTart(tmp_path / "mac") as tart:
        tart.add_image()
        monkeypatch.setenv("RUNSCALER_TART_SLOTS", str(tmp_path / "slots"))
        for name in ("PATH", "TART_HOME"):
            monkeypatch.setenv(name, tart.environ[name])
        yield tart


def test_jobs_run_in_clones_of_the_given_image_and_only_the_image_stays(mac):
    settings = TartSettings(pool_size=1, runner_dir=AGENT_DIR, cache_cleanup=False)
    target = DemoTarget("tart", IMAGE, tart=settings, listen=ALL_INTERFACES)
    session = DemoSession(target, make_jobs(2, 1), no_progress, max_runners=2, seed=1)

    with session:
        last = session.play(lambda _snapshot: None)

    assert (last.done, session.left_on_host, session.left_at_github, session.violations) == (2, [], [], [])
    mac.assert_nothing_left()


@pytest.mark.parametrize(("looks", "named"), [(2, []), (None, ["process 7"])])
def test_what_goes_a_moment_later_is_not_left_behind(monkeypatch, looks, named):
    session = DemoSession(DemoTarget("process"), [], no_progress, max_runners=1, seed=1)
    session.clock = FakeClock()
    seen = iter([["process 7"]] * looks) if looks else itertools.repeat(["process 7"])
    monkeypatch.setattr(demo_session, "leftovers", lambda *_: next(seen, []))

    session._inspect_host()

    assert session.left_on_host == named
