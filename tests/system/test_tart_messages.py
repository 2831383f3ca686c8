"""What the commands print if tart is a fake, missing, too old or on the wrong machine."""

from __future__ import annotations

import pytest
from support.daemon import all_ok, of

from runscaler.testing.simulator import JobState

FAKE = "⚠ [macs] this is a fake tart: its VMs are processes of this host, not isolated"
NOT_INSTALLED = "tart is not installed, or not where this program looks"
INSTALL = "  → install tart: `brew install cirruslabs/cli/tart`"
COMMANDS = pytest.mark.parametrize("command", [("validate",), ("run", "--dry-run")], ids=" ".join)


@pytest.fixture
def program(mac, mac_daemon, scale_set):
    return mac_daemon(scale_set("macs", mac.keys(), max_runners=2))


@pytest.fixture
def elsewhere(mac):
    """A PATH with a tart that claims to be the real one, on a machine that is no Mac."""
    folder = mac.folder / "elsewhere"
    folder.mkdir()
    script = f'#!/bin/sh\n[ "$1" = --version ] && {{ echo 2.32.1; exit 0; }}\nexec {mac.tart.bin}/tart "$@"\n'
    (folder / "tart").write_text(script)
    (folder / "tart").chmod(0o755)
    return f"{folder}:{mac.environ['PATH']}"


def problem(ended):
    """The only error, with its fixes, of a command that failed because of it."""
    lines = ended.out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("✗")]
    fixes = []
    for line in lines[at + 1 :]:
        if not line.startswith("  → "):
            break
        fixes.append(line)
    assert (ended.code, ended.err, "Traceback" in ended.out) == (1, "", False)
    assert fixes, "no fix"
    return lines[at].removeprefix("✗ [macs] "), fixes


@COMMANDS
def test_a_fake_tart_is_reported_as_one_and_nothing_is_started(github, mac, program, command):
    ended = program.command(*command)

    assert (ended.code, ended.err) == (0, "")
    assert FAKE in ended.out.splitlines()
    assert "✓ [macs] tart 2.32.1+fake in " in ended.out
    assert {call.command for call in mac.tart.journal()} <= {"--version", "list"}
    assert github.state().scale_sets == ()
    assert not program.state_dir.exists()


@COMMANDS
def test_a_missing_tart_is_one_error_that_says_how_to_install_it(mac, program, command):
    program.env = {**mac.environ, "PATH": "/usr/bin:/bin"}

    text, fixes = problem(program.command(*command))

    assert text == NOT_INSTALLED
    assert fixes[0] == INSTALL


@COMMANDS
def test_an_old_tart_is_refused_with_both_versions(mac, program, command):
    mac.tart.state(version="2.20.0")

    text, fixes = problem(program.command(*command))

    assert text == "tart 2.20.0+fake is too old: 2.28.3 is needed"
    assert fixes == ["  → update tart: `brew upgrade tart`"]


@COMMANDS
def test_a_real_tart_on_another_machine_is_refused(mac, program, elsewhere, command):
    program.env = {**mac.environ, "PATH": elsewhere}

    text, fixes = problem(program.command(*command))

    assert text.startswith("macOS VMs need a Mac with Apple silicon, and this is ")
    assert 'backend = "docker"' in fixes[0]


@COMMANDS
def test_a_local_image_that_is_not_there_is_an_error(mac, mac_daemon, scale_set, command):
    program = mac_daemon(scale_set("macs", mac.keys("no-such-vm"), max_runners=2))

    text, fixes = problem(program.command(*command))

    assert text == f"there is no local VM no-such-vm in {mac.tart.home}"
    assert "`tart list`" in fixes[0]


def test_status_names_the_vms_that_a_job_waits_for(github, mac, mac_daemon, scale_set, latch):
    program = mac_daemon(scale_set("macs", mac.keys(max_vms=1), max_runners=2))
    program.start()
    program.wait_for(all_ok)
    ids = github.queue_jobs("macs", 2, steps=[latch.step])
    state = github.wait_until(lambda state: state.jobs_in(JobState.RUNNING))
    (running,) = state.jobs_in(JobState.RUNNING)
    program.wait_for(lambda health: running.runner in str(of(health, "macs")["unmet"]))

    result = program.command("status")
    latch.release()
    jobs = github.wait_for_jobs(ids)

    assert (result.code, result.err) == (0, "")
    line = f"[macs] 1 not started, vm_limit: the host runs as many VMs as it may: {running.runner}"
    assert line in " ".join(result.out.split())
    assert {job.result for job in jobs} == {"succeeded"}
    assert program.stop() == 0
    mac.assert_nothing_is_left(program, github)


def test_a_daemon_without_tart_reports_it_and_is_ok_as_soon_as_it_is_installed(github, mac, program):
    """T1: the daemon looks for tart every few seconds."""
    tart = mac.tart.bin / "tart"
    hidden = tart.rename(mac.folder / "tart")
    program.start()
    health = program.wait_for(lambda health: of(health, "macs")["reason"])
    result = program.command("status")
    hidden.rename(tart)
    program.wait_for(lambda health: all_ok(health) and not of(health, "macs")["reason"])
    (job,) = github.wait_for_jobs(github.queue_jobs("macs"))

    assert NOT_INSTALLED in of(health, "macs")["reason"]
    assert INSTALL.removeprefix("  → ") in of(health, "macs")["reason"]
    assert "tart is not installed" in " ".join(result.out.split())
    assert job.result == "succeeded"
    assert program.stop() == 0
    mac.assert_nothing_is_left(program, github)


def test_a_daemon_refuses_an_old_tart_and_is_ok_as_soon_as_it_is_new_enough(github, mac, program):
    """T2."""
    mac.tart.state(version="2.20.0")
    program.start()
    health = program.wait_for(lambda health: "too old" in (of(health, "macs")["reason"] or ""))
    mac.tart.state(version="2.32.1")
    (job,) = github.wait_for_jobs(github.queue_jobs("macs"))

    assert "2.20.0+fake is too old: 2.28.3 is needed" in of(health, "macs")["reason"]
    assert job.result == "succeeded"
    assert program.stop() == 0
    assert "this is a fake tart" in program.log
    mac.assert_nothing_is_left(program, github)
