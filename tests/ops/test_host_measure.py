"""What is measured on this host, and of which disks."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from runscaler import host_facts
from runscaler.backends.base import BackendContext
from runscaler.config.model import HostSettings
from runscaler.errors import BackendDown, BackendError
from runscaler.names import new_owner_id
from runscaler.ops.host_measure import HostMeasure
from runscaler.testing.clock import FakeClock

ALL = HostSettings(min_free_memory=1, min_free_disk=1, max_load=1.0)


class Disks:
    """A backend, as far as it is asked."""

    def __init__(self, *answers):
        self.name = "docker unix:///engine.sock"
        self.answers = list(answers)

    def disk_paths(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class NoDisks:
    name = "memory"


@pytest.fixture
def measuring(tmp_path):
    def made(*backends, limits=ALL, state_dir=tmp_path):
        return HostMeasure(lambda: limits, BackendContext(new_owner_id(), state_dir, FakeClock()), backends)

    return made


def test_memory_load_and_the_disk_of_the_state_directory_are_measured(measuring, tmp_path):
    found = measuring()()

    assert 0 < found.free_memory <= psutil.virtual_memory().total
    assert found.load >= 0
    (disk,) = found.disks
    assert disk.path == str(tmp_path)
    assert 0 < disk.free <= psutil.disk_usage(str(tmp_path)).total


def test_only_what_has_a_limit_is_measured(measuring):
    found = measuring(limits=HostSettings(max_load=3.0))()

    assert (found.free_memory, found.disks) == (None, ())
    assert found.load is not None


def test_paths_on_one_disk_are_one_disk_and_each_other_disk_counts(measuring, tmp_path):
    found = measuring(Disks([tmp_path / "images", Path("/proc")]), NoDisks())()

    assert [disk.path for disk in found.disks] == [str(tmp_path), "/proc"]


def test_a_directory_that_does_not_exist_yet_counts_as_its_parent(measuring, tmp_path):
    (disk,) = measuring(Disks([tmp_path / "a" / "b"]), state_dir=None)().disks

    assert disk.path == str(tmp_path / "a" / "b")
    assert disk.free > 0


def test_an_engine_that_is_away_is_asked_again(measuring, tmp_path):
    measure = measuring(Disks(BackendDown("no answer"), [tmp_path]), state_dir=None)

    assert measure().disks == ()
    assert len(measure().disks) == 1


def test_what_is_watched_and_what_is_not_is_said_once(measuring, tmp_path, log_lines):
    elsewhere = Disks(BackendError("its images lie on another host, or in a VM"))
    measure = measuring(elsewhere)
    measure()
    measure()

    assert log_lines == [
        f"min-free-disk does not watch the disks of {elsewhere.name}: {elsewhere.answers[0]}\n",
        f"min-free-disk watches the disk of {tmp_path}\n",
    ]


def test_what_cannot_be_measured_is_said_once_and_left_out(measuring, monkeypatch, log_lines):
    def broken():
        raise OSError("no /proc here")

    monkeypatch.setattr(host_facts, "load", broken)
    measure = measuring(limits=HostSettings(max_load=3.0))

    assert (measure().load, measure().load) == (None, None)
    assert log_lines == ["the load cannot be measured, and guards nothing: no /proc here\n"]
