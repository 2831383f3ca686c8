"""Listings while runners start and directories disappear."""

from __future__ import annotations

import shutil

import pytest

from runscaler.backends.base import BackendContext
from runscaler.backends.process.runner_directory import Marks
from runscaler.backends.process.runner_inventory import RunnerInventory
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId

OWNER = OwnerId("a" * 32)
RUNNER = "runner-0a1b2c3d"


class Overtaken(RunnerInventory):
    """Somebody deletes the directory after its marks were read and before its ending is written."""

    def _ending(self, directory):
        shutil.rmtree(directory.path)
        return super()._ending(directory)


@pytest.fixture
def context(tmp_path):
    return BackendContext(OWNER, tmp_path, SystemClock())


def marks():
    url = "https://github.com/my-org"
    return Marks(owner=OWNER, url=url, group="", scale_set="a", slot=0, runner=RUNNER, created_at=1.0)


def test_a_runner_that_is_being_started_is_not_listed(context):
    inventory = RunnerInventory(context)

    with inventory.starting(RUNNER) as directory:
        directory.create(marks())
        assert inventory.all_marks() == []
    assert [listed.runner for listed in inventory.all_marks()] == [RUNNER]


def test_a_runner_whose_directory_is_deleted_during_the_listing_is_not_listed(context):
    inventory = Overtaken(context)
    with inventory.starting(RUNNER) as directory:
        directory.create(marks())

    assert inventory.all_marks() == []

    assert not directory.path.exists()


def test_a_removal_that_failed_half_way_is_listed_and_can_be_repeated(context, monkeypatch):
    inventory = RunnerInventory(context)
    with inventory.starting(RUNNER) as directory:
        directory.create(marks())
        directory.work.mkdir()

    def fail(path):
        raise OSError("busy")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", fail)
        with pytest.raises(OSError, match="busy"):
            inventory.remove(directory, directory.marks(), Interrupt())
        assert [listed.runner for listed in inventory.all_marks()] == [RUNNER]

    inventory.remove(directory, directory.marks(), Interrupt())
    assert not directory.path.exists()


def test_making_a_directory_writable_does_not_follow_symbolic_links(context, tmp_path, monkeypatch):
    inventory, outside, remove_tree = RunnerInventory(context), tmp_path / "outside", shutil.rmtree
    outside.touch(mode=0o600)
    with inventory.starting(RUNNER) as directory:
        directory.create(marks())
        (directory.work / "sub").mkdir(parents=True)
        (directory.work / "sub").chmod(0o500)
        (directory.work / "link").symlink_to(outside)

    def deny_unwritable(path):
        if any(not entry.stat().st_mode & 0o200 for entry in path.rglob("*")):
            raise PermissionError
        remove_tree(path)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", deny_unwritable)
        inventory.remove(directory, directory.marks(), Interrupt())

    assert not directory.path.exists()
    assert outside.stat().st_mode & 0o777 == 0o600
