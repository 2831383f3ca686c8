from __future__ import annotations

import io
import tarfile

import pytest
from support.engine import connect, engine_address

from runscaler.backends.docker.local import bridge_gateway, has_image, remove_image, route_to_host
from runscaler.ops.demo_image import ensure_demo_image
from runscaler.ops.demo_rootfs import Entry, entries, fingerprint, write_archive


@pytest.fixture(scope="module")
def image(engine_url):
    return ensure_demo_image(engine_address(engine_url), lambda *_: None)


def output_of(engine_url, image, *command):
    with connect(engine_url) as api:
        config = {"Image": image, "Cmd": command, "HostConfig": {"NetworkMode": "none"}}
        container = api.create_container_from_config(config)["Id"]
        try:
            api.start(container)
            status = api.wait(container, timeout=60)["StatusCode"]
            return status, api.logs(container).decode()
        finally:
            api.remove_container(container, force=True)


@pytest.mark.engine
def test_the_images_python_runs_as_the_runner_with_what_an_agent_imports(engine_url, image):
    script = "import os, ssl, uuid, http.client, subprocess; print(os.getuid(), os.getgid(), os.getcwd())"

    assert output_of(engine_url, image, "python3", "-c", script) == (0, "1001 123 /home/runner\n")


@pytest.mark.engine
def test_the_image_starts_the_agent_which_refuses_an_empty_configuration(engine_url, image):
    status, output = output_of(engine_url, image, "/home/runner/run.sh")

    assert status == 1
    assert "Traceback" not in output


@pytest.mark.engine
def test_steps_have_a_shell(engine_url, image):
    assert output_of(engine_url, image, "sh", "-c", "echo hello; sleep 0") == (0, "hello\n")


@pytest.mark.engine
def test_an_existing_image_is_reused(engine_url, image):
    seen = []

    assert ensure_demo_image(engine_address(engine_url), lambda *step: seen.append(step)) == image
    assert seen == []


@pytest.mark.engine
def test_a_removed_image_is_built_again_with_progress(engine_url, image):
    seen = []
    remove_image(engine_address(engine_url), image)
    remove_image(engine_address(engine_url), image)
    assert not has_image(engine_address(engine_url), image)

    assert ensure_demo_image(engine_address(engine_url), lambda *step: seen.append(step)) == image

    assert has_image(engine_address(engine_url), image)
    what, done, total = seen[-1]
    assert image in what
    assert done == total > 1_000_000


@pytest.mark.engine
def test_containers_of_a_local_engine_reach_this_host(engine_url):
    way = route_to_host(engine_address(engine_url))

    assert way is None or way.address


@pytest.mark.engine
def test_the_bridges_gateway_is_an_address_or_there_is_no_bridge(engine_url):
    gateway = bridge_gateway(engine_address(engine_url))

    assert gateway is None or gateway.count(".") == 3


def test_a_remote_engines_containers_do_not_reach_this_host():
    assert route_to_host(engine_address("tcp://there:2375")) is None


def test_only_what_an_agent_needs_is_copied():
    paths = {entry.path for entry in entries()}

    assert {"home/runner/run.sh", "home/runner/agent.py", "usr/local/bin/python3", "bin/sh"} <= paths
    assert not any("/site-packages/" in path or "/test/" in path or "/idlelib/" in path for path in paths)


def test_every_directory_comes_before_its_contents():
    seen = set()
    for entry in entries():
        parent = entry.path.rpartition("/")[0]
        assert not parent or parent in seen, entry.path
        seen.add(entry.path)


def test_the_fingerprint_follows_contents_modes_and_links():
    plain = Entry("a", content=b"1")
    others = [
        Entry("a", content=b"2"),
        Entry("b", content=b"1"),
        Entry("a", content=b"1", mode=0o600),
        Entry("a", link="1"),
    ]

    assert len({fingerprint([entry]) for entry in (plain, *others)}) == 5
    assert fingerprint([plain]) == fingerprint([Entry("a", content=b"1")])


def test_an_archive_holds_files_folders_and_links(tmp_path):
    (tmp_path / "file").write_text("text")
    archive = io.BytesIO()

    write_archive(
        [
            Entry("folder", mode=0o1777),
            Entry("folder/file", tmp_path / "file", mode=0o644, uid=1001, gid=123),
            Entry("folder/link", link="file"),
        ],
        archive,
    )

    archive.seek(0)
    with tarfile.open(fileobj=archive) as read:
        folder, file, link = read.getmembers()
        assert (folder.isdir(), folder.mode) == (True, 0o1777)
        assert (file.uid, file.gid, file.size) == (1001, 123, 4)
        assert (link.issym(), link.linkname) == (True, "file")
