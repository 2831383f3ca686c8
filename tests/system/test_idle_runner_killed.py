"""A runner that dies before its job is replaced, its registration removed and its output kept."""

from __future__ import annotations

import pytest
from support.daemon import of, wait_until
from support.engine import connect

from runscaler.testing.simulator import RunnerState


def polling(state):
    return [one.name for one in state.runners if one.polling]


@pytest.mark.engine
def test_an_idle_runner_killed_from_outside_is_replaced_and_its_output_kept(
    github, docker, daemon, scale_set, engine_url
):
    program = daemon(scale_set("linux", docker, min_runners=1, max_runners=2))
    program.start()
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    state = github.wait_until(polling)
    (dead,) = state.runners_in(RunnerState.IDLE)

    with connect(engine_url) as api:
        label = f"io.runscaler.runner={dead.name}"
        (container,) = api.containers(filters={"label": label})
        api.kill(container["Id"])

    state = github.wait_until(
        lambda state: any(one.polling and one.name != dead.name for one in state.runners)
    )
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    (living,) = state.runners_in(RunnerState.IDLE)
    kept = wait_until(lambda: list(program.state_dir.glob(f"logs/*{dead.name}*")), "the kept output")
    program.wait_for_log(f"{dead.name} ended")
    assert program.resources() == [living.name]
    assert {one.name: one.state for one in github.state().runners}[dead.name] is RunnerState.GONE
    assert "Listening for Jobs" in kept[0].read_text()
    assert program.stop() == 0
    assert program.leftovers() == []
    assert github.final_violations() == ()
