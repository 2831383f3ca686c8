"""Files written for the Go tool keep working (docs/behaviour.md § 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Lines, Load

WRITTEN_BY_INIT = """\
url = "https://github.com/my-org"
name = "linux"
token = "ghp_x"
max-runners = 5
min-runners = 0
labels = []
runner-group = ""
runner-image = ""

[docker]
socket = "/var/run/docker.sock"
dind = true
shared-volume = ""
log-level = "debug"
log-format = "json"
health-port = 9000
dry-run = true
"""


def test_global_keys_that_init_wrote_into_a_table_are_ignored_with_a_warning(
    load: Load, warning_lines: Lines
) -> None:
    config = load(WRITTEN_BY_INIT, environ={})

    assert (config.log_level, config.log_format, config.health_port, config.dry_run) == (
        "info",
        "text",
        8080,
        False,
    )
    assert warning_lines(WRITTEN_BY_INIT, environ={}) == [
        f"config.toml:{line}: {key} is ignored here: it belongs at the top of the file"
        for line, key in enumerate(("log-level", "log-format", "health-port", "dry-run"), 14)
    ]


def test_in_tart_and_in_a_scale_set_they_are_ignored_too(warning_lines: Lines) -> None:
    text = '[tart]\nlog-level = "x"\n[[scaleset]]\nurl = "https://github.com/o"\nname = "n"\ndry-run = true\n'

    assert [line.split(": ")[0] for line in warning_lines(text)] == ["config.toml:2", "config.toml:6"]


def test_in_other_tables_they_are_errors(error_lines: Lines) -> None:
    (line,) = error_lines('url = "https://github.com/o"\nname = "n"\n[process]\nlog-level = "x"\n')

    assert "belongs at the top of the file" in line


def test_identity_keys_at_the_top_are_ignored_if_there_are_scale_sets(
    load: Load, warning_lines: Lines
) -> None:
    text = """\
url = "https://github.com/top"
name = "top"
token = "top"
labels = ["top"]
min-runners = 3
max-runners = 4

[[scaleset]]
url = "https://github.com/o"
name = "n"
token = "own"
"""

    (settings,) = load(text, environ={}).scale_sets

    assert (settings.url, settings.name, settings.labels, settings.min_runners) == (
        "https://github.com/o",
        "n",
        ("n",),
        0,
    )
    assert settings.max_runners == 4
    assert [line.split(" at the top")[0] for line in warning_lines(text, environ={})] == [
        f"config.toml:{line}: {key} is ignored"
        for line, key in enumerate(("url", "name", "token", "labels", "min-runners"), 1)
    ]


def test_keys_in_another_case_are_accepted_with_a_warning(load: Load, warning_lines: Lines) -> None:
    text = 'URL = "https://github.com/o"\nName = "n"\n[Docker]\nShared-Volume = "/s"\n'

    assert load(text).scale_sets[0].docker.shared_volume == "/s"
    assert warning_lines(text) == [
        "config.toml:1: URL is read as url",
        "config.toml:2: Name is read as name",
        "config.toml:3: Docker is read as docker",
        "config.toml:4: Shared-Volume is read as shared-volume",
    ]


def test_the_same_key_in_two_cases_is_an_error(error_lines: Lines) -> None:
    text = 'url = "https://github.com/o"\nname = "n"\nMax-Runners = 1\nmax-runners = 2\n'

    assert error_lines(text) == ["config.toml:4: max-runners is set twice, with different capitalisation"]


def test_numbers_and_booleans_as_strings_are_accepted_with_a_warning(
    load: Load, warning_lines: Lines
) -> None:
    text = """\
url = "https://github.com/o"
name = "n"
max-runners = "7"
dry-run = "True"
health-port = "0"
drain-timeout = "45"
[docker]
dind = "false"
cpu = "1.5"
memory = "1024"
"""

    config = load(text)

    (settings,) = config.scale_sets
    assert (settings.max_runners, config.dry_run, config.health_port, config.drain_timeout) == (
        7,
        True,
        0,
        45,
    )
    assert (settings.docker.dind, settings.docker.cpu, settings.docker.memory) == (False, 1.5, 1024)
    assert warning_lines(text)[0] == 'config.toml:3: max-runners: the string "7" is read as 7'
    assert len(warning_lines(text)) == 7


def test_labels_as_one_string_are_accepted_with_a_warning(load: Load, warning_lines: Lines) -> None:
    text = 'url = "https://github.com/o"\nname = "n"\nlabels = "n, gpu,"\n'

    assert load(text).scale_sets[0].labels == ("n", "gpu")
    assert warning_lines(text) == ['config.toml:3: labels: the string "n, gpu," is read as ["n", "gpu"]']


def test_a_single_scaleset_table_is_one_scale_set(load: Load, warning_lines: Lines) -> None:
    own = 'url = "https://github.com/o"\nname = "n"\n[scaleset.docker]\nmemory = 5\n'
    text = f"max-runners = 2\n[scaleset]\n{own}"

    (settings,) = load(text).scale_sets

    assert (settings.max_runners, settings.docker.memory) == (2, 5)
    assert warning_lines(text) == ["config.toml:2: [scaleset] is read as one scale set"]


def test_scaleset_in_another_case_is_accepted(load: Load) -> None:
    text = '[[ScaleSet]]\nurl = "https://github.com/o"\nname = "n"\n'

    assert load(text).scale_sets[0].name == "n"


def test_flat_keys_of_the_first_versions_give_the_new_place(error_lines: Lines) -> None:
    text = """\
url = "https://github.com/o"
name = "n"
docker-socket = "/s"
dind = true
shared-volume = "/x"
tart-cpu = 2
[tart]
image = "x"
"""

    old = "is a key of an early version; it is now"
    assert error_lines(text) == [
        f"config.toml:3: key docker-socket {old} socket in [docker]",
        f"config.toml:4: key dind {old} dind in [docker]",
        f"config.toml:5: key shared-volume {old} shared-volume in [docker]",
        f"config.toml:6: key tart-cpu {old} cpu in [tart]",
        f"config.toml:8: key [tart] image {old} runner-image at the top or in a scale set",
    ]
