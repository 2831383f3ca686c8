from __future__ import annotations

import hashlib
import json

import pytest

from runscaler.backends.docker.docker_context import current_context
from runscaler.backends.docker.errors import DEFAULT_ENGINE, translated


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    return tmp_path


def make(folder, name, host="unix:///home/me/.colima/docker.sock"):
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


def test_the_current_context_is_that_of_the_variable_else_of_the_file(folder, monkeypatch):
    make(folder, "colima")
    make(folder, "far", "ssh://me@far")
    assert current_context() is None

    (folder / "config.json").write_text('{"currentContext": "colima"}')
    assert current_context() == ("colima", "unix:///home/me/.colima/docker.sock")

    monkeypatch.setenv("DOCKER_CONTEXT", "far")
    assert current_context() == ("far", "ssh://me@far")

    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert current_context() is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"Endpoints": []}', '{"Endpoints": {"docker": {"Host": 1}}}']
)
def test_a_context_that_cannot_be_read_is_named_all_the_same(folder, monkeypatch, content):
    make(folder, "odd")
    next((folder / "contexts" / "meta").glob("*/meta.json")).write_text(content)
    monkeypatch.setenv("DOCKER_CONTEXT", "odd")

    assert current_context() == ("odd", "")


def test_a_default_socket_that_is_missing_names_the_context_and_its_engine(folder, monkeypatch):
    make(folder, "colima")
    monkeypatch.setenv("DOCKER_CONTEXT", "colima")

    error = translated(FileNotFoundError(2, "no"), "check the engine", DEFAULT_ENGINE)
    other = translated(FileNotFoundError(2, "no"), "check the engine", "unix:///elsewhere.sock")

    assert "the context colima" in str(error)
    assert 'set [docker] host = "unix:///home/me/.colima/docker.sock"' in error.fixes
    assert "colima" not in str(other)
