"""`runner doctor` after a daemon was killed and does not come back. docs/behaviour.md § 14.5"""

from __future__ import annotations

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.daemon import Daemon, of, run
from support.engine import connect

from runscaler.testing.fake_tart_host import IMAGE
from runscaler.testing.simulator import JobState

AT_GITHUB = ("registered", "idle", "busy", "offline")
UNKNOWN = "e" * 32
CLEAN = "✓ no resource and no registration of a dead daemon is left\n"


@pytest.fixture
def doctor(tmp_path):
    """`doctor(program, "--fix")` runs it with that daemon's configuration and nothing else of this host."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()

    def look(program, *words):
        env = {**program.env, "STATE_DIRECTORY": str(nowhere), "TMPDIR": str(nowhere)}
        return run("doctor", "--config", str(program.path), *words, env=env)

    return look


def found(told):
    """What it found, by kind and name, with the verdict and what became of it."""
    listed = json.loads(told.out)["found"]
    return {(one["kind"], one["name"]): (one["verdict"], one["outcome"]) for one in listed}


def kill(program):
    program.signal(signal.SIGKILL)
    program.ended()


def slots(program):
    return {slot["state"]: slot["runner"] for slot in of(program.health(), "linux")["slots"]}


@pytest.fixture
def busy(github, daemon, scale_set, latch):
    """A daemon with a runner that runs a job, and one that is idle."""
    program = daemon({**scale_set("linux", max_runners=3, min_runners=1), "backend": "process"})
    program.start()
    (job,) = github.queue_jobs("linux", steps=[latch.step])
    github.wait_for_jobs([job], JobState.RUNNING)
    program.wait_for(lambda health: (of(health, "linux")["busy"], of(health, "linux")["idle"]) == (1, 1))
    return program, job


def test_where_nothing_is_left_it_says_so_and_makes_nothing(daemon, scale_set, doctor):
    program = daemon({**scale_set("linux"), "backend": "process"})
    told, fixed = doctor(program), doctor(program, "--fix")

    assert (told.code, told.out, told.err) == (0, CLEAN, "")
    assert (fixed.code, fixed.out, fixed.err) == (0, CLEAN, "")
    assert not program.state_dir.exists()


def test_an_engine_that_cannot_be_reached_is_never_all_clean(tmp_path, scale_set, doctor):
    keys = scale_set("linux", {"docker": {"host": "unix:///nowhere/docker.sock"}})
    told = doctor(Daemon(tmp_path / "daemon", keys), "--fix")

    assert told.code == 1
    assert "/nowhere/docker.sock does not exist" in told.out
    assert CLEAN not in told.out


def test_what_a_killed_daemon_left_is_listed_and_removed_but_a_job_runs_on(github, busy, doctor, latch):
    program, job = busy
    runners = slots(program)
    kill(program)

    listed = doctor(program, "--json")
    assert listed.code == 1
    expected = {
        ("process", runners["idle"]): ("orphan", "left"),
        ("registration", runners["idle"]): ("orphan", "left"),
        ("process", runners["busy"]): ("busy", "left"),
        ("registration", runners["busy"]): ("busy", "left"),
    }
    assert found(listed) == expected
    assert program.resources() == sorted(runners.values())

    fixed = doctor(program, "--fix", "--json")
    assert fixed.code == 1
    assert found(fixed) == {
        place: ("orphan", "removed") if verdict == "orphan" else (verdict, "left")
        for place, (verdict, _) in expected.items()
    }
    assert program.resources() == [runners["busy"]]

    latch.release()
    (done,) = github.wait_for_jobs([job])
    github.wait_until(lambda state: not state.runners_in(*AT_GITHUB))
    last = doctor(program, "--fix")
    assert (last.code, program.leftovers(), done.result) == (0, [], "succeeded")
    assert "✓ removed process" in last.out
    assert doctor(program).code == 0
    assert github.violations() == ()


def test_force_removes_what_runs_a_job_too(busy, doctor):
    program, _ = busy
    kill(program)
    told = doctor(program, "--fix", "--force", "--json")

    assert program.leftovers() == []
    outcomes = {kind: outcome for (kind, _), (_, outcome) in found(told).items()}
    assert outcomes["process"] == "removed"


def test_nothing_of_a_living_daemon_is_touched_whatever_is_asked_for(github, busy, doctor, latch):
    program, job = busy
    before = program.resources()
    owner = (program.state_dir / "owner").read_text().strip()

    told = doctor(program, "--fix", "--force", "--json")
    refused = doctor(program, "--fix", "--force", "--owner", owner)
    assert (told.code, refused.code) == (0, 1)
    assert set(found(told).values()) == {("live", "left")}
    assert f"✗ owner {owner} is refused: its daemon lives" in refused.out
    assert program.resources() == before

    latch.release()
    (done,) = github.wait_for_jobs([job])
    assert (done.result, program.stop(), program.leftovers()) == ("succeeded", 0, [])


# -- on an engine -----------------------------------------------------------------------------------

LEGACY = {"runner-deadbeef": "runner", "runner-0badcafe": "runscaler", "runscaler-cleanup-17": "runscaler"}
"""Containers as the Go tool makes them: name, and value of `managed-by`."""
BYSTANDERS = {
    "runner-deadbee": {"managed-by": "runner"},
    "runner-DEADBEEF": {"managed-by": "runner"},
    "runner-0000beef": {},
    "runner-1111beef": {"managed-by": "compose"},
    "runner-2222beef": {"managed-by": "runner", "io.runscaler.owner": "../../etc"},
    "database": {"managed-by": "runner"},
}
"""Containers of nobody that resemble ours or the Go tool's: name and labels."""
OF_UNKNOWN = {"managed-by": "runner", "io.runscaler.owner": UNKNOWN, "io.runscaler.state-dir": "/not/here"}


