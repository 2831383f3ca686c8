from __future__ import annotations

import click
import pytest

from runscaler.cli.options import ConfigCommand
from runscaler.config.flags import flags


@pytest.fixture
def parsed():
    """`parsed("--dind", "--labels", "a,b")` returns the values of the given flags."""

    @click.command(cls=ConfigCommand)
    @click.option("--config")
    @click.pass_context
    def command(ctx, /, **given):
        return {name: value for name, value in given.items() if value not in (None, ())}

    return lambda *words: command.main(list(words), "runner", standalone_mode=False)


def test_every_flag_of_the_configuration_is_an_option(runner):
    page = runner("run", "--help").out

    assert all(f"--{flag.name}" in page for flag in flags())


def test_a_flag_that_is_not_given_has_no_value(parsed):
    assert parsed() == {}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--dind"], "true"),
        (["--no-dind"], "false"),
        (["--dind=true"], "true"),
        (["--dind=false"], "false"),
        (["--dind=sidecar"], "sidecar"),
        (["--dind", "--no-dind"], "false"),
        (["--no-dind", "--dind"], "true"),
    ],
)
def test_a_boolean_flag_has_three_spellings_and_the_last_one_wins(parsed, words, value):
    assert parsed(*words) == {"dind": value}


def test_a_boolean_flag_does_not_take_the_next_flag_as_its_value(parsed):
    assert parsed("--dry-run", "--name", "x") == {"dry_run": "true", "name": "x"}


def test_labels_can_be_repeated(parsed):
    assert parsed("--labels", "a,b", "--labels=c") == {"labels": ("a,b", "c")}


def test_an_invalid_choice_is_wrong_usage_with_the_valid_ones(runner):
    ended = runner("run", "--log-level", "loud")

    assert ended.code == 2
    assert "'debug', 'info', 'warn', 'error'" in ended.err


@pytest.mark.parametrize("words", [["--max-runners", "many"], ["--drain-timeout", "soon"]])
def test_an_invalid_value_of_a_flag_is_wrong_usage_with_the_flag(runner, words):
    ended = runner("run", "--url", "https://github.com/o", "--name", "n", "--token", "t" * 20, *words)

    assert ended.code == 2
    assert words[0] in ended.err
    assert "Traceback" not in ended.err


def test_defaults_are_shown_as_a_user_writes_them(runner):
    page = " ".join(runner("run", "--help").out.split())

    assert "[default: 30s]" in page
    assert "[default: 8080]" in page
    assert "PydanticUndefined" not in page


def test_the_help_shows_both_spellings_of_a_boolean_flag(runner):
    page = runner("run", "--help").out

    assert "--dind[=true|false|sidecar], --no-dind" in page
    assert "--dry-run, --no-dry-run" in page
