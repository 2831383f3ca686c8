"""Make what a run consists of: GitHub, an engine with a door before it, the daemon, its ground."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.bare_engine import engine_url

from chaos_plan.containers import DockerGround
from chaos_plan.daemon import Daemon
from chaos_plan.door import Door
from chaos_plan.luck import GroundKind
from chaos_plan.private_engine import PrivateEngine
from chaos_plan.processes import ProcessGround
from chaos_plan.scene import Scene
from chaos_plan.timeline import Timeline
from runscaler.clock import SystemClock
from runscaler.ops.demo_image import ensure_demo_image
from runscaler.testing.simulator import FAST, Flavour, SimulatedGitHub

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from chaos_plan.ground import Ground
    from chaos_plan.plan import Plan, Setting

MOST = {"chaos": 4, "chaos-2": 3}
"""max-runners of the scale sets."""
TOKEN = "ghp_" + "s3cr3t" * 6
TIMERS = replace(
    FAST, session=15.0, agent_silence=60.0, registration=600.0, lease=20.0, pick_up=30.0, queue=3600.0
)
"""Lost jobs are noticed soon; GitHub is patient with runners that a busy machine keeps waiting."""


def made_scene(plan: Plan, kind: GroundKind, folder: Path, undo: ExitStack) -> Scene:
    """All of it, begun; `undo` ends it. The daemon is not started yet."""
    clock = SystemClock()
    flavour = Flavour.ACQUIRE if plan.setting.offers else Flavour.ASSIGN
    github = undo.enter_context(SimulatedGitHub(timers=TIMERS, flavour=flavour, seed=plan.seed))
    url = github.config_url()
    engine: PrivateEngine | None = None
    door: Door | None = None
    if kind is GroundKind.PROCESS:
        daemon = Daemon(folder, configured(plan.setting, {"url": url, "backend": "process"}))
        ground: Ground = ProcessGround(daemon)
    else:
        engine = undo.enter_context(PrivateEngine(clock)) if kind is GroundKind.OWN_ENGINE else None
        beyond = engine.url if engine else engine_url()
        image = ensure_demo_image(beyond, lambda *_: None)
        door = undo.enter_context(Door(beyond, clock))
        keys = {"url": url, **container_keys(door.url, image, folder)}
        daemon = Daemon(folder, configured(plan.setting, keys))
        ground = DockerGround(daemon, beyond, image, clock, alone=engine is not None)
    undo.enter_context(ground)
    undo.callback(ground.clear)
    undo.callback(daemon.kill)
    return Scene(clock, plan.setting, github, daemon, ground, Timeline(clock), door, engine)


def configured(setting: Setting, keys: dict[str, object]) -> dict[str, object]:
    """The daemon's configuration; `keys` are those of every scale set."""
    sets = [
        {
            "name": name,
            "token": TOKEN,
            "max-runners": most,
            "min-runners": setting.min_runners[name],
            "idle-timeout": setting.idle_timeout,
            **keys,
        }
        for name, most in MOST.items()
    ]
    ends = {"drain-timeout": setting.drain_timeout, "on-exit": setting.on_exit}
    return {"log-level": "debug", **ends, "scaleset": sets}


def container_keys(url: str, image: str, folder: Path) -> dict[str, object]:
    table = {"host": url, "network": "host", "dind": False, "pull": "never"}
    quiet = {"prune-on-exit": False, "buildx-cleanup": False, "volumes": [f"{folder}:{folder}"]}
    return {"backend": "docker", "runner-image": image, "docker": {**table, **quiet}}