def make(url, image, containers):
    with connect(url) as api:
        for name, labels in containers.items():
            command = ["/bin/sh", "-c", "sleep 600"]
            body = {"Image": image, "Cmd": command, "Labels": labels, "HostConfig": {"NetworkMode": "none"}}
            api.start(api.create_container_from_config(body, name)["Id"])


def containers(url):
    with connect(url) as api:
        return {each["Names"][0].lstrip("/") for each in api.containers(all=True)}


def volumes(url):
    with connect(url) as api:
        return {volume["Name"] for volume in api.volumes()["Volumes"] or ()}


class GoHealth(BaseHTTPRequestHandler):
    """The health endpoint of the Go tool."""

    def do_GET(self):
        body = json.dumps({"status": "ok", "version": "1", "uptime": "1s", "scale_sets": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is logged."""


@pytest.fixture
def go_daemon():
    server = HTTPServer(("127.0.0.1", 0), GoHealth)
    thread = threading.Thread(target=server.serve_forever, name="go daemon")
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_exactly_the_orphans_of_an_engine_are_removed(
    github, private_engine, watched_daemon, doctor, go_daemon
):
    private_engine.start()
    keys = {"max_runners": 2, "min_runners": 1, "docker": {"shared-volume": "/shared"}}
    dead, live = (watched_daemon(scope=scope, **keys) for scope in ("one-org", "two-org"))
    for one in (dead, live):
        one.start()
        one.wait_for("ok", idle=1)
    url, image = private_engine.url, dead.keys["runner-image"]
    make(url, image, {name: {"managed-by": manager} for name, manager in LEGACY.items()})
    make(url, image, {**BYSTANDERS, "runner-33333333": OF_UNKNOWN})
    with connect(url) as api:
        api.create_volume("runscaler-shared")
    (orphan,), (kept,) = dead.containers(), live.containers()
    owners = [(one.program.state_dir / "owner").read_text() for one in (dead, live)]
    holder, kept_holder = (f"runner-shared-{owner[:8]}" for owner in owners)
    kill(dead.program)
    everything = containers(url)

    beside_go = doctor(dead.program, "--fix", "--json", "--health-port", str(go_daemon))
    assert beside_go.code == 1
    assert found(beside_go) == {
        **{("container", name): ("live", "left") for name in [*LEGACY, kept, kept_holder]},
        **{("container", name): ("orphan", "removed") for name in (orphan, holder)},
        ("registration", orphan): ("orphan", "removed"),
        ("container", "runner-33333333"): ("unknown", "left"),
        ("volume", "runscaler-shared"): ("live", "left"),
        ("volume", "runner-shared"): ("live", "left"),
    }
    assert containers(url) == everything - {orphan, holder}

    fixed = doctor(dead.program, "--fix")
    assert fixed.code == 1
    assert f"runner doctor --fix --owner {UNKNOWN}" in fixed.out
    assert containers(url) == {*BYSTANDERS, "runner-33333333", kept, kept_holder}
    assert volumes(url) == {"runner-shared"}

    named = doctor(dead.program, "--fix", "--owner", UNKNOWN)
    assert named.code == 0
    assert containers(url) == {*BYSTANDERS, kept, kept_holder}
    live.wait_for("ok", idle=1)
    assert live.containers().keys() == {kept}

    kill(live.program)
    last = doctor(live.program, "--fix")
    assert last.code == 0, last.out
    assert containers(url) == set(BYSTANDERS)
    assert volumes(url) == set()
    assert not github.state().runners_in(*AT_GITHUB)


# -- on a Mac ---------------------------------------------------------------------------------------


def test_vms_of_a_killed_daemon_and_of_the_go_tool_are_removed(github, mac, mac_daemon, scale_set, doctor):
    program = mac_daemon(scale_set("linux", mac.keys(max_vms=2), max_runners=2, min_runners=1))
    program.start()
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    (ours,) = mac.tart.vms()
    legacy, bystanders = {"runner-deadbeef", "pool-3-1234567890123"}, {"pool-3-123", "runner-deadbee"}
    for name in (*legacy, *bystanders):
        assert mac.tart.call("clone", IMAGE, name).returncode == 0
    alive = doctor(program, "--json")
    kill(program)
    fixed = doctor(program, "--fix", "--json")

    assert found(alive)[("vm", ours)] == ("live", "left")
    verdicts = {name: verdict for (kind, name), verdict in found(fixed).items() if kind == "vm"}
    assert verdicts == dict.fromkeys({ours, *legacy}, ("orphan", "removed"))
    assert set(mac.tart.vms()) == bystanders
    assert fixed.code == 0, fixed.out
    assert not github.state().runners_in(*AT_GITHUB)
