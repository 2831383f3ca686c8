"""Threads of ours that live long: none of them dies without a word.

`start_thread` and `keep_running` are the only ways to make one. What escapes the function of the first is
logged and handed to its owner, who ends, too; that of the second is called again (docs/architecture.md
§ Supervision).
"""

from __future__ import annotations

import threading
import traceback
from typing import TYPE_CHECKING

from loguru import logger

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CRASHES = 100


def start_thread(run: Callable[[], object], name: str, crashed: Callable[[str], object]) -> threading.Thread:
    """Run `run` on a daemon thread. If it raises, `crashed` is called on that thread with the error as text.

    Raises `RuntimeError` if the system has no thread left.
    """
    thread = threading.Thread(target=_supervised, args=(run, name, crashed), name=name, daemon=True)
    thread.start()
    return thread


def keep_running(run: Callable[[], object], name: str) -> threading.Thread:
    """Run `run` on a daemon thread, and again whenever it raises, until it returns: for one that loses no
    more than the step which failed. After `MOST_CRASHES` it is given up."""
    thread = threading.Thread(target=_again_and_again, args=(run, name), name=name, daemon=True)
    thread.start()
    return thread


def _again_and_again(run: Callable[[], object], name: str) -> None:
    for _ in range(MOST_CRASHES):
        try:
            run()
        except BaseException as error:
            logger.error("thread {} crashed, and goes on: {}", name, first_line(error_text(error)))
        else:
            return
    logger.error("thread {} has crashed {} times, and ends", name, MOST_CRASHES)


def _supervised(run: Callable[[], object], name: str, crashed: Callable[[str], object]) -> None:
    try:
        run()
    except BaseException as error:  # SystemExit too: it would end the thread in silence
        logger.error("thread {} crashed: {}", name, type(error).__name__)
        crashed(error_text(error))


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def error_text(error: BaseException) -> str:
    """The error and its stack as text, without source lines and without the value of any variable."""
    frames = traceback.extract_tb(error.__traceback__)
    stack = "".join(f"\n  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(error).__name__}: {_message_of(error)}{stack}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # `__str__` is third-party code
        return "(its message cannot be shown)"
