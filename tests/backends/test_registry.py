from __future__ import annotations

import pytest

from runscaler.backends import memory
from runscaler.backends.registry import backend_names, factory_for
from runscaler.errors import BackendError


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that installs a package with one entry point, for this test only."""

    def install(name: str, target: str, module: str = "") -> None:
        info = tmp_path / f"{name}_backend-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}-backend\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[runscaler.backends]\n{name} = {target}\n")
        (tmp_path / f"{name}_module.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(BackendError, match="no backend 'dokcer'") as caught:
        factory_for("dokcer")

    assert "docker" in caught.value.fixes[0]
    assert "process" in caught.value.fixes[0]


def test_the_table_names_a_module_and_what_to_take_from_it():
    assert factory_for("memory") is memory.factory


def test_memory_is_no_name_for_users():
    assert "memory" not in backend_names()


def test_other_packages_add_backends_through_entry_points(installed):
    installed("cloud", "cloud_module:factory", "factory = 'the factory'\n")

    assert factory_for("cloud") == "the factory"
    assert "cloud" in backend_names()


def test_a_built_in_name_cannot_be_taken(installed):
    installed("memory", "memory_module:factory", "factory = 'an impostor'\n")

    assert factory_for("memory") is memory.factory


def test_a_backend_that_cannot_be_imported_is_named_with_the_reason(installed):
    installed("broken", "broken_module:factory", "import no_such_library\n")

    with pytest.raises(BackendError, match=r"backend broken cannot be loaded .*no_such_library"):
        factory_for("broken")
