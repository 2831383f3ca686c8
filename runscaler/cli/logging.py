"""The log of the command line program, through loguru. Not used when runscaler is embedded.

Text is for people and journals; JSON (`time`, `level`, `msg` and the bound fields) is for log collectors.
Secrets are masked, tracebacks show no variable values, and names from GitHub cannot forge a log line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from loguru import logger

from runscaler.cli.console import in_colour
from runscaler.config.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from loguru import Message, Record

LEVELS = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR"}
SHORT = {"WARNING": "WARN", "CRITICAL": "ERROR"}
COLOURS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31;1"}
LIBRARY_LEVELS = {"pykka": logging.CRITICAL, "waitress": logging.ERROR, "urllib3": logging.ERROR}
"""Libraries whose messages only repeat our own: actor crashes, retried connections."""
TOKEN = re.compile(
    r"\b(ghs_[A-Za-z0-9._-]{16,}|gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|eyJ[\w-]{8,}\.[\w-]{8,}(\.[\w-]*)?)"
    r"|(?<=[Bb]earer )\S+|(?<=RemoteAuth )\S+"
)
PLACE = ("scale_set", "slot")
TWINS = {"url": "", "runner_group": "default"}
"""What tells scale sets of one name apart: lines of text have it only for those, where it is not as usual."""
SHORTEST_SECRET = 6
"""Shorter values are not masked: replacing "a" everywhere would make the log unreadable."""


def configure(
    level: str,
    form: str,
    *,
    secrets: Iterable[Secret] = (),
    shared_names: Collection[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Log everything of at least `level` to standard output (or `stream`) as `form`, "text" or "json".
    `shared_names` are those that more than one scale set has."""
    out = stream or sys.stdout
    hidden = [one.reveal() for one in secrets]
    sink = Sink(out, form, debug=level == "debug", hidden=hidden, shared_names=shared_names)
    logger.remove()
    logger.add(
        sink.write, level=LEVELS[level], format="{message}", backtrace=False, diagnose=False, catch=True
    )
    logger.enable("runscaler")
    intercept(LEVELS[level])


def silence() -> None:
    """Turn the log off, for commands with their own output."""
    logger.remove()
    intercept("ERROR")


class Sink:
    """Writes log records and flushes after each, so that a crash loses none."""

    def __init__(
        self,
        out: TextIO,
        form: str,
        *,
        debug: bool,
        hidden: Iterable[str] = (),
        shared_names: Collection[str] = (),
    ) -> None:
        self._out = out
        self._render = self._json if form == "json" else self._text
        self._debug = debug
        self._colour = in_colour(out)
        self._shared_names = frozenset(shared_names)
        self._hidden = [value for value in hidden if len(value) >= SHORTEST_SECRET]

    def write(self, message: Message) -> None:
        with suppress(OSError):  # the reader has gone or the disk is full: keep running
            self._out.write(self._masked(self._render(message.record)) + "\n")
            self._out.flush()

    def _text(self, record: Record) -> str:
        name = record["level"].name
        shown = self._shown(record["extra"])
        fields = "".join(f" {key}={_quoted(str(value))}" for key, value in shown.items())
        line = f"{record['time']:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {SHORT.get(name, name):<5} "
        line += _one_record(record["message"] + self._exception_text(record)) + fields
        if self._colour and name in COLOURS:
            return f"\033[{COLOURS[name]}m{line}\033[0m"
        return line

    def _json(self, record: Record) -> str:
        name = record["level"].name
        values: dict[str, object] = {
            "time": record["time"].isoformat(timespec="milliseconds"),
            "level": SHORT.get(name, name),
            "msg": record["message"] + self._exception_text(record),
        }
        values |= {key: _plain(value) for key, value in record["extra"].items() if key not in values}
        return json.dumps(values)

    def _shown(self, fields: Mapping[str, object]) -> Mapping[str, object]:
        """The fields of a text line: where it happened, if the message says the rest of an event in words."""
        shared = fields.get("scale_set") in self._shared_names
        keys = [key for key in (*PLACE, *TWINS) if key in fields] if "event" in fields else fields
        return {
            key: fields[key] for key in keys if key not in TWINS or (shared and fields[key] != TWINS[key])
        }

    def _exception_text(self, record: Record) -> str:
        """The exception logged with a record: its traceback at level debug, else its type and message."""
        exception = record["exception"]
        if exception is None or exception.type is None:
            return ""
        if not self._debug:
            return f": {exception.type.__name__}: {exception.value}"
        import traceback

        lines = traceback.format_exception(exception.type, exception.value, exception.traceback)
        return "\n" + "".join(lines).rstrip()

    def _masked(self, line: str) -> str:
        for value in self._hidden:
            line = line.replace(value, Secret.MASK)
        return TOKEN.sub(Secret.MASK, line)


class Interceptor(logging.Handler):
    """Passes records of the standard `logging` module on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        name = logging.getLevelName(max(record.levelno // 10 * 10, logging.DEBUG))
        logger.bind(library=record.name.partition(".")[0]).opt(exception=record.exc_info).log(
            name, "{}", record.getMessage()
        )


def intercept(level: str) -> None:
    """Pass the standard `logging` on to loguru; info messages of libraries only at level debug."""
    quietest = level if level == "DEBUG" else max(level, "WARNING", key=logging.getLevelName)
    logging.basicConfig(handlers=[Interceptor()], level=quietest, force=True)
    for name, at_least in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(at_least)


def _one_record(message: str) -> str:
    """Indent continuation lines, so that none of them can look like a record of its own."""
    lines = message.splitlines() or [""]
    return "\n    ".join("".join(c if c.isprintable() else repr(c)[1:-1] for c in line) for line in lines)


def _quoted(value: str) -> str:
    bare = value.isprintable() and not any(c in value for c in ' "=')
    return value if value and bare else json.dumps(value)


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else str(value)
