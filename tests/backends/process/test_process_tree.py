"""Which processes belong to a runner, and which must be left alone."""

from __future__ import annotations

import subprocess

import psutil
import pytest

from runscaler.backends.process.process_table import MARK
from runscaler.backends.process.process_tree import ProcessTree
from runscaler.errors import BackendError
from runscaler.interrupt import Interrupt
from runscaler.testing.clock import FakeClock

RUNNER = f"{32 * 'a'}/runner-0a1b2c3d"
HOUR = 3600.0


@pytest.fixture
def marked():
    """A process with the runner's mark that this process's table of runners does not know."""
    with subprocess.Popen(["sleep", "600"], env={MARK: RUNNER, "PATH": "/usr/bin:/bin"}) as popen:
        yield psutil.Process(popen.pid)
        popen.kill()


@pytest.fixture
def orphan():
    """A process without a mark whose session leader has ended, and the number of that session."""
    command = ["sh", "-c", "sleep 600 >/dev/null & echo $!"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as leader:
        process = psutil.Process(int(leader.stdout.readline()))
    yield process, leader.pid
    process.kill()


def test_a_process_with_the_mark_is_ours_though_the_clock_was_set(marked):
    tree = ProcessTree(RUNNER, marked.pid, marked.create_time() - HOUR)

    assert tree.main_process() == marked


def test_a_process_without_the_mark_is_not_ours_if_it_began_at_another_time(marked):
    tree = ProcessTree("another/runner-0a1b2c3d", marked.pid, marked.create_time() - HOUR)

    assert tree.main_process() is None
    assert tree.living() == []


def test_the_session_of_an_ended_main_process_is_ours(orphan):
    process, session = orphan

    assert ProcessTree(RUNNER, session, process.create_time()).living() == [process]


def test_a_session_of_the_same_number_is_not_ours_after_a_reboot(orphan):
    _, session = orphan

    assert ProcessTree(RUNNER, session, psutil.boot_time() - HOUR).living() == []


def test_a_process_older_than_the_main_process_is_not_of_its_session(orphan):
    process, session = orphan

    assert ProcessTree(RUNNER, session, process.create_time() + HOUR).living() == []


def test_a_process_that_may_not_be_killed_is_an_error_at_once(marked, monkeypatch):
    def refuse(process):
        raise psutil.AccessDenied(process.pid)

    tree = ProcessTree(RUNNER, marked.pid, marked.create_time())
    with monkeypatch.context() as denied:
        denied.setattr(psutil.Process, "kill", refuse)

        with pytest.raises(BackendError, match=rf"{marked.pid} \(sleep 600\) cannot be killed"):
            tree.kill(FakeClock(), Interrupt())
