"""A secret of each kind is planted, and looked for in everything that others can see."""

from __future__ import annotations

import base64
import json
import re
import tarfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.app_keys import private_key
from support.daemon import RUNNER, all_ok, run, wait_until
from support.missing import missing
from support.secret_watch import SecretWatch, files_below, found_in

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN_TOKEN, COMMON_TOKEN, OLD_TOKEN = (f"ghp_{kind * 6}" for kind in ("s3cr3t0", "s3cr3t1", "s3cr3t2"))
LITERAL, BY_VARIABLE, BY_FILE = (f"s3cr3t-{kind}-of-the-container" for kind in ("text", "variable", "file"))
PASSWORD = "planted@s3cr3t/with@signs"
PROXY_PASSWORD, VARIABLE_PASSWORD = "s3cr3t-of-proxy", "s3cr3t-of-variable"
HEADERS = tuple(
    base64.b64encode(f"me:{one}".encode()).decode() for one in (PROXY_PASSWORD, VARIABLE_PASSWORD)
)
ALL = (OWN_TOKEN, COMMON_TOKEN, OLD_TOKEN, LITERAL, BY_VARIABLE, BY_FILE)
JIT = re.compile(rb"ey[A-Za-z0-9+/=]{40,}")
PRINTS_JIT = "sh -c 'echo printed=$ACTIONS_RUNNER_INPUT_JITCONFIG; exit 3'"
NO_TOKENS = "! env | grep ghp_s3cr3t"
HAS_VARIABLES = 'test "$A $B $C" = ' + f"'{LITERAL} {BY_VARIABLE} {BY_FILE}'"


@pytest.fixture
def watch():
    if not Path("/proc/self/environ").exists():
        missing("/proc, to look into all processes")
    return SecretWatch()


def assert_hidden(secrets: Iterable[str], *texts: bytes | str) -> None:
    seen = [text.encode() if isinstance(text, str) else text for text in texts]
    assert found_in(secrets, seen) == []
    assert [match for text in seen for match in JIT.findall(text)] == []


def settings_of(backend: dict[str, Any], secret_file: Path, **docker: Any) -> dict[str, Any]:
    env = {"A": LITERAL, "B": "env:PLANTED_VARIABLE", "C": f"file:{secret_file}"}
    if backend["backend"] == "docker":
        return {**backend, "docker": {**backend["docker"], "env": env, **docker}}
    return {**backend, "process": docker}


@pytest.mark.timeout(200)
def test_a_running_daemon_shows_none(backend, daemon, scale_set, github, watch, tmp_path):
    secret_file = tmp_path / "secret"
    secret_file.write_text(BY_FILE)
    works = scale_set("works", settings_of(backend, secret_file), token="env:PLANTED_TOKEN", max_runners=1)
    leaks = settings_of(backend, secret_file, **{"run-command": PRINTS_JIT})
    leaky = scale_set("leaky", leaks, max_runners=1)
    del leaky["token"]
    program = daemon({"log-level": "debug", "log-format": "json", "scaleset": [works, leaky]})
    program.env = {
        "PLANTED_TOKEN": OWN_TOKEN,
        "RUNNER_TOKEN": COMMON_TOKEN,
        "RUNSCALER_TOKEN": OLD_TOKEN,
        "PLANTED_VARIABLE": BY_VARIABLE,
    }
    steps = [NO_TOKENS, *([HAS_VARIABLES] if backend["backend"] == "docker" else [])]

    with watch:
        program.start()
        program.wait_for(all_ok)
        (job,) = github.wait_for_jobs(github.queue_jobs("works", steps=steps))
        github.queue_jobs("leaky")
        (kept, *_) = wait_until(lambda: list((program.state_dir / "logs").glob("*")), "kept output")
        inspected = [json.dumps(labels) for labels in program.container_labels()]
        commands = [
            program.command(*words) for words in (("status", "--json"), ("validate",), ("validate", "--json"))
        ]
        name = kept.stem.partition("-")[2]
        printed = run("logs", name, "--state-dir", str(program.state_dir), env=program.env)
        program.stop()

    assert job.result == "succeeded"
    assert b"printed=********" in kept.read_bytes()
    assert "printed=********" in printed.out
    outputs = [text for one in (*commands, printed) for text in (one.out, one.err)]
    assert_hidden(ALL, program.log, program.errors, *outputs, *inspected, *watch.words)
    assert_hidden([one for one in ALL if one != BY_FILE], *files_below(program.state_dir))


