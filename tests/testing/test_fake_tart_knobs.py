"""Fifty at once, the journal and the knobs (docs/tart.md § 16)."""

import hashlib
import select
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.fake_tart import PATIENCE, STUBBORN, answer, clone, listed, running, sh, wait_for

from runscaler.testing.fake_tart_host import IMAGE, FakeTart, Rule


def test_fifty_clone_run_and_go_at_once(tart):
    """Stage by stage for all, as a clone during a delete may fail, as with the real tart."""

    def life(number):
        name = f"vm-{number}"
        with running(tart, name):
            return sh(tart, f"echo {number}", name=name).stdout

    names = [f"vm-{number}" for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda name: clone(tart, name), names))
        lives = list(pool.map(life, range(50)))
        deleted = [result.returncode for result in pool.map(lambda name: tart.call("delete", name), names)]

    assert lives == [f"{number}\n".encode() for number in range(50)]
    assert deleted == [0] * 50
    wait_for(lambda: not tart.leftovers())
    tart.assert_nothing_left()


def test_the_journal_describes_each_call(tart, monkeypatch):
    monkeypatch.setenv("TART_REGISTRY_PASSWORD", "hunter2")
    with running(tart):
        sh(tart, "cat", stdin=b"the JIT configuration")
    (call,) = tart.calls("exec")

    assert call.argv == ("exec", "-i", "vm", "/bin/sh", "-c", "cat")
    assert (call.code, call.home, call.stdin_length) == (0, str(tart.home), 21)
    assert call.stdin_sha256 == hashlib.sha256(b"the JIT configuration").hexdigest()
    assert call.start < call.end
    assert "TART_REGISTRY_PASSWORD" in call.environment
    assert "hunter2" not in tart.journal_text()
    assert "JIT" not in tart.journal_text()


def test_a_killed_call_has_no_end_in_the_journal(tart):
    tart.rules(Rule("list", do="kill"))
    tart.call("list")

    (call,) = tart.calls("list")
    assert (call.end, call.code) == (None, None)


def test_a_rule_counts_its_calls(tart):
    tart.rules(
        Rule("list", do="exit", code=3, nth=2, times=2),
        Rule("get", do="exit", code=4, name="vm-*", times=1),
    )

    lists = [tart.call("list").returncode for _ in range(4)]
    gets = [tart.call("get", name).returncode for name in ("other", "vm-1", "vm-1")]

    assert (lists, gets) == ([0, 3, 3, 0], [2, 4, 2])


def test_new_rules_count_anew(tart):
    for _ in range(2):
        tart.rules(Rule("list", do="exit", code=3, times=1))
        assert [tart.call("list").returncode for _ in range(2)] == [3, 0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("list", do="exit", text="no", code=3), (3, "", "no\n")),
        (Rule("list", do="exit", text="[garbage", code=0, stream="stdout"), (0, "[garbage\n", "")),
        (Rule("list", do="text", text="noise"), (0, "[\n\n]\n", "noise\n")),
        (Rule("list", do="exit", text="late", when="after"), (1, "[\n\n]\n", "late\n")),
        (Rule("list", do="kill", signal=signal.SIGTERM), (-signal.SIGTERM, "", "")),
        (Rule("list", do="delay", seconds=0.01), (0, "[\n\n]\n", "")),
        (Rule("list", do="exit", chance=0.0), (0, "[\n\n]\n", "")),
        (Rule("list", do="exit", contains="oci"), (0, "[\n\n]\n", "")),
    ],
    ids=lambda value: f"{value.do} {value.when} {value.stream}" if isinstance(value, Rule) else "",
)
def test_a_rule_takes_its_action(tart, rule, expected):
    tart.rules(rule)

    assert answer(tart.call("list", "--source", "local", "--format", "json")) == expected


def test_a_hanging_call_hangs_until_it_is_killed(tart):
    tart.rules(Rule("list", do="hang"))
    hung = tart.spawn("list", stdout=subprocess.PIPE)
    wait_for(lambda: tart.calls("list"))

    assert select.select([hung.stdout], [], [], 0)[0] == []
    hung.kill()
    assert hung.communicate(timeout=PATIENCE)[0] == b""


