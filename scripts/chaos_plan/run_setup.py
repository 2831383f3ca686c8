"""Start what a run needs: the simulated GitHub, the engine with its proxy, decoys, the daemon's files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.bare_engine import engine_url

from chaos_plan.daemon import Daemon
from chaos_plan.docker_target import DockerTarget
from chaos_plan.engine_proxy import EngineProxy
from chaos_plan.plan_generator import TargetKind
from chaos_plan.private_engine import PrivateEngine
from chaos_plan.process_target import ProcessTarget
from chaos_plan.run_context import RunContext
from chaos_plan.timeline import Timeline
from runscaler.backends.docker.address import EngineAddress
from runscaler.clock import SystemClock
from runscaler.ops.demo_image import ensure_demo_image
from runscaler.testing.simulator import FAST, Flavour, Options, SimulatedGitHub

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from chaos_plan.plan import Plan, RunSettings
    from chaos_plan.target import Target

MAX_RUNNERS = {"chaos": 4, "chaos-2": 3}
"""By scale set."""
TOKEN = "ghp_" + "s3cr3t" * 6
TIMERS = replace(
    FAST, session=15.0, agent_silence=60.0, registration=600.0, lease=20.0, pick_up=30.0, queue=3600.0
)
"""GitHub takes lost jobs back soon, but waits long for runners that a busy machine delays."""


def set_up(plan: Plan, kind: TargetKind, folder: Path, undo: ExitStack) -> RunContext:
    """Start everything but the daemon; `undo` ends it, the daemon included."""
    clock = SystemClock()
    flavour = Flavour.ACQUIRE if plan.settings.offers else Flavour.ASSIGN
    options = Options(timers=TIMERS, flavour=flavour, labels_mutable=True)
    github = undo.enter_context(SimulatedGitHub(options, seed=plan.seed))
    url = github.config_url()
    engine: PrivateEngine | None = None
    proxy: EngineProxy | None = None
    if kind is TargetKind.PROCESS:
        daemon = Daemon(folder, configuration(plan.settings, {"url": url, "backend": "process"}))
        target: Target = ProcessTarget(daemon)
    else:
        engine = undo.enter_context(PrivateEngine(clock)) if kind is TargetKind.OWN_ENGINE else None
        direct_url = engine.url if engine else engine_url()
        image = ensure_demo_image(EngineAddress(direct_url), lambda *_: None)
        proxy = undo.enter_context(EngineProxy(direct_url, clock))
        keys = {"url": url, **container_keys(proxy.url, image, folder)}
        daemon = Daemon(folder, configuration(plan.settings, keys))
        target = DockerTarget(daemon, direct_url, image, clock, exclusive=engine is not None)
    undo.enter_context(target)
    undo.callback(target.remove_all)
    undo.callback(daemon.kill)
    return RunContext(clock, plan.settings, github, daemon, target, Timeline(clock), proxy, engine)


def configuration(settings: RunSettings, keys: dict[str, object]) -> dict[str, object]:
    """The daemon's configuration file; every scale set gets `keys`."""
    scale_sets = [
        {
            "name": name,
            "token": TOKEN,
            "max-runners": max_runners,
            "min-runners": settings.min_runners[name],
            "idle-timeout": settings.idle_timeout,
            **keys,
        }
        for name, max_runners in MAX_RUNNERS.items()
    ]
    stopping = {"drain-timeout": settings.drain_timeout, "on-exit": settings.on_exit}
    return {"log-level": "debug", **stopping, "scaleset": scale_sets}


def container_keys(url: str, image: str, folder: Path) -> dict[str, object]:
    """The keys of a scale set whose runners are containers of `image` on the engine at `url`."""
    engine = {"host": url, "network": "host", "dind": False, "pull": "never"}
    no_cleanup = {"prune-on-exit": False, "buildx-cleanup": False}
    volumes = {"volumes": [f"{folder}:{folder}"]}
    return {"backend": "docker", "runner-image": image, "docker": {**engine, **no_cleanup, **volumes}}
