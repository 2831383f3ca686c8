"""The demo as a real process; an acceptance test of the whole program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from support.daemon import wait_until
from support.engine import connect
from support.terminal import OnTerminal

DEMO = (sys.executable, "-m", "runscaler", "demo")
KEYS = {
    "jobs_queued",
    "jobs_done",
    "jobs_failed",
    "runners_started",
    "leftovers",
    "seconds",
    "violations",
    "first_job_seconds",
    "backend",
    "fake_tart",
}


@pytest.fixture
def home(tmp_path) -> dict[str, str]:
    """An environment with a temporary directory of its own."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


def left_in(home: dict[str, str]) -> list[Path]:
    return list(Path(home["TMPDIR"]).glob("runner-demo-*"))


def results(home: dict[str, str], *words: str) -> dict[str, object]:
    ended = subprocess.run(
        [*DEMO, "--json", *words], env=home, capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def assert_all_went_well(got: dict[str, object], jobs: int) -> None:
    assert set(got) == KEYS
    assert (got["jobs_queued"], got["jobs_done"], got["jobs_failed"]) == (jobs, jobs, 0)
    assert got["runners_started"] >= jobs
    assert (got["leftovers"], got["violations"]) == (0, 0)
    assert 0 < got["first_job_seconds"] <= got["seconds"]


def test_with_processes_all_jobs_are_done_and_nothing_is_left(home):
    got = results(home, "--backend", "process", "--jobs", "8", "--max-runners", "3")

    assert_all_went_well(got, 8)
    assert left_in(home) == []


def test_with_fake_vms_all_jobs_are_done_and_nothing_is_left(home):
    got = results(home, "--backend", "tart", "--fake-tart", "--jobs", "4")

    assert_all_went_well(got, 4)
    assert (got["backend"], got["fake_tart"]) == ("tart", True)
    assert left_in(home) == []


def test_the_first_line_says_that_a_fake_tart_is_used(home):
    words = [*DEMO, "--backend", "tart", "--jobs", "1", "--fake-tart"]

    ended = subprocess.run(words, env=home, capture_output=True, text=True, timeout=100, check=False)

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("as requested: using a fake tart, whose VMs are processes\n")
    assert "✓ nothing is left" in ended.stdout


@pytest.mark.engine
def test_with_containers_all_jobs_are_done_and_nothing_is_left(home, engine_url):
    got = results({**home, "DOCKER_HOST": engine_url}, "--backend", "docker", "--jobs", "6")

    assert_all_went_well(got, 6)


@pytest.mark.engine
def test_with_containers_it_says_which_image_stays_and_how_to_remove_it(home, engine_url):
    words = [*DEMO, "--backend", "docker", "--jobs", "1"]
    env = {**home, "DOCKER_HOST": engine_url}

    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=100, check=False)

    assert "nothing is installed; Ctrl-C ends the demo, and removes everything but the image" in ended.stdout
    (line,) = [line for line in ended.stdout.splitlines() if "docker rmi" in line]
    image = line.rpartition(" ")[2]
    assert line == f"· the image {image} stays for the next demo; to remove it: docker rmi {image}"
    with connect(engine_url) as api:
        assert api.inspect_image(image)


def test_without_a_terminal_it_prints_each_event_and_a_summary(home):
    words = [*DEMO, "--backend", "process", "--jobs", "2"]

    ended = subprocess.run(words, env=home, capture_output=True, text=True, timeout=100, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "GitHub is simulated" in ended.stdout
    assert "runs build 1" in ended.stdout
    assert "✓ 2 of 2 jobs done" in ended.stdout
    assert "✓ nothing is left" in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("backend", [("process",), ("tart", "--fake-tart")])
def test_an_interrupted_demo_removes_everything(home, backend, number, code):
    with subprocess.Popen(
        [*DEMO, "--jobs", "500", "--backend", *backend],
        env=home,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        for line in demo.stdout:
            if " runs " in line:
                break

        demo.send_signal(number)
        demo.communicate(timeout=100)

    assert demo.returncode == code
    assert left_in(home) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--fake-tart",),
        ("--backend", "process", "--runner-image", "vm"),
        ("--backend", "tart", "--fake-tart", "--runner-image", "vm"),
    ],
)
def test_options_without_effect_are_wrong_usage(runner, words):
    ended = runner("demo", *words)

    assert ended.code == 2
    assert "--runner-image" in ended.err


@pytest.mark.engine
def test_only_image_prints_the_name_of_the_image_last(home, engine_url):
    words = [*DEMO, "--only-image"]
    env = {**home, "DOCKER_HOST": engine_url}

    ended = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=True)

    assert ended.stdout.splitlines()[-1].startswith("runscaler-demo:")


