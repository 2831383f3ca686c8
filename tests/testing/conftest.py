"""A fake Mac that takes no time."""

import pytest

from runscaler.testing.fake_tart_host import FakeTart

INSTANT = [
    "clone",
    "set",
    "boot_socket",
    "boot_agent",
    "exec_connect",
    "stop",
    "delete",
    "list",
    "pull",
    "prune",
]


@pytest.fixture
def tart(tmp_path):
    with FakeTart(tmp_path, limit=100) as fake:
        fake.add_image()
        fake.latency(**dict.fromkeys(INSTANT, 0.0))
        yield fake
