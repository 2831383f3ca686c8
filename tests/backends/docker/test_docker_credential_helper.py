"""Credential helpers of Docker's: real programs, which answer, fail, hang and print without an end."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from runscaler.backends.docker.credential_helper import NoHelper, ask_helper
from runscaler.backends.docker.registry_logins import Login, find_login
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt

REGISTRY = "registry.example.com"
HUB = "https://index.docker.io/v1/"
DOING = "pull image x"


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """`write(script)`: what docker-credential-fake does; `config(content)`: the Docker configuration."""
    folder = tmp_path / "helpers"
    folder.mkdir()
    program = folder / "docker-credential-fake"
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def config(content):
        (tmp_path / "config.json").write_text(json.dumps(content))

    config({"credHelpers": {REGISTRY: "fake", HUB: "fake"}})
    return SimpleNamespace(write=write, config=config, program=program)


def asked(interrupt=None, seconds=30.0):
    return ask_helper("fake", REGISTRY, DOING, seconds, interrupt or Interrupt())


def answer(user, secret):
    return f"echo '{json.dumps({'ServerURL': REGISTRY, 'Username': user, 'Secret': secret})}'"


def test_it_is_asked_by_its_standard_input_and_answers_with_a_login(helper, tmp_path):
    helper.write(f'echo "$1 $(cat)" > {tmp_path}/asked; {answer("me", "word")}')

    assert asked() == {"username": "me", "password": "word", "serveraddress": REGISTRY}
    assert (tmp_path / "asked").read_text() == f"get {REGISTRY}\n"


def test_a_token_is_no_password(helper):
    helper.write(answer("<token>", "abc"))

    assert asked() == {"identitytoken": "abc", "serveraddress": REGISTRY}


@pytest.mark.parametrize(
    "script",
    [answer("", ""), "echo credentials not found in native keychain; exit 1"],
    ids=("empty", "words"),
)
def test_a_registry_that_it_does_not_know_has_no_login(helper, script):
    helper.write(script)

    assert asked() is None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo the keyring is locked; exit 1", "says: the keyring is locked"),
        ("printf 'no\\n\\033[2Jbus' >&2; exit 3", "says: no �[2Jbus"),
        ("exit 3", "says: exit code 3"),
        ('echo \'{"Username": "my word"\'', "answers nonsense"),
        ('echo \'{"Username": 7, "Secret": "my word"}\'', "answers nonsense"),
        ("echo '[]'", "answers nonsense"),
        ("cat /dev/zero", "prints without an end and was killed"),
    ],
)
def test_one_that_fails_is_one_clear_line_that_names_it(helper, script, said):
    helper.write(script)

    with pytest.raises(BackendError) as caught:
        asked()

    assert str(caught.value) == f"cannot {DOING}: the credential helper docker-credential-fake {said}"
    assert "my word" not in repr(caught.value.__context__)
    assert f"echo {REGISTRY} | docker-credential-fake get" in caught.value.fixes[0]


def test_one_that_is_no_program_is_one_clear_line(helper):
    helper.write("")
    helper.program.write_text("#!/nowhere/interpreter\n")

    with pytest.raises(BackendError, match="docker-credential-fake cannot be run: No such file"):
        asked()


def test_one_that_hangs_is_killed_with_what_it_started(helper, tmp_path):
    os.mkfifo(tmp_path / "held")
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    helper.write(f"exec 3> {tmp_path}/held; sleep 600 & exec sleep 600")

    with pytest.raises(BackendError, match=r"docker-credential-fake did not answer within 1s and was killed"):
        asked(seconds=1.0)
    os.set_blocking(held, True)
    assert os.read(held, 1) == b""  # nobody has it open any more
    os.close(held)


def test_an_interrupt_ends_one_that_hangs(helper, tmp_path):
    os.mkfifo(tmp_path / "runs")
    helper.write(f"echo > {tmp_path}/runs; exec sleep 600")
    interrupt = Interrupt()

    def interrupt_it():
        (tmp_path / "runs").read_text()
        interrupt.set()

    thread = threading.Thread(target=interrupt_it)
    thread.start()
    with pytest.raises(Interrupted):
        asked(interrupt)
    thread.join()


def test_it_gets_no_secret_of_this_program(helper, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNNER_TOKEN", "ghp_secret")
    helper.write(f"env > {tmp_path}/environment; {answer('me', 'word')}")
    asked()

    told = (tmp_path / "environment").read_text()
    assert "PATH=" in told
    assert "ghp_secret" not in told


def test_one_that_is_not_there_is_told_apart(helper):
    with pytest.raises(NoHelper, match="docker-credential-fake is not installed"):
        asked()


# -- which helper is asked ---------------------------------------------------------------------------------


def login(registry=REGISTRY):
    return find_login(registry, (), DOING, Interrupt())


def test_docker_hub_has_another_name_for_a_helper(helper, tmp_path):
    helper.write(f"cat > {tmp_path}/asked; {answer('me', 'word')}")

    assert login("docker.io").sent["username"] == "me"
    assert (tmp_path / "asked").read_text() == HUB


@pytest.mark.parametrize("script", [answer("", ""), answer("me", "word")])
def test_where_it_knows_nothing_the_configuration_counts(helper, script):
    helper.config({"credsStore": "fake", "auths": {REGISTRY: {"auth": "eW91Om90aGVy"}}})
    helper.write(script)

    known = "me" if "word" in script else "you"
    assert login().sent["username"] == known


def test_it_is_asked_once_for_a_registry_that_it_does_not_know(helper, tmp_path):
    helper.write(f"echo >> {tmp_path}/times; {answer('', '')}")

    assert login() == Login()
    assert Path(tmp_path / "times").read_text() == "\n"


def test_another_registry_asks_no_helper(helper, tmp_path):
    helper.write(f"echo > {tmp_path}/times")

    assert login("ghcr.io") == Login()
    assert not (tmp_path / "times").exists()
