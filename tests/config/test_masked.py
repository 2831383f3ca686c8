from __future__ import annotations

import base64
import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from runscaler.config.masked import masked_globals, masked_settings, secrets_of
from runscaler.config.problems import mask_user_info

if TYPE_CHECKING:
    from conftest import Load

HEADER = base64.b64encode(b"me:hunter2@hunter2/hunter2").decode()
STRING = """\
url = "https://github.com/o"
name = "n"
token = "hunter2"
idle-timeout = "90s"
proxy = "http://me:hunter2%40hunter2%2Fhunter2@proxy:3128"
schedule = [{ cron = "0 8 * * *", duration = "10h", min-runners = 2 }]
[docker]
host = "tcp://me:hunter2/hunter2@engine:2375"
shared-volume = "/s"
[docker.env]
My_Var = "a hunter2 in it"
[docker.registry-auth."ghcr.io"]
user = "me-and-hunter2"
password = "hunter2"
"""


def test_settings_are_shown_with_the_keys_of_the_configuration(load: Load) -> None:
    (settings,) = load(STRING, environ={}).scale_sets

    plain = masked_settings(settings)

    assert (plain["idle-timeout"], plain["max-runners"], plain["labels"]) == ("1m30s", 10, ["n"])
    docker = plain["docker"]
    assert isinstance(docker, dict)
    assert (docker["shared-volume"], docker["env"], docker["dind"]) == ("/s", {"My_Var": "********"}, True)
    assert plain["schedule"] == [
        {"cron": "0 8 * * *", "duration": "10h", "timezone": "UTC", "min-runners": 2}
    ]
    assert "tart" not in plain


def test_no_secret_gets_through(load: Load) -> None:
    (settings,) = load(STRING, environ={}).scale_sets

    text = json.dumps(masked_settings(settings))

    assert "hunter2" not in text
    assert '"token": "********"' in text
    assert '"http://********@proxy:3128"' in text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://me:p@ss/w@h:1/x", "http://********@h:1/x"),
        ("http://me:p ss@h", "http://********@h"),
        ("me:p/ss@h", "********@h"),
        ("me:p@ss@h", "********@h"),
        ("me:@h", "********@h"),
        (":pass@h", "********@h"),
        ("token@h/o", "********@h/o"),
        ("ghcr.io:443/a/b@sha256:0123", "ghcr.io:443/a/b@sha256:0123"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("/srv/a@b/c", "/srv/a@b/c"),
        ("@daily", "@daily"),
        ("runner@sha256:0123", "runner@sha256:0123"),
        ("runner:2.3@sha256:0123", "runner:2.3@sha256:0123"),
    ],
)
def test_a_password_in_a_url_is_masked_whole(text: str, masked: str) -> None:
    assert mask_user_info(text) == masked


def test_the_secrets_to_mask_in_a_log_are_all_but_the_words_of_the_container(load: Load) -> None:
    text = STRING + '[docker.registry-auth.other]\nuser = "name"\npassword = "word of other"\n'
    config = load(
        text.replace("[docker.env]", '[docker.env]\nRef = "env:REF"'), environ={"REF": "secret-ref"}
    )

    revealed = {secret.reveal() for secret in secrets_of(config)}

    proxy = {"hunter2%40hunter2%2Fhunter2", "hunter2@hunter2/hunter2", HEADER}
    assert revealed == {"hunter2", "word of other", "secret-ref"} | proxy


def test_shown_settings_can_be_loaded_again(load: Load) -> None:
    (settings,) = load(STRING, environ={}).scale_sets
    plain = masked_settings(settings)
    lines = [
        f"{key} = {json.dumps(value)}" for key, value in plain.items() if not isinstance(value, dict | list)
    ]

    again = load("\n".join(lines), environ={}).scale_sets[0]

    assert tomllib.loads("\n".join(lines))
    assert (again.idle_timeout, again.max_runners) == (settings.idle_timeout, settings.max_runners)


def test_the_global_keys_are_shown_too(load: Load) -> None:
    plain = masked_globals(load(f"health-port = 0\n{STRING}", environ={}))

    assert (plain["health-port"], plain["drain-timeout"]) == (0, "30s")
    assert plain["host"] == {"max-runners": 0, "min-free-memory": 0, "min-free-disk": 0, "max-load": 0.0}