def test_the_version_is_a_knob_and_may_fail(tart):
    tart.state(version="2.27.0")
    assert tart.call("--version").stdout == b"2.27.0+fake\n"

    tart.rules(Rule("--version", do="exit", code=0, text="SNAPSHOT", stream="stdout"))
    assert answer(tart.call("--version")) == (0, "SNAPSHOT\n", "")


def test_a_clone_may_fail_after_its_vm_exists(tart):
    tart.rules(Rule("clone", do="exit", text="no room", when="after"))

    assert tart.call("clone", IMAGE, "vm").returncode == 1
    assert tart.vms() == ["vm"]


def test_a_pull_inside_a_clone_fails_by_a_rule_for_pull(tart):
    tart.add_image("ghcr.io/acme/other:1", cached=False)
    tart.rules(Rule("pull", do="exit", text="no network"))

    assert answer(tart.call("clone", "ghcr.io/acme/other:1", "vm")) == (1, "", "no network\n")


def test_a_delete_may_be_killed_half_way(tart):
    clone(tart, "vm")
    tart.rules(Rule("delete", do="kill", when="during"))

    tart.call("delete", "vm")

    assert tart.vms() == ["vm"]
    assert not (tart.vm_path("vm") / "config.json").exists()


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Rule("run", do="exit", when="during", code=0), 0),
        (Rule("run", do="exit", when="during", after=0.05, text="due to error"), 1),
        (Rule("run", do="kill", when="during", after=0.05), -signal.SIGKILL),
        (Rule("run", do="kill", when="during", signal=signal.SIGSEGV), -signal.SIGSEGV),
    ],
    ids=["0", "1", "SIGKILL", "SIGSEGV"],
)
def test_run_may_end_by_itself(tart, rule, code):
    tart.rules(rule)
    clone(tart, "vm")

    assert tart.call("run", "vm").returncode == code
    wait_for(lambda: len(tart.leftovers()) == 1)


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_connection_may_be_lost_at_each_stage_of_an_exec(tart, when):
    tart.rules(Rule("exec", do="exit", text="Error: unavailable (14): lost", when=when, contains="touch"))
    with running(tart):
        lost = sh(tart, "cat; touch done")
        done = sh(tart, "ls").stdout.decode().split()

    assert lost.returncode == 1
    assert ("done" in done) == (when == "after")


def test_the_same_seed_gives_the_same_random_numbers(tmp_path):
    def macs(folder):
        with FakeTart(tmp_path / folder, seed=7) as tart:
            tart.add_image()
            clone(tart, "a", "b", "c")
            return [tart.config(name)["macAddress"] for name in ("a", "b", "c")]

    first, again = macs("first"), macs("again")

    assert first == again
    assert len(set(first)) == 3


def test_a_latency_may_have_jitter(tart):
    tart.latency(list=(0.01, 0.005))

    assert tart.call("list").returncode == 0


def test_the_end_of_the_context_kills_what_runs(tmp_path):
    with FakeTart(tmp_path) as tart:
        tart.add_image()
        clone(tart, "vm")
        process = tart.spawn("run", "vm")
        tart.wait_until_ready("vm")
        sh(tart, STUBBORN)

    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert [left for left in tart.leftovers() if "process" in left] == []


def test_a_reboot_stops_every_vm(tart):
    with running(tart) as process:
        tart.reboot()

        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert listed(tart)[0]["State"] == "stopped"


def test_a_relative_home_is_relative_to_the_callers_folder(tart, monkeypatch):
    monkeypatch.chdir(tart.folder)
    clone(tart, "vm")

    assert tart.call("get", "vm", home=Path("home")).returncode == 0


def test_unknown_knobs_are_refused(tart):
    with pytest.raises(AssertionError, match="boot_time"):
        tart.latency(boot_time=1)
    with pytest.raises(AssertionError, match="limits"):
        tart.state(limits=1)


def test_the_current_latencies_can_be_queried(tart):
    tart.latency(boot_agent=(0.5, 0.1))

    assert tart.latencies()["boot_agent"] == 0.5
    assert tart.latencies()["exec_patience"] == 30.0
