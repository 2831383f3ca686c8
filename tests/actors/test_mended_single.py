"""Bugs found in single actors and the facade: each of these failed before it was mended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.solo import Solo
from support.world import scale_set

from runscaler.actors.health import HealthActor
from runscaler.actors.messages import (
    AnnounceCapacity,
    BatchHandled,
    BatchReceived,
    Reconnect,
    SharedStopped,
    StopHealth,
    StopKeeper,
)
from runscaler.autoscaler import Autoscaler
from runscaler.backends.memory import MemoryBackend
from runscaler.clock import SystemClock
from runscaler.config.model import Config
from runscaler.errors import RunscalerError
from runscaler.testing.memory_github import MemoryGitHub

if TYPE_CHECKING:
    from pathlib import Path


# -- the order of the end -----------------------------------------------------------------------------


class Held:
    """Something that a shared actor holds: `told` is whether the parent knew of the end before this."""

    def __init__(self, solo: Solo) -> None:
        self._solo = solo
        self.told: list[bool] = []

    def stop(self) -> None:
        self._solo.harness.deliver_all()
        self.told.append(bool(self._solo.heard(SharedStopped)))


def test_the_server_has_ended_when_health_says_so() -> None:
    """health tells SharedStopped first and ends its server in released, afterwards: Autoscaler.stop()
    returns while the port is still served, and the next start answers "health port is in use"."""
    solo = Solo()
    server = Held(solo)
    solo.house = replace(solo.house, serve=lambda: server)
    solo.harness.launch(HealthActor, solo.parent.actor_ref, solo.house)
    solo.tell(solo.harness.alive(HealthActor)[0], StopHealth())

    assert server.told[0] is False


def test_the_stream_has_ended_when_a_keeper_says_so() -> None:
    """keeper likewise: root closes the backend while its stream and its workers still run."""
    solo = Solo()
    stream = Held(solo)

    class Streaming(MemoryBackend):
        def watch(self, *_: Any) -> Any:
            return stream

    solo.backend = Streaming(solo.clock)
    solo.tell(solo.keeper(), StopKeeper())

    assert stream.told[0] is False


# -- listener -----------------------------------------------------------------------------------------


def test_a_late_answer_to_the_session_before_is_no_answer_to_the_new_one() -> None:
    """listener._handled does not look at the batch's id: after Reconnect the answer to a batch of the old
    session counts as that to SessionOpened, whose own answer (offers to acquire) is dropped then."""
    solo = Solo()
    listener = solo.listener()
    solo.play()
    solo.tell(listener, BatchHandled(None, ()))
    solo.github.queue("linux")
    solo.tell(listener, AnnounceCapacity(10))
    old = solo.heard(BatchReceived)[0].batch_id
    solo.tell(listener, Reconnect())
    solo.tell(listener, BatchHandled(old, ()))
    solo.service.calls.clear()

    solo.tell(listener, BatchHandled(None, (7,)))

    assert solo.service.args("acquire_jobs")[0][1] == (7,)


# -- root and facade ----------------------------------------------------------------------------------


def test_the_crash_of_root_says_what_went_wrong(tmp_path: Path) -> None:
    """Root has no parent: its ChildCrashed goes nowhere, nothing is logged (pykka's logger is silent), and
    the reason is only "the root actor crashed"."""

    def refuse(*_: object) -> Any:
        raise RunscalerError("there is no backend 'dokcer'")

    config = Config(scale_sets=(scale_set("linux"),), state_dir=tmp_path, health_port=0)
    autoscaler = Autoscaler(config, connect=MemoryGitHub(SystemClock()).connect, open_backend=refuse)
    autoscaler.start()

    assert "there is no backend 'dokcer'" in (autoscaler.wait(30) or "")
