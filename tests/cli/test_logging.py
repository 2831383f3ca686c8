from __future__ import annotations

import errno
import io
import json
import logging

import pytest
from loguru import logger

from runscaler.cli.logging import configure
from runscaler.cli.run import start_log
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.secrets import Secret


@pytest.fixture(autouse=True)
def restored():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logger.remove()
    logger.disable("runscaler")
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


@pytest.fixture
def log():
    """`log("info", "json")` configures; the text so far is `.getvalue()` of what it returns."""

    def start(
        level: str = "info", form: str = "text", secrets=(), stream=None, shared_names=()
    ) -> io.StringIO:
        out = stream or io.StringIO()
        configure(level, form, secrets=secrets, shared_names=shared_names, stream=out)
        return out

    return start


def test_a_text_line_has_time_level_message_and_fields(log):
    out = log()

    logger.bind(scale_set="linux", slot=3, runner="a b").info("started")

    time, clock, *rest = out.getvalue().split(" ", 2)
    assert len(time) == 10
    assert len(clock) == 12
    assert rest == ['INFO  started scale_set=linux slot=3 runner="a b"\n']


def test_a_json_line_is_one_object_with_message_and_fields(log):
    out = log(form="json")

    logger.bind(scale_set="linux", slot=3).warning("slow\nengine")

    (line,) = out.getvalue().splitlines()
    values = json.loads(line)
    assert values.pop("time").startswith("2")
    assert values == {"level": "WARN", "msg": "slow\nengine", "scale_set": "linux", "slot": 3}


def test_an_event_s_fields_are_in_json_and_only_its_place_in_text(log):
    event = {"event": "job_started", "scale_set": "linux", "slot": 3, "runner": "runner-1", "job": "build"}

    text = log()
    logger.bind(**event).info("runner-1 began job build")
    as_json = log(form="json")
    logger.bind(**event).info("runner-1 began job build")

    assert text.getvalue().endswith("INFO  runner-1 began job build scale_set=linux slot=3\n")
    values = json.loads(as_json.getvalue())
    assert {key: values[key] for key in event} == event


@pytest.mark.parametrize("event", [{}, {"event": "job_started", "job": "build"}])
def test_a_text_line_tells_the_url_only_where_two_scale_sets_share_the_name(log, event):
    out = log(shared_names={"linux"})

    for name, group in (("linux", "ci"), ("linux", "default"), ("gpu", "ci")):
        place = {"scale_set": name, "url": "https://github.com/my-org", "runner_group": group}
        logger.bind(**event, **place).info("said")

    told = [line.split("said ")[1] for line in out.getvalue().splitlines()]
    assert told == [
        "scale_set=linux url=https://github.com/my-org runner_group=ci",
        "scale_set=linux url=https://github.com/my-org",
        "scale_set=gpu",
    ]


def test_messages_below_the_level_are_not_logged(log):
    out = log("warn")

    logger.info("steady state")

    assert out.getvalue() == ""


def test_a_continuation_line_cannot_look_like_a_record(log):
    out = log()

    logger.info("job {} ran", "x\n2026-01-01 00:00:00.000 ERROR forged\x1b[2J")

    _first, second = out.getvalue().splitlines()
    assert second.startswith("    2026")
    assert "\x1b" not in out.getvalue()


def test_known_secrets_and_anything_like_a_token_are_masked(log):
    out = log(secrets=[Secret("hunter2-hunter2")])

    logger.info("token hunter2-hunter2 and ghp_0123456789abcdef0123 and Bearer abc.def")
    logger.bind(token=Secret("x" * 20)).info("bound")

    text = out.getvalue()
    assert "hunter2" not in text
    assert "ghp_" not in text
    assert "abc.def" not in text
    assert "xxxx" not in text


def test_a_traceback_is_logged_only_at_debug_and_shows_no_values(log):
    for level, seen in (("info", False), ("debug", True)):
        out = log(level)

        _crash("s3cr3t-value")

        text = out.getvalue()
        assert ("Traceback" in text) is seen
        assert "ZeroDivisionError: division by zero" in text
        assert "s3cr3t" not in text


def _crash(secret: str) -> None:
    try:
        _ = len(secret) / 0
    except ZeroDivisionError:
        logger.exception("it broke")


def test_a_message_with_braces_is_logged_unchanged(log):
    out = log()

    logger.info('{"a": 1} <red>')

    assert '{"a": 1} <red>' in out.getvalue()


def test_libraries_log_through_the_standard_logging_from_warning_on(log):
    out = log()

    logging.getLogger("docker.api").info("chatter")
    logging.getLogger("docker.api").warning("low %s", "disk")

    assert "chatter" not in out.getvalue()
    assert "WARN  low disk library=docker" in out.getvalue()


def test_pykka_logs_nothing_as_the_parent_actor_reports_crashes(log):
    out = log()

    logging.getLogger("pykka").error("Unhandled exception in Runner")

    assert out.getvalue() == ""


class FullDisk(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_line_that_cannot_be_written_appears_nowhere_else(log, capsys):
    log(secrets=[Secret("long-enough-secret")], stream=FullDisk())

    logger.info("the token is long-enough-secret")

    assert capsys.readouterr().err == ""


def test_colour_is_only_for_terminals(log):
    out = log()

    logger.error("bad")

    assert "\033[" not in out.getvalue()


def test_a_secret_of_the_configuration_before_a_reload_stays_masked(capsys):
    hidden: dict[Secret, None] = {}
    for token in ("the-old-one", "the-new-one"):
        settings = ScaleSetSettings(url="https://github.com/o", name="n", token=Secret(token))
        start_log(Config(scale_sets=(settings,)), hidden)

    logger.info("the-old-one, the-new-one")

    assert capsys.readouterr().out.endswith("********, ********\n")


def test_the_newer_form_of_an_installation_s_token_is_masked_as_a_whole(log):
    out = log()

    logger.info("refused: ghs_1234567_eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjE3MDB9.c2lnbmF0dXJl")

    assert out.getvalue().endswith("refused: ********\n")
