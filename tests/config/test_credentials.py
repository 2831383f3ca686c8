"""Tokens and other secrets (docs/behaviour.md § 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.app_keys import private_key

from runscaler.config.load import load_config
from runscaler.config.secret_variables import child_environment
from runscaler.config.secrets import Secret
from runscaler.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lines, Load

    from runscaler.config.model import Config

SINGLE = 'url = "https://github.com/my-org"\nname = "linux"\n'
MULTI = """\
[[scaleset]]
url = "https://github.com/one"
name = "a"
token = "env:ONE"

[[scaleset]]
url = "https://github.com/two"
name = "b"
"""


def tokens(config: Config) -> list[str]:
    return [settings.token.reveal() if settings.token else "" for settings in config.scale_sets]


def test_the_flag_overrides_the_variable_with_a_warning(load: Load) -> None:
    config = load(f'{SINGLE}token = "own"', flags={"token": "flag"}, environ={"RUNNER_TOKEN": "variable"})

    assert tokens(config) == ["flag"]
    assert config.warnings[1].message == "using the token of --token, not that of RUNNER_TOKEN"


def test_the_variable_overrides_the_file_with_a_warning(load: Load, tmp_path: Path) -> None:
    config = load(f'{SINGLE}token = "own"', environ={"RUNNER_TOKEN": "variable"})

    assert tokens(config) == ["variable"]
    assert config.warnings[0].message.endswith("config.toml:3")


def test_equal_sources_cause_no_warning(load: Load) -> None:
    for own in ("same", "env:RUNNER_TOKEN", "env:UNSET"):
        assert load(f'{SINGLE}token = "{own}"', environ={"RUNNER_TOKEN": "same"}).warnings == ()


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("env:", "env: names no variable"),
        ("file:", "file: names no file"),
        ("$MINE", "$MINE is not a reference: write env:MINE"),
        ("${MINE}", "${MINE} is not a reference: write env:MINE"),
        ("ENV:MINE", "ENV:MINE is not a reference: write env:MINE"),
        ("env: MINE", "env: MINE is not a reference: write env:MINE"),
        ("File:/run/token", "File:/run/token is not a reference: write file:/run/token"),
        ("env:EMPTY", "env:EMPTY: the variable EMPTY is empty"),
        ("env:BLANK", "env:BLANK: the variable BLANK is empty"),
        ("env:ghp_abcdef", "env:********: the variable ******** is not set"),
        ("file:ghp_abcdef", "file:********: the file cannot be read: No such file or directory"),
        ("ENV: ghp_abcdef", "it is not a reference: write env:********"),
        ("file:~nobody-here/x", "file:~nobody-here/x: the home directory of ~nobody-here is unknown"),
        ("file:a\\u0000b", "file:a\0b: it contains a NUL character"),
    ],
)
def test_a_reference_that_cannot_be_resolved_says_why(error_lines: Lines, token: str, why: str) -> None:
    lines = error_lines(f'{SINGLE}token = "{token}"\n', environ={"EMPTY": "", "BLANK": " \n"})

    assert lines == [f"config.toml:3: token = {why}"]


def test_an_empty_runner_token_is_told_from_an_unset_one(error_lines: Lines) -> None:
    assert error_lines(SINGLE, environ={"RUNNER_TOKEN": " "}) == [
        "config.toml: the scale set linux has no token, and RUNNER_TOKEN is empty"
    ]


def test_a_token_file_may_have_a_byte_order_mark_and_blank_lines(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"\xef\xbb\xbf\n\nghp_x\r\n\n")

    assert tokens(load(f'{SINGLE}token = "file:token"', environ={})) == ["ghp_x"]


def test_an_unset_variable_can_be_a_warning_but_an_empty_one_cannot(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{SINGLE}token = "env:MINE"\n[docker]\nenv = {{ A = "env:OTHER" }}\n')

    config = load_config(path, environ={}, unset_is_error=False)
    with pytest.raises(ConfigError, match="the variable MINE is empty"):
        load_config(path, environ={"MINE": ""}, unset_is_error=False)

    assert [one.message.partition(": ")[2] for one in config.warnings] == [
        "token = env:MINE: the variable MINE is not set",
        "docker.env.A = env:OTHER: the variable OTHER is not set",
    ]


def test_variables_of_the_container_may_be_references(load: Load, tmp_path: Path) -> None:
    (tmp_path / "npm").write_text("from-file\n")
    text = f'{SINGLE}[docker.env]\nA = "env:MINE"\nB = "file:npm"\nC = " as written "\nD = ""\n'

    env = load(text, environ={"RUNNER_TOKEN": "x", "MINE": "mine"}).scale_sets[0].docker.env

    revealed = {name: value.reveal() for name, value in env.items()}
    assert revealed == {"A": "mine", "B": "from-file", "C": " as written ", "D": ""}


@pytest.mark.parametrize("name", ["", "A=B", "A\\u0000"])
def test_a_variable_of_the_container_must_have_a_name(error_lines: Lines, name: str) -> None:
    (line,) = error_lines(f'{SINGLE}[docker.env]\n"{name}" = "hunter2"\n', environ={"RUNNER_TOKEN": "x"})

    assert "it is not the name of a variable" in line
    assert "hunter2" not in line


def test_a_token_on_the_command_line_is_warned_about(load: Load) -> None:
    plain = load(SINGLE, flags={"token": "ghp_secret"}, environ={})
    reference = load(SINGLE, flags={"token": "env:MINE"}, environ={"MINE": "x"})

    assert [one.message for one in plain.warnings] == [
        "--token: every user of this host can read the token in the list of processes"
    ]
    assert reference.warnings == ()


def test_variables_that_held_tokens_are_kept_from_children(load: Load) -> None:
    text = f'{SINGLE}token = "env:OF_CHILD_TEST"\n[docker.env]\nA = "env:HOME"\n'
    environ = {"OF_CHILD_TEST": "x", "HOME": "/h", "RUNSCALER_TOKEN": "y", "RUNNER_TOKEN": "", "PATH": "/bin"}
    environ["CREDENTIALS_DIRECTORY"] = "/run/credentials/runner.service"

    load(text, environ=environ)

    assert child_environment(environ) == {"HOME": "/h", "PATH": "/bin"}


def test_a_value_may_name_a_variable_or_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")

    assert tokens(load(f'{SINGLE}token = "env:MINE"', environ={"MINE": "from-variable\n"})) == [
        "from-variable"
    ]
    assert tokens(load(f'{SINGLE}token = "file:{tmp_path}/token"', environ={})) == ["from-file"]
    assert tokens(load(f'{SINGLE}token = "file:token"', environ={})) == ["from-file"]


def test_a_token_from_a_file_knows_its_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")

    (own,) = load(f'{SINGLE}token = "file:token"', environ={}).scale_sets
    (given,) = load(f'{SINGLE}token = "plain"', environ={}).scale_sets

    assert own.token == Secret("from-file")
    assert own.token.file == tmp_path / "token"
    assert given.token.file is None


def test_an_unset_variable_is_an_error_only_where_it_would_be_used(load: Load, error_lines: Lines) -> None:
    text = f'{SINGLE}token = "env:NOPE"'

    assert error_lines(text, environ={}) == ["config.toml:3: token = env:NOPE: the variable NOPE is not set"]
    assert tokens(load(text, environ={"RUNNER_TOKEN": "x"})) == ["x"]


def test_a_missing_or_empty_file_is_an_error(error_lines: Lines, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")

    assert "cannot be read: No such file" in error_lines(f'{SINGLE}token = "file:none"', environ={})[0]
    assert "the file is empty" in error_lines(f'{SINGLE}token = "file:empty"', environ={})[0]


def test_a_missing_token_is_an_error_with_fixes(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load(SINGLE, environ={})

    (finding,) = caught.value.findings
    assert "the scale set linux has no token, and RUNNER_TOKEN is not set" in finding.message
    assert finding.fixes[0] == "set the variable RUNNER_TOKEN"


def test_the_deprecated_variable_is_used_if_there_is_nothing_else(load: Load) -> None:
    old = {"RUNSCALER_TOKEN": "old"}

    alone = load(SINGLE, environ=old)

    assert tokens(alone) == ["old"]
    assert alone.warnings[0].message.startswith("RUNSCALER_TOKEN: this variable is deprecated")
    assert tokens(load(f'{SINGLE}token = "own"', environ=old)) == ["own"]
    assert tokens(load(SINGLE, environ={**old, "RUNNER_TOKEN": "new"})) == ["new"]


def test_with_several_sets_own_tokens_win_and_the_others_use_the_variable(load: Load) -> None:
    config = load(MULTI, environ={"ONE": "first", "RUNNER_TOKEN": "variable"})

    assert tokens(config) == ["first", "variable"]
    assert config.warnings[0].message == "RUNNER_TOKEN is used for b; scale sets with their own token: a"


def test_with_several_sets_an_own_unset_token_is_never_replaced(error_lines: Lines) -> None:
    lines = error_lines(MULTI, environ={"RUNNER_TOKEN": "variable"})

    assert lines == ["config.toml:4: token = env:ONE: the variable ONE is not set"]


def test_with_several_sets_each_without_a_token_is_named(error_lines: Lines) -> None:
    assert error_lines(MULTI, environ={"ONE": "x"}) == [
        "config.toml:6: the scale set b has no token, and RUNNER_TOKEN is not set"
    ]


@pytest.mark.parametrize(
    ("flag", "value"), [("token", "x"), ("url", "x"), ("name", "x"), ("labels", "x"), ("min-runners", "1")]
)
def test_an_identity_flag_beside_scale_sets_is_wrong_usage(load: Load, flag: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(MULTI, flags={flag: value}, environ={"RUNNER_TOKEN": "x", "ONE": "y"})

    assert str(caught.value).startswith(f"--{flag}: cannot be used with [[scaleset]] in the configuration")


def test_a_token_that_others_can_read_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{SINGLE}token = "ghp_secret"\n')
    path.chmod(0o640)

    (warning,) = load_config(path, environ={}).warnings

    assert "the token is written here in plain text, and other users can read this file" in warning.message
    assert "ghp_secret" not in warning.message
    path.chmod(0o600)
    assert load_config(path, environ={}).warnings == ()


def test_variables_of_the_container_that_others_can_read_are_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{SINGLE}[docker.env]\nNPM_TOKEN = "hunter2"\n')
    path.chmod(0o644)

    (warning,) = load_config(path, environ={"RUNNER_TOKEN": "x"}).warnings

    assert "the NPM_TOKEN of [docker.env] is written here in plain text" in warning.message
    assert "hunter2" not in str(warning)


def test_a_reference_that_others_can_read_is_not_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'{SINGLE}token = "env:MINE"\n')
    path.chmod(0o644)

    assert load_config(path, environ={"MINE": "x"}).warnings == ()


def test_an_invalid_token_is_reported_without_showing_it(error_lines: Lines) -> None:
    (line,) = error_lines(f'{SINGLE}token = "ghp hunter2"', environ={})

    assert (
        line == "config.toml:3: the token contains spaces, line breaks or other characters that no token has"
    )


def test_a_token_of_a_wrong_type_is_masked(error_lines: Lines) -> None:
    (line,) = error_lines(f'{SINGLE}token = ["hunter2"]', environ={})

    assert line == "config.toml:3: token: ******** is not valid: expected a token, env:NAME or file:PATH"


def test_token_and_app_exclude_each_other(error_lines: Lines) -> None:
    app = f'[app]\nclient-id = "x"\nprivate-key = """{private_key()}"""\n'

    assert error_lines(f'{SINGLE}token = "x"\n{app}', environ={}) == [
        "config.toml:3: both token and [app] are set: use only one of them"
    ]


def test_the_flag_replaces_the_app_and_the_variable_does_not(load: Load) -> None:
    app = '[app]\nclient-id = "x"\ninstallation-id = 1\nprivate-key = "env:UNSET"\n'

    by_flag = load(f"{SINGLE}{app}", flags={"token": "env:FLAG"}, environ={"FLAG": "flag"})
    by_app = load(f"{SINGLE}{app}", environ={"RUNNER_TOKEN": "x", "UNSET": private_key()})

    assert (tokens(by_flag), by_flag.scale_sets[0].app) == (["flag"], None)
    assert by_flag.warnings[0].message == "using --token, not the GitHub App of [app]"
    assert tokens(by_app) == [""]
    assert by_app.warnings[0].message == "using the GitHub App of [app], not RUNNER_TOKEN"


def test_registry_credentials_are_resolved_where_the_backend_uses_them(load: Load) -> None:
    text = f'{SINGLE}[docker.registry-auth."ghcr.io"]\nuser = "env:WHO"\npassword = "env:PASS"\n'

    docker = load(text, environ={"RUNNER_TOKEN": "x", "WHO": "me", "PASS": "word"}).scale_sets[0].docker
    credential = docker.registry_auth["ghcr.io"]

    assert (credential.user, credential.password) == (Secret("me"), Secret("word"))
    load(f'backend = "process"\n{text}', environ={"RUNNER_TOKEN": "x"})


def test_no_message_contains_a_secret(load: Load) -> None:
    text = f"""\
{SINGLE}token = "hunter2 hunter2"
proxy = "ftp://me:hunter2@hunter2/hunter2@proxy"
[docker]
host = "http://me:hunter2/hunter2@engine:2375"
[docker.env]
A = ["hunter2"]
[docker.registry-auth."ghcr.io"]
user = "me"
password = 5
tokn = "hunter2"
"""
    with pytest.raises(ConfigError) as caught:
        load(text, environ={})

    assert len(caught.value.findings) == 6
    assert "hunter2" not in str(caught.value) + repr(caught.value.findings)


@pytest.mark.parametrize("variable", ["$CREDENTIALS_DIRECTORY", "${CREDENTIALS_DIRECTORY}"])
def test_a_file_may_lie_in_systemd_s_folder_of_credentials(load: Load, tmp_path: Path, variable: str) -> None:
    (tmp_path / "handed over").mkdir()
    (tmp_path / "handed over/github").write_text("ghp_of_systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "handed over")}

    config = load(f'{SINGLE}token = "file:{variable}/github"\n', environ=environ)

    assert tokens(config) == ["ghp_of_systemd"]
    assert config.scale_sets[0].token is not None
    assert config.scale_sets[0].token.file == tmp_path / "handed over/github"


def test_outside_of_systemd_there_is_no_folder_of_credentials(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f'{SINGLE}token = "file:$CREDENTIALS_DIRECTORY/github"\n', environ={})

    (finding,) = caught.value.findings
    assert "token = file:$CREDENTIALS_DIRECTORY/github: CREDENTIALS_DIRECTORY is not set" in finding.message
    assert "LoadCredential" in finding.fixes[0]


def test_no_other_variable_is_replaced_in_a_path(error_lines: Lines) -> None:
    (line,) = error_lines(f'{SINGLE}token = "file:$HOME/token"\n', environ={"HOME": "/root"})

    assert "file:$HOME/token: the file cannot be read" in line
