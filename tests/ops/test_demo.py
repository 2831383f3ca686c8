from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from runscaler.errors import BackendError
from runscaler.ops.demo import Ground, demo_config, find_ground, free_port, leftovers
from runscaler.testing.fake_tart_host import FakeTart


def unheard(what: str, done: int, total: int, /) -> None:
    """Nobody watches the image being made."""


def test_processes_need_nothing():
    assert find_ground("process", unheard) == Ground("process")


def test_auto_falls_back_to_processes_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    ground = find_ground("auto", unheard)

    assert ground.backend == "process"
    assert "none.sock" in ground.instead_of


def test_docker_that_was_asked_for_and_is_away_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    with pytest.raises(BackendError, match=r"none\.sock"):
        find_ground("docker", unheard)


@pytest.mark.engine
def test_auto_takes_docker_where_an_engine_answers(monkeypatch, engine_url):
    monkeypatch.setenv("DOCKER_HOST", engine_url)

    ground = find_ground("auto", unheard)

    assert ground.backend == "docker"
    assert ground.docker.endpoint == engine_url
    assert ground.image.startswith("runscaler-demo:")


@pytest.mark.engine
def test_an_engine_without_our_containers_has_no_leftovers(monkeypatch, engine_url, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", engine_url)

    assert leftovers(find_ground("docker", unheard), tmp_path) == []


def test_the_configuration_is_one_set_on_that_ground(tmp_path):
    config = demo_config(Ground("process"), "http://127.0.0.1:9001", tmp_path, max_runners=3, port=1234)

    (one,) = config.scale_sets
    assert (one.backend, one.max_runners, one.url) == ("process", 3, "http://127.0.0.1:9001/demo-org")
    assert (config.health_port, config.state_dir) == (1234, tmp_path)


def test_a_free_port_can_be_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))


def test_a_process_and_a_directory_that_were_left_are_found(tmp_path):
    home = tmp_path / "process" / "0" / "runner-00000001"
    home.mkdir(parents=True)
    code = "print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout.readline() == "up\n"

        left = leftovers(Ground("process"), tmp_path)

        runner.communicate("\n")
    assert any(line.startswith(f"process {runner.pid}: ") for line in left)
    assert f"directory {home}" in left


def test_nothing_left_is_nothing_found(tmp_path):
    assert leftovers(Ground("process"), tmp_path) == []


def test_without_a_real_tart_a_fake_one_is_to_stand_in():
    ground = find_ground("tart", unheard, pretend=True)

    assert (ground.backend, ground.is_pretended, ground.instead_of) == ("tart", True, "")
    assert (ground.tart.pool_size, ground.tart.max_vms, ground.most_runners) == (2, 2, 2)


@pytest.mark.skipif(sys.platform == "darwin", reason="about hosts that are no Mac")
def test_an_image_is_for_a_real_tart_only():
    with pytest.raises(BackendError, match="no tart to make VMs of image vm: this is no Mac"):
        find_ground("tart", unheard, image="vm")


def test_auto_never_picks_tart(monkeypatch, tmp_path):
    with FakeTart(tmp_path / "mac") as tart:
        monkeypatch.setenv("PATH", tart.environ["PATH"])
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

        assert find_ground("auto", unheard).backend == "process"


def test_no_more_runners_than_vms_are_configured(tmp_path):
    ground = find_ground("tart", unheard, pretend=True)

    config = demo_config(ground, "http://127.0.0.1:9001", tmp_path, max_runners=5, port=1234)

    (one,) = config.scale_sets
    assert (one.backend, one.max_runners, one.tart) == ("tart", 2, ground.tart)
