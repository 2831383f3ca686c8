"""Listings while somebody deletes a runner's directory."""

from __future__ import annotations

import shutil

from runscaler.backends.base import BackendContext
from runscaler.backends.process.runner_directory import Marks
from runscaler.backends.process.runner_inventory import RunnerInventory
from runscaler.clock import SystemClock
from runscaler.names import OwnerId

OWNER = OwnerId("a" * 32)
RUNNER = "runner-0a1b2c3d"


class Overtaken(RunnerInventory):
    """Somebody deletes the directory after its marks were read and before its ending is written."""

    def _ending(self, directory):
        shutil.rmtree(directory.path)
        return super()._ending(directory)


def test_a_runner_whose_directory_is_deleted_during_the_listing_is_not_listed(tmp_path):
    inventory = Overtaken(BackendContext(OWNER, tmp_path, SystemClock()))
    url = "https://github.com/my-org"
    marks = Marks(owner=OWNER, url=url, group="", scale_set="a", slot=0, runner=RUNNER, created_at=1.0)
    with inventory.starting(RUNNER) as directory:
        directory.create(marks)

    assert inventory.all_marks() == []

    assert not directory.path.exists()
