from __future__ import annotations

import pytest
from support.engine import connect

from runscaler.testing.backend_contract import BackendContract

pytestmark = pytest.mark.engine


class TestDockerContract(BackendContract):
    @pytest.fixture
    def rig(self, rig):
        return rig

    def test_the_last_bytes_of_the_output_are_kept(self, rig, backend, orders):
        with connect(rig.url) as api:
            if "Podman" in str(api.version()):
                pytest.skip("Podman 4.3 misplaces the end of a line where a buffer of its log's writer ends")
        super().test_the_last_bytes_of_the_output_are_kept(backend, orders)
