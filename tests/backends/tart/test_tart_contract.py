from __future__ import annotations

import pytest
from support.tart import TartRig, short_folder

from runscaler.testing.backend_contract import BackendContract


class TestTartContract(BackendContract):
    @pytest.fixture
    def rig(self):
        """More than a Mac allows; the guarantees are the same."""
        with short_folder() as folder:
            rig = TartRig(folder, limit=100, max_vms=100)
            yield rig
            rig.close()
