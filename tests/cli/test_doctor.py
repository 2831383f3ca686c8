from __future__ import annotations

import socket
import threading

import pytest

CONFIG = 'url = "https://github.com/my-org"\nname = "x"\ntoken = "t"\n'


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No engine, no tart, no configuration and no state directory are at hand."""
    for name in ("HOME", "STATE_DIRECTORY", "TMPDIR", "PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    url = f"unix://{tmp_path}/docker.sock"
    monkeypatch.setattr("runscaler.ops.doctor.surveys.engine_urls", lambda _environ: [url, url])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_host_without_engines_tools_and_configuration_is_clean(runner, alone):
    told = runner("doctor")

    assert (told.code, told.out, told.err) == (
        0,
        "✓ no resource and no registration of a dead daemon is left\n",
        "",
    )
    assert runner("doctor", "--json").json == {"ok": True, "found": [], "problems": [], "notes": []}


@pytest.fixture
def no_engine(alone):
    """A program that is no engine listens at the engine's socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(alone / "docker.sock"))
        listener.listen()

        def hang_up():
            while (connection := listener.accept()[0]).recv(1) != b"!":
                connection.close()
            connection.close()

        thread = threading.Thread(target=hang_up, name="no engine")
        thread.start()
        yield
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(alone / "docker.sock"))
            last.sendall(b"!")
        thread.join()


def test_a_socket_that_nobody_listens_at_is_no_engine(runner, alone):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(alone / "docker.sock"))

    assert runner("doctor").code == 0


def test_what_listens_but_does_not_answer_is_reported_once(runner, alone, no_engine):
    told = runner("doctor", "--json")

    assert told.code == 1
    assert [f"docker unix://{alone}/docker.sock" in one["message"] for one in told.json["problems"]] == [True]


def test_a_configuration_that_is_found_but_cannot_be_used_is_said(runner, alone):
    (alone / "config.toml").write_text(
        'url = "https://github.com/my-org"\nname = "x"\ntoken = "env:NOWHERE"\n'
    )
    told = runner("doctor")

    assert told.code == 0
    assert "only this host is looked at" in told.err
    assert "NOWHERE" in told.err


def test_a_configuration_that_is_given_and_cannot_be_used_is_a_failure(runner, alone):
    assert runner("doctor", "--config", str(alone / "none.toml")).code == 1


def test_a_backend_that_cannot_be_loaded_is_a_problem_beside_the_others(runner, alone):
    (alone / "config.toml").write_text(f'{CONFIG}backend = "swarm"\n')
    told = runner("doctor", "--json")

    assert told.code == 1
    assert ["swarm" in one["message"] for one in told.json["problems"]] == [True]


@pytest.mark.parametrize("owner", ["x", "", "A" * 32, "a" * 33])
def test_an_owner_that_is_none_is_wrong_usage(runner, alone, owner):
    told = runner("doctor", "--owner", owner)

    assert told.code == 2
    assert "32 hex digits" in told.err
