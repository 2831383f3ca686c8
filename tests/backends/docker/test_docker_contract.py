from __future__ import annotations

import pytest

from runscaler.testing.backend_contract import BackendContract

pytestmark = pytest.mark.engine


class TestDockerContract(BackendContract):
    @pytest.fixture
    def rig(self, rig):
        return rig