# -- a terminal that closes, and demos that were killed --------------------------------------------------


def containers_of(home: dict[str, str], engine_url: str) -> list[str]:
    """Containers of demos in this temporary directory."""
    with connect(engine_url) as api:
        found = api.containers(all=True, filters={"label": "io.runscaler.state-dir"})
    places = [each["Labels"]["io.runscaler.state-dir"] for each in found]
    return [place for place in places if place.startswith(home["TMPDIR"])]


def processes_of(home: dict[str, str]) -> list[psutil.Process]:
    """Processes that work in this temporary directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd().startswith(home["TMPDIR"]) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def started(home: dict[str, str], *words: str) -> subprocess.Popen[str]:
    """A demo without a terminal, in which jobs run."""
    demo = subprocess.Popen([*DEMO, "--jobs", "500", *words], env=home, stdout=subprocess.PIPE, text=True)
    for line in demo.stdout:
        if " runs " in line:
            break
    return demo


@pytest.mark.parametrize("backend", [("process",), ("tart", "--fake-tart")])
@pytest.mark.parametrize("shell", [(), ("sh", "-c", '"$@"; true', "sh")], ids=["alone", "in a shell"])
def test_a_demo_whose_terminal_closes_removes_everything(home, backend, shell):
    with OnTerminal(*shell, *DEMO, "--jobs", "500", "--backend", *backend, env=home) as demo:
        demo.wait_for(" runs ")
        demo.close()
        demo.ended()
        wait_until(lambda: not left_in(home), "the end of the demo")

    assert processes_of(home) == []


@pytest.mark.engine
def test_a_demo_whose_terminal_closes_leaves_no_container(home, engine_url):
    env = {**home, "DOCKER_HOST": engine_url}
    with OnTerminal(*DEMO, "--jobs", "500", "--backend", "docker", env=env) as demo:
        demo.wait_for(" runs ")
        before = containers_of(home, engine_url)
        demo.close()
        code = demo.ended()

    assert before != []
    assert code == 129
    assert (containers_of(home, engine_url), left_in(home)) == ([], [])


def test_a_demo_ends_in_order_on_a_hangup_without_a_terminal(home):
    with started(home, "--backend", "process") as demo:
        demo.send_signal(signal.SIGHUP)
        out, _ = demo.communicate(timeout=100)

    assert demo.returncode == 129
    assert (left_in(home), processes_of(home)) == ([], [])
    assert "unexpected" not in out


@pytest.mark.parametrize("backend", [("process",), ("tart", "--fake-tart")])
def test_what_a_killed_demo_left_is_removed_by_the_next_one(home, backend):
    with started(home, "--backend", *backend) as demo:
        demo.kill()
    (left,) = left_in(home)

    ended = subprocess.run(
        [*DEMO, "--jobs", "1", "--backend", "process"],
        env=home,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert f"removed what an earlier demo left: directory {left}" in ended.stdout
    assert "✓ nothing is left" in ended.stdout
    assert (left_in(home), processes_of(home)) == ([], [])


@pytest.mark.engine
def test_a_killed_demo_s_containers_are_removed_by_the_next_one_whatever_its_backend(home, engine_url):
    env = {**home, "DOCKER_HOST": engine_url}
    with started(env, "--backend", "docker") as demo:
        demo.kill()
    before = containers_of(home, engine_url)

    got = results(home, "--backend", "process", "--jobs", "1")

    assert before != []
    assert_all_went_well(got, 1)
    assert (containers_of(home, engine_url), left_in(home)) == ([], [])


def test_a_demo_leaves_a_living_one_alone(home):
    with started(home, "--backend", "process") as first:
        got = results(home, "--backend", "process", "--jobs", "1")
        still_there = left_in(home)
        first.terminate()
        first.communicate(timeout=100)

    assert_all_went_well(got, 1)
    assert len(still_there) == 1
    assert left_in(home) == []


def test_a_killed_demo_whose_engine_is_gone_is_reported(home, tmp_path):
    folder = tmp_path / "runner-demo-x"
    (folder / "state").mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "state" / "owner").write_text("0" * 32 + "\n")
    where = {"backend": "docker", "docker-host": f"unix://{tmp_path}/none.sock"}
    (folder / "target.json").write_text(json.dumps(where))

    ended = subprocess.run(
        [*DEMO, "--jobs", "1", "--backend", "process"],
        env=home,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ended.returncode == 1
    assert f"✗ left behind: {folder} of an earlier demo, and its runners: " in ended.stderr
    assert "none.sock" in ended.stderr
    assert "nothing is left" not in ended.stdout
