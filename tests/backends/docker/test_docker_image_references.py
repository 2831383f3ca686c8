from __future__ import annotations

from types import SimpleNamespace

import pytest

from runscaler.backends.docker.image_references import ImageReference
from runscaler.backends.docker.registry_logins import Login, given_logins
from runscaler.config.registries import registry_host
from runscaler.config.secrets import Secret
from runscaler.errors import ImageMissing

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("name", "registry", "path", "tag"),
    [
        ("ubuntu", "docker.io", "library/ubuntu", "latest"),
        ("docker.io/ubuntu:24.04", "docker.io", "library/ubuntu", "24.04"),
        ("index.docker.io/my/app", "docker.io", "my/app", "latest"),
        ("ghcr.io/actions/actions-runner:latest", "ghcr.io", "actions/actions-runner", "latest"),
        ("127.0.0.1:5000/runner:1", "127.0.0.1:5000", "runner", "1"),
        ("localhost/demo:1", "localhost", "demo", "1"),
        (f"ghcr.io/a/b@{DIGEST}", "ghcr.io", "a/b", DIGEST),
        (f"ghcr.io/a/b:1@{DIGEST}", "ghcr.io", "a/b", DIGEST),
    ],
)
def test_a_name_has_a_registry_a_path_and_a_tag(name, registry, path, tag):
    found = ImageReference.of(name)

    assert (found.registry, found.path, found.tag) == (registry, path, tag)


@pytest.mark.parametrize("name", ["https://ghcr.io/a/b", "-bad.io-/x"])
def test_what_no_engine_takes_is_a_missing_image(name):
    with pytest.raises(ImageMissing, match="that is no name of an image"):
        ImageReference.of(name)


@pytest.mark.parametrize(
    ("name", "mirrored"),
    [
        ("ubuntu", "mirror:5000/library/ubuntu"),
        ("my/app:1", "mirror:5000/my/app"),
        ("ghcr.io/actions/actions-runner", "mirror:5000/ghcr.io/actions/actions-runner"),
        ("127.0.0.1:5000/runner:1", ""),
        (f"ubuntu@{DIGEST}", ""),
    ],
)
def test_a_mirror_has_images_of_other_registries_under_their_name_only(name, mirrored):
    """Asked for the bare path, a mirror of Docker Hub would give somebody else's actions/actions-runner."""
    assert ImageReference.of(name).at_mirror("http://mirror:5000/") == mirrored
    assert ImageReference.of(name).at_mirror("") == ""


def test_a_mirror_may_have_a_path():
    assert ImageReference.of("ubuntu").at_mirror("https://harbor/hub") == "harbor/hub/library/ubuntu"


@pytest.mark.parametrize(
    "text",
    ["docker.io", "https://index.docker.io/v1/", "registry-1.docker.io", "Index.Docker.io"],
)
def test_docker_hub_has_many_names(text):
    assert registry_host(text) == "docker.io"


def test_the_settings_give_logins_by_the_one_spelling_of_their_hosts():
    entry = SimpleNamespace(user=Secret("me"), password=Secret("word"))

    given = given_logins({"https://index.docker.io/v1/": entry, "GHCR.io": entry})

    assert {one.host for one in given} == {"docker.io", "ghcr.io"}


def test_a_login_is_masked_in_the_words_of_others_and_in_its_own():
    login = Login({"Username": "me", "Password": "right s3cr3t", "IdentityToken": "tok"}, "x")

    assert login.masked("me sent right s3cr3t, tok") == "me sent ********, tok"
    assert "right s3cr3t" not in repr(login)
