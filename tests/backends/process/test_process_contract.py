from __future__ import annotations

import pytest

from runscaler.testing.backend_contract import BackendContract


class TestProcessContract(BackendContract):
    @pytest.fixture
    def rig(self, process_rig):
        return process_rig
