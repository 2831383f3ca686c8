from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from runscaler.config.masked import masked_globals, masked_settings

if TYPE_CHECKING:
    from conftest import Load

STRING = """\
url = "https://github.com/o"
name = "n"
token = "hunter2"
idle-timeout = "90s"
proxy = "http://me:hunter2@proxy:3128"
schedule = [{ cron = "0 8 * * *", duration = "10h", min-runners = 2 }]
[docker]
shared-volume = "/s"
[docker.env]
My_Var = "x"
[docker.registry-auth."ghcr.io"]
user = "me"
password = "hunter2"
"""


def test_settings_are_shown_with_the_keys_of_the_configuration(load: Load) -> None:
    (settings,) = load(STRING, environ={}).scale_sets

    plain = masked_settings(settings)

    assert (plain["idle-timeout"], plain["max-runners"], plain["labels"]) == ("1m30s", 10, ["n"])
    docker = plain["docker"]
    assert isinstance(docker, dict)
    assert (docker["shared-volume"], docker["env"], docker["dind"]) == ("/s", {"My_Var": "x"}, True)
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
