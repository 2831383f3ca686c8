from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from runscaler.errors import BackendError
from runscaler.ops.demo import DemoTarget, demo_config, find_target, free_port, leftovers
from runscaler.testing.fake_tart_host import FakeTart


def no_progress(what: str, done: int, total: int, /) -> None:
    """The progress of building the image is not tested here."""


def test_processes_need_nothing():
    assert find_target("process", no_progress) == DemoTarget("process")


def test_auto_falls_back_to_processes_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    target = find_target("auto", no_progress)

    assert target.backend == "process"
    assert "none.sock" in target.fallback_reason


def test_requested_docker_without_an_engine_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

    with pytest.raises(BackendError, match=r"none\.sock"):
        find_target("docker", no_progress)


@pytest.mark.engine
def test_auto_chooses_docker_if_an_engine_answers(monkeypatch, engine_url):
    monkeypatch.setenv("DOCKER_HOST", engine_url)

    target = find_target("auto", no_progress)

    assert target.backend == "docker"
    assert target.docker.endpoint == engine_url
    assert target.image.startswith("runscaler-demo:")


@pytest.mark.engine
def test_an_engine_without_our_containers_has_no_leftovers(monkeypatch, engine_url, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", engine_url)

    assert leftovers(find_target("docker", no_progress), tmp_path) == []


def test_the_configuration_has_one_scale_set_for_the_target(tmp_path):
    config = demo_config(DemoTarget("process"), "http://127.0.0.1:9001", tmp_path, max_runners=3, port=1234)

    (one,) = config.scale_sets
    assert (one.backend, one.max_runners, one.url) == ("process", 3, "http://127.0.0.1:9001/demo-org")
    assert (config.health_port, config.state_dir) == (1234, tmp_path)


def test_a_free_port_can_be_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))


def test_a_leftover_process_and_a_leftover_directory_are_found(tmp_path):
    home = tmp_path / "process" / "0" / "runner-00000001"
    home.mkdir(parents=True)
    code = "print('up', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout.readline() == "up\n"

        left = leftovers(DemoTarget("process"), tmp_path)

        runner.communicate("\n")
    assert any(line.startswith(f"process {runner.pid}: ") for line in left)
    assert f"directory {home}" in left


def test_without_leftovers_none_are_found(tmp_path):
    assert leftovers(DemoTarget("process"), tmp_path) == []


def test_a_fake_tart_can_be_requested():
    target = find_target("tart", no_progress, fake_tart=True)

    assert (target.backend, target.is_fake_tart, target.fallback_reason) == ("tart", True, "")
    assert (target.tart.pool_size, target.tart.max_vms, target.max_runners) == (2, 2, 2)


@pytest.mark.skipif(sys.platform == "darwin", reason="about hosts that are no Mac")
def test_an_image_is_for_a_real_tart_only():
    with pytest.raises(BackendError, match="no tart to create VMs from image vm: this is not a Mac"):
        find_target("tart", no_progress, image="vm")


def test_auto_never_chooses_tart(monkeypatch, tmp_path):
    with FakeTart(tmp_path / "mac") as tart:
        monkeypatch.setenv("PATH", tart.environ["PATH"])
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")

        assert find_target("auto", no_progress).backend == "process"


def test_no_more_runners_than_vms_are_configured(tmp_path):
    target = find_target("tart", no_progress, fake_tart=True)

    config = demo_config(target, "http://127.0.0.1:9001", tmp_path, max_runners=5, port=1234)

    (one,) = config.scale_sets
    assert (one.backend, one.max_runners, one.tart) == ("tart", 2, target.tart)
