"""After many short jobs the engine and the daemon hold what they held before (docs/behaviour.md § 7.1).

RUNSCALER_TEST_MANY_JOBS says how many; 2,000 take some ten minutes.
"""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest
from support.engine import connect

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
JOBS = int(os.environ.get("RUNSCALER_TEST_MANY_JOBS", "100"))
FIRST = 20
"""Jobs after which pools of connections and threads are full."""
AT_ONCE = 200
"""More would wait for longer than the simulator lets a job wait."""
SLOTS = 10
SLACK = 4
"""Open files more or less, as connections come and go."""


def content(engine: Any) -> dict[str, object]:
    """What lies on the engine, by its own words and by the directories of its data."""
    with connect(engine.url) as api:
        disk = api.df()
        found: dict[str, object] = {
            "containers": [one["Id"] for one in api.containers(all=True)],
            "volumes": sorted(one["Name"] for one in api.volumes()["Volumes"] or []),
            "networks": sorted(one["Id"] for one in api.networks()),
            "images": sorted(one["Id"] for one in api.images()),
            "bytes of layers": disk["LayersSize"],
            "bytes of volumes": sum(one["UsageData"]["Size"] for one in disk["Volumes"] or []),
        }
    for folder in ("containers", "overlay2", "image/overlay2/layerdb/mounts"):
        path = engine.folder / "data" / folder
        found[folder] = sorted(one.name for one in path.iterdir()) if path.is_dir() else []
    return found


def held(pid: int) -> tuple[int, int]:
    """Open files and threads of a process."""
    process = psutil.Process(pid)
    return process.num_fds(), process.num_threads()


def test_nothing_piles_up(github, private_engine, watched_daemon):
    private_engine.start()
    one = watched_daemon(
        max_runners=SLOTS, docker={"dind": True, "dind-socket": private_engine.url.removeprefix("unix://")}
    )
    before = content(private_engine)
    one.start()
    github.wait_for_jobs(one.queue(FIRST), timeout=120)
    one.watch.settle()
    daemon, engine = held(one.program.process.pid), held(private_engine.process.pid)

    results: set[str] = set()
    for number in range(0, JOBS, AT_ONCE):
        done = github.wait_for_jobs(one.queue(min(AT_ONCE, JOBS - number)), timeout=300)
        results |= {job.result for job in done}
    one.watch.settle()
    files, threads = held(one.program.process.pid)
    engine_files, _ = held(private_engine.process.pid)

    assert results == {"succeeded"}
    assert abs(files - daemon[0]) <= SLACK
    assert abs(threads - daemon[1]) <= SLACK
    assert engine_files - engine[0] <= SLACK
    assert one.program.stop() == 0
    assert content(private_engine) == before
