"""The demo's stage on a tart that it did not bring itself."""

from __future__ import annotations

import pytest

from runscaler.cli.stage import Stage
from runscaler.config.model import TartSettings
from runscaler.ops.demo import EVERYWHERE, Ground
from runscaler.ops.demo_jobs import stream
from runscaler.ops.demo_tart import AGENT_DIR
from runscaler.testing.fake_tart_host import IMAGE, FakeTart


def unheard(what: str, done: int, total: int, /) -> None:
    """Nobody watches the VM being made."""


@pytest.fixture
def mac(tmp_path, monkeypatch):
    with FakeTart(tmp_path / "mac") as tart:
        tart.add_image()
        monkeypatch.setenv("RUNSCALER_TART_SLOTS", str(tmp_path / "slots"))
        for name in ("PATH", "TART_HOME"):
            monkeypatch.setenv(name, tart.environ[name])
        yield tart


def test_jobs_run_in_clones_of_the_image_that_was_given_and_only_the_image_stays(mac):
    settings = TartSettings(pool_size=1, runner_dir=AGENT_DIR, cache_cleanup=False)
    ground = Ground("tart", IMAGE, tart=settings, listen=EVERYWHERE)
    stage = Stage(ground, stream(2, 1), unheard, max_runners=2, seed=1)

    with stage:
        last = stage.play(lambda _scene: None)

    assert (last.done, stage.left_here, stage.left_at_github, stage.violations) == (2, [], [], [])
    mac.assert_nothing_left()
