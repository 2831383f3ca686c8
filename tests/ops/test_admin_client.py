"""How a command finds the daemon of this host that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.errors import HostError
from runscaler.ops.admin_client import ask, choose, living_sockets
from runscaler.ops.state_path import ADMIN_SOCKET, state_directories
from runscaler.web.server import bind_admin

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def listening() -> Iterator[Callable[[Path], Path]]:
    """`listening(directory)`: a socket there that accepts connections and never answers."""
    made: list[socket.socket] = []

    def listen(directory: Path) -> Path:
        directory.mkdir()
        listener = bind_admin(directory / ADMIN_SOCKET)
        assert listener is not None
        made.append(listener)
        return directory

    yield listen
    for one in made:
        one.close()


def test_the_only_daemon_that_lives_is_meant(tmp_path, listening):
    living = listening(tmp_path / "a")
    dead = tmp_path / "b"
    dead.mkdir()
    gone = bind_admin(dead / ADMIN_SOCKET)
    gone.close()

    assert choose([dead, living, tmp_path / "none"]) == living / ADMIN_SOCKET
    assert living_sockets([dead]) == []


def test_none_and_several_are_told_apart(tmp_path, listening):
    both = [listening(tmp_path / "a"), listening(tmp_path / "b")]

    with pytest.raises(HostError, match=r"several daemons run on this host, with their state in .*a, .*b"):
        choose(both)
    with pytest.raises(HostError, match=r"no runner daemon of this user answers on this host .looked at .*c"):
        choose([tmp_path / "c"])
    with pytest.raises(HostError, match="no runner daemon answers at"):
        ask(tmp_path / "c" / ADMIN_SOCKET, "/v1/status", {})


def test_a_socket_that_a_dead_daemon_left_is_replaced(tmp_path):
    bind_admin(tmp_path / ADMIN_SOCKET).close()
    second = bind_admin(tmp_path / ADMIN_SOCKET)

    assert living_sockets([tmp_path]) == [tmp_path / ADMIN_SOCKET]
    second.close()


def test_a_path_too_long_for_a_socket_is_done_without(tmp_path, log_lines):
    deep = tmp_path / ("x" * 120)
    deep.mkdir()

    assert bind_admin(deep / ADMIN_SOCKET) is None
    assert [line for line in log_lines if "no admin socket" in line]


def test_the_state_directories_of_this_user_are_those_with_an_owner(tmp_path, monkeypatch):
    for name in ("one", "two", "empty"):
        (tmp_path / name).mkdir()
    for name in ("one", "two"):
        (tmp_path / name / "owner").write_text("0" * 32)

    found = state_directories({"STATE_DIRECTORY": str(tmp_path)})

    assert found == [tmp_path / "one", tmp_path / "two"]
