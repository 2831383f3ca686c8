from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_services.world import ServiceHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceHost]:
    made = ServiceHost(tmp_path, monkeypatch, "http://127.0.0.1:9")
    yield made
    made.close()
