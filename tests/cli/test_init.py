"""`runner init`, as a program: by flags, on a terminal, with closed input, over an existing file."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from support.app_keys import private_key, public_key

from runscaler.ops.discovery import discover
from runscaler.testing.simulator import FAST, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = ("--url", "https://github.com/my-org", "--name", "linux", "--token", "env:RUNNER_TOKEN")
PEM = private_key()
BODY = PEM.splitlines()[1]
RUNNER = (sys.executable, "-m", "runscaler")
Init = "Callable[..., subprocess.CompletedProcess[str]]"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "RUNNER_TOKEN": "ghp_x"}


@pytest.fixture
def init(tmp_path: Path, environ: dict[str, str]) -> Init:
    """`init(*flags, answers="")`: standard input is not a terminal."""

    def run(*flags: str, answers: str = "", command: str = "init") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*RUNNER, command, *flags],
            cwd=tmp_path,
            env=environ,
            input=answers,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def written(tmp_path: Path) -> dict[str, object]:
    return tomllib.loads((tmp_path / "config.toml").read_text())


def test_by_flags_it_asks_nothing_and_writes_a_file_for_its_owner_alone(init, tmp_path):
    done = init(*FLAGS, "--no-validate")

    assert (done.returncode, done.stderr) == (0, "")
    assert stat.S_IMODE((tmp_path / "config.toml").stat().st_mode) == 0o600
    assert written(tmp_path)["token"] == "env:RUNNER_TOKEN"
    assert init("--offline", command="validate").returncode == 0


@pytest.mark.parametrize(
    "flags",
    [
        ("--backend", "tart", "--runner-image", "ghcr.io/my-org/mac:1"),
        ("--backend", "process", "--max-runners", "3"),
        ("--dind", "--shared-volume", "/shared", "--runner-image", "my/image"),
    ],
)
def test_what_it_writes_is_valid_and_holds_what_was_given(init, tmp_path, flags):
    done = init(*FLAGS, *flags, "--no-validate")
    loaded = init("--offline", "--json", command="validate")

    assert done.returncode == 0, done.stderr
    assert loaded.returncode == 0, loaded.stdout
    for word in (flag for flag in flags if not flag.startswith("--")):
        assert word in (tmp_path / "config.toml").read_text()


def test_the_new_file_is_checked_at_the_end(init, tmp_path):
    with SimulatedGitHub(timers=FAST) as github:
        url = github.config_url()
        done = init("--url", url, "--name", "linux", "--token", "env:RUNNER_TOKEN", "--backend", "process")

    assert done.returncode == 0
    assert "✗" not in done.stdout
    assert f"{url}: 0 to 10 runners on process" in done.stdout


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--url", "my-org", "it has no scheme"),
        ("--max-runners", "0", "0 is not in the range x>=1"),
        ("--backend", "podman", "is not one of"),
    ],
)
def test_a_wrong_flag_is_wrong_usage_and_nothing_is_written(init, tmp_path, flag, value, words):
    done = init(*FLAGS, flag, value)

    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "config.toml").exists()


def test_closed_input_says_which_flags_it_needs(init, tmp_path):
    done = init("--name", "linux")

    assert done.returncode == 1
    assert "there is nobody to ask: standard input is closed" in done.stderr
    assert "give --url, --name and --token" in done.stderr
    assert not (tmp_path / "config.toml").exists()


def test_an_existing_file_stays_unless_told_otherwise(init, tmp_path):
    (tmp_path / "config.toml").write_text("# mine\n")

    refused = init(*FLAGS)
    assert refused.returncode == 1
    assert "config.toml exists already, and is left as it is" in refused.stderr
    assert (tmp_path / "config.toml").read_text() == "# mine\n"

    assert init(*FLAGS, "--force", "--no-validate").returncode == 0
    assert written(tmp_path)["name"] == "linux"


def test_answers_are_asked_again_until_they_are_valid(init, tmp_path):
    answers = "orgs/my-org\nhttps://github.com/my-org\nlinux\nnone\nprocess\n\nmany\n4\n"
    done = init("--no-validate", answers=answers)

    assert done.returncode == 0, done.stderr
    assert (written(tmp_path)["url"], written(tmp_path)["backend"], written(tmp_path)["max-runners"]) == (
        "https://github.com/my-org",
        "process",
        4,
    )
    assert "it has no scheme" in done.stderr


@pytest.mark.parametrize(("sure", "token"), [("y\n", "ghp_literal"), ("n\nenv:X\n", "env:X")])
def test_a_token_itself_is_written_only_when_told_so_twice(init, tmp_path, sure, token):
    flags = ("--url", "https://github.com/my-org", "--name", "linux", "--backend", "process", "--no-validate")
    done = init(*flags, answers=f"ghp_literal\n{sure}5\n")

    assert done.returncode == 0, done.stderr
    assert written(tmp_path)["token"] == token


APP = ("--client-id", "Iv1.0a", "--private-key", "app.pem")
PLACE = ("--url", "https://github.com/my-org", "--name", "linux")


@pytest.fixture
def key(tmp_path):
    (tmp_path / "app.pem").write_text(private_key())
    return str(tmp_path / "app.pem")


@pytest.mark.parametrize("installation", [(), ("--installation-id", "7")])
def test_an_app_in_place_of_a_token_asks_nothing_and_is_found_from_another_folder(
    init, tmp_path, key, installation
):
    with SimulatedGitHub(timers=FAST) as github:
        place = ("--url", github.config_url(), "--name", "linux", "--backend", "process")
        done = init(*place, *APP, *installation, "--output", "etc/config.toml")

    assert (done.returncode, done.stderr) == (0, "")
    assert "takes the GitHub App Iv1.0a" in done.stdout
    app = tomllib.loads((tmp_path / "etc/config.toml").read_text())["app"]
    numbers = {"installation-id": 7} if installation else {}
    assert app == {"client-id": "Iv1.0a", "private-key": key, **numbers}


def test_an_app_may_be_answered_for_a_token_and_its_key_is_asked_for_until_it_is_one(init, tmp_path, key):
    (tmp_path / "other.pem").write_text(public_key())
    answers = "app\nno id\nIv1.0a\nnone.pem\nother.pem\napp.pem\n5\n"
    done = init(*PLACE, "--backend", "process", "--no-validate", answers=answers)

    assert done.returncode == 0, done.stderr
    assert "token" not in written(tmp_path)
    assert written(tmp_path)["app"] == {"client-id": "Iv1.0a", "private-key": key}
    assert "this is no App's id" in done.stderr
    assert "none.pem: the file cannot be read: No such file" in done.stderr
    assert "other.pem: it is a public key" in done.stderr


def test_a_key_that_only_the_daemon_has_is_taken(init, tmp_path):
    app = ("--client-id", "Iv1.0a", "--private-key", "env:APP_KEY")
    done = init(*PLACE, *app, "--no-validate")

    assert done.returncode == 0, done.stderr
    assert written(tmp_path)["app"]["private-key"] == "env:APP_KEY"
    assert "The key is read from the variable APP_KEY at the start." in done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((*PLACE, "--token", "env:T", *APP), "--token and --client-id exclude each other"),
        ((*PLACE, *APP[:2], "--private-key", "none.pem"), "none.pem: the file cannot be read"),
        pytest.param(
            (*PLACE, *APP[:2], "--private-key", PEM),
            "give the path of the key's file, not the key",
            marks=pytest.mark.shows_secrets("a user gives the key itself on the command line"),
        ),
        ((*PLACE, *APP[:2], "--private-key", "$KEY"), "write env:KEY"),
        ((*PLACE, "--client-id", "a b", *APP[2:]), "this is no App's id"),
        (("--url", "https://github.com/enterprises/e", "--name", "n", *APP), "for an enterprise"),
    ],
    ids=["token and app", "no file", "the key itself", "a shell's variable", "no id", "enterprise"],
)
def test_a_wrong_app_is_wrong_usage_and_nothing_is_written(init, tmp_path, key, flags, words):
    done = init(*flags)

    assert done.returncode == 2
    assert words in " ".join(done.stderr.split())
    assert BODY not in done.stderr
    assert not (tmp_path / "config.toml").exists()


def test_closed_input_after_half_an_app_says_what_it_needs(init, tmp_path):
    done = init(*PLACE, "--backend", "process", *APP[:2])

    assert done.returncode == 1
    assert "give --client-id and --private-key in place of --token" in done.stderr
    assert not (tmp_path / "config.toml").exists()


def test_on_a_terminal_it_offers_what_it_found(tmp_path, environ):
    leader, follower = pty.openpty()
    program = subprocess.Popen(
        [*RUNNER, "init", "--no-validate", "--backend", "process"],
        cwd=tmp_path,
        env=environ,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    os.write(leader, b"https://github.com/my-org\n\n\n\n")
    told = b"".join(iter_output(leader)).decode()

    assert program.wait(60) == 0, told
    assert "Token: env:NAME, file:PATH, or the token itself (app: a GitHub App) [env:RUNNER_TOKEN]" in told
    assert written(tmp_path)["token"] == "env:RUNNER_TOKEN"


def iter_output(descriptor: int) -> Iterator[bytes]:
    """What a program writes to a terminal, until it has ended."""
    try:
        while piece := os.read(descriptor, 4096):
            yield piece
    except OSError:
        return
    finally:
        os.close(descriptor)


def test_an_engine_that_answers_is_found(engine_url: str):
    assert discover({"DOCKER_HOST": engine_url}).engines[0] == engine_url


def test_contexts_that_are_none_and_sockets_that_are_dead_are_passed_over(tmp_path):
    for number, text in enumerate(["", "[]", '{"Endpoints": {"docker": {"Host": 5}}}', "[" * 100_000]):
        folder = tmp_path / ".docker/contexts/meta" / str(number)
        folder.mkdir(parents=True)
        (folder / "meta.json").write_text(text)

    found = discover({"HOME": str(tmp_path), "GH_TOKEN": "x", "DOCKER_HOST": f"unix://{tmp_path}/none"})

    assert found.token == "env:GH_TOKEN"
    assert f"unix://{tmp_path}/none" not in found.engines
