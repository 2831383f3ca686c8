"""A private registry gets a newer runner image: the daemon pulls it, and its idle runner is replaced."""

from __future__ import annotations

from contextlib import suppress

import pytest
from docker.errors import ImageNotFound
from support.daemon import of, wait_until
from support.docker_registry import PASSWORD, USER, DockerRegistry
from support.engine import connect

pytestmark = pytest.mark.engine


@pytest.fixture
def registry(tmp_path, engine_url):
    registry = DockerRegistry(tmp_path / "registry", login=True)
    yield registry
    registry.close()
    with connect(engine_url) as api:
        for image in api.images():
            names = [*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())]
            for name in names:
                if name.startswith(f"{registry.host}/"):
                    with suppress(ImageNotFound):  # its last tag takes the digest with it
                        api.remove_image(name, force=True)


@pytest.fixture
def push(registry, engine_url, image):
    """`push(tag)`: another image with the demo's runner, which is not left on the engine."""
    repository = f"{registry.host}/runner"

    def _push(tag):
        with connect(engine_url) as api:
            held = api.create_container(image)["Id"]
            api.commit(held, repository, tag, changes=f"LABEL mark={tag}")
            api.remove_container(held)
            login = {"username": USER, "password": PASSWORD}
            said = api.push(repository, tag, auth_config=login, stream=False)
            assert "error" not in said, said
            api.remove_image(f"{repository}:{tag}")

    return _push


@pytest.mark.timeout(200)
def test_an_idle_runner_of_the_old_image_is_replaced_by_one_of_the_new(
    github, docker, daemon, scale_set, engine_url, registry, push, tmp_path
):
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    push("1")
    push("next")
    name = f"{registry.host}/runner:1"
    auth = {registry.host: {"user": USER, "password": f"file:{password}"}}
    table = {**docker["docker"], "pull": "always", "pull-interval": "1s", "registry-auth": auth}
    linux = scale_set("linux", docker, docker=table, runner_image=name, min_runners=1, max_runners=2)
    program = daemon({"log-level": "debug", "scaleset": [linux]})
    program.start()
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    (old,) = program.resources()

    registry.rename("runner:next", "1")

    program.wait_for_log(f"a newer image {name} was pulled")
    wait_until(lambda: old not in program.resources(), "the old runner is gone", 90)
    program.wait_for(lambda health: of(health, "linux")["idle"] == 1)
    (new,) = program.resources()
    with connect(engine_url) as api:
        (container,) = api.containers(filters={"label": f"io.runscaler.runner={new}"})
        assert container["ImageID"] == api.inspect_image(name)["Id"]
        assert api.inspect_image(name)["Config"]["Labels"]["mark"] == "next"
    assert f"replacing idle runners (1): {name} names another image than theirs now" in program.log
    assert program.stop() == 0
    assert program.leftovers() == []
    assert PASSWORD not in program.log + program.errors