MISTAKES = f"""\
url = "https://me:{PASSWORD}@github.com/my-org"
name = "linux"
token = "{OWN_TOKEN} {OWN_TOKEN}"
proxy = "http://me:{PASSWORD}@proxy:3128"
ca = 5
[docker]
host = "tcp://me:{PASSWORD}@engine:2375"
registry-mirror = "ftp://me:{PASSWORD}@mirror"
[docker.env]
A = ["{LITERAL}"]
[docker.registry-auth."ghcr.io"]
user = "{BY_VARIABLE}"
password = 5
other = "{BY_FILE}"
"""
NOT_TOML = f'token = {OWN_TOKEN}\npassword = "{LITERAL}\n'
REFUSED = f"""\
url = "https://github.invalid/my-org"
name = "linux"
token = "{OWN_TOKEN}"
proxy = "http://me:{PROXY_PASSWORD}@127.0.0.1:1"
[docker]
pool-size = 2
host = "tcp://me:{PASSWORD}@127.0.0.1:1"
[docker.registry-auth."ghcr.io"]
user = "{BY_VARIABLE}"
password = "{BY_FILE}"
"""
APP = f"""\
url = "https://github.invalid/my-org"
name = "linux"
runner-imge = "x"
[app]
client-id = "Iv1.planted"
private-key = \"\"\"{private_key()}\"\"\"
"""
BROKEN_APP = APP.replace(private_key().splitlines()[9], "")
KEY_LINES = [line for line in private_key().splitlines() if not line.startswith("-----")]
TEXTS = {
    "mistakes": MISTAKES,
    "not-toml": NOT_TOML,
    "refused": REFUSED,
    "app": APP,
    "broken-app": BROKEN_APP,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_no_command_shows_one_in_its_errors(tmp_path, text, mode):
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(mode)
    words = ("validate", "--json"), ("validate",), ("run",), ("run", "--dry-run"), ("status",), ("drain",)

    variables = {"HTTPS_PROXY": f"http://me:{VARIABLE_PASSWORD}@127.0.0.1:1"}

    ended = [run(*one, "--log-level", "debug", "--config", str(path), env=variables) for one in words]

    proxies = (PROXY_PASSWORD, VARIABLE_PASSWORD, *HEADERS)
    secrets = (*ALL, *proxies, "planted@", "s3cr3t/", "with@signs", *KEY_LINES)
    assert_hidden(secrets, *(text for one in ended for text in (one.out, one.err)))
    assert all(one.code for one in ended), RUNNER


AWAY = f"""\
url = "https://github.invalid/my-org"
name = "linux"
token = "{OWN_TOKEN}"
backend = "process"
"""


@pytest.mark.parametrize(
    "key", [f'proxy = "http://me:{PROXY_PASSWORD}@127.0.0.1:1"\n', ""], ids=["key", "variable"]
)
def test_the_password_of_a_proxy_is_shown_nowhere(daemon, tmp_path, watch, key):
    """Neither in what a daemon that cannot reach it says, nor in a report, nor to another process."""
    program = daemon(tomllib.loads(AWAY + key), "behind-a-proxy")
    program.env = {} if key else {"HTTPS_PROXY": f"http://me:{VARIABLE_PASSWORD}@127.0.0.1:1"}
    archive = tmp_path / "report.tar.gz"

    with watch:
        program.start()
        health = program.wait_for(lambda found: found["scale_sets"][0]["state"] == "degraded")
        told = [
            program.command(*words)
            for words in (
                ("status", "--json"),
                ("why",),
                ("validate", "--json"),
                ("report", "-o", str(archive)),
            )
        ]
        program.stop()

    assert "the proxy 127.0.0.1:1 does not work" in health["scale_sets"][0]["reason"]
    with tarfile.open(archive) as packed:
        parts = [packed.extractfile(one).read() for one in packed.getmembers() if one.isfile()]
    outputs = [
        program.log,
        program.errors,
        json.dumps(health),
        *(text for one in told for text in (one.out, one.err)),
    ]
    variables = watch.variables if key else ()  # the operator gave it to the daemon and the commands there
    secrets = (PROXY_PASSWORD, VARIABLE_PASSWORD, *HEADERS)
    assert_hidden(secrets, *outputs, *parts, *watch.words, *files_below(program.state_dir))
    assert found_in(secrets, variables) == []


def test_every_daemon_of_these_tests_is_looked_at_for_its_secrets(daemon, scale_set):
    """`Daemon.close` does that; here it would find what is put into a log."""
    program = daemon({"scaleset": [scale_set("linux", token=OWN_TOKEN)]})
    program.env = {"PLANTED_TOKEN": COMMON_TOKEN}
    program.start()
    program.wait_for(lambda health: True)
    program.stop()
    assert program.shown_secrets() == []

    with (program.folder / "run-1.out").open("a") as log:
        log.write(f"{OWN_TOKEN} {COMMON_TOKEN} {'ey' + 'Ab3/' * 100}")
    shown = program.shown_secrets()
    assert len([one for one in shown if one.startswith(OWN_TOKEN[:8])]) == 2
    assert len([one for one in shown if one.startswith(("a planted secret", "a JIT configuration"))]) == 2
    (program.folder / "run-1.out").unlink()
