"""A plugin of pytest: a test that shows a planted secret fails, unless it is marked `shows_secrets`.

Looked at are what pytest captures (standard output and error, records of logging), what a test reads from
`capsys` and its like, the output of programs that a test runs to their end, every message of loguru, and the
command lines of the processes that descend from the tests; in their environments, JIT configurations.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import sysconfig
from collections import deque
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loguru import logger
from support.planted import planted_in
from support.process_watch import ProcessWatch

import runscaler

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "shows_secrets"
LOG_LINES = 200
LIBRARIES = (
    str(Path(runscaler.__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib")),
)


class ShownSecrets:
    def __init__(self) -> None:
        self._found: deque[str] = deque()  # filled by several threads
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._patch = pytest.MonkeyPatch()
        self._processes = ProcessWatch(self.look) if Path("/proc/self/environ").exists() else None

    def look(self, where: str, *texts: str | bytes | None) -> None:
        """Look for secrets in what the running test shows."""
        for text in texts:
            content = text.encode(errors="replace") if isinstance(text, str) else bytes(text or b"")
            self._found.extend(f"{one} in {where}" for one in planted_in(content))

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", f"{MARKER}(why): shows planted secrets on purpose")
        with suppress(ValueError):
            logger.remove(0)  # loguru's own sink shows the values of variables
        self._look_at_programs()
        self._look_at_what_tests_read()

    def pytest_unconfigure(self) -> None:
        self._patch.undo()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        with self._processes or nullcontext():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:
        with self._looking_at_the_log():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Iterator[pytest.TestReport]:
        report: pytest.TestReport = yield
        if self._processes is not None:
            self._processes.poll(again=True)  # what is found later is the next test's
        for name, text in report.sections:
            if name.endswith(f" {call.when}"):
                self.look(name.lower(), text)
        found = list(dict.fromkeys(self._found.popleft() for _ in range(len(self._found))))
        if found and not _may_show(item):
            told = f"{item.nodeid} shows secrets:\n" + "\n".join(f"  {one}" for one in found)
            report.longrepr = f"{report.longreprtext}\n{told}" if report.failed else told
            report.outcome = "failed"
        if report.failed:
            report.sections.append(("Messages of loguru", "".join(self._log)))
        return report

    @contextmanager
    def _looking_at_the_log(self) -> Iterator[None]:
        self._log.clear()
        logger.enable("runscaler")
        logging.root.setLevel(logging.WARNING)  # commands raise it
        form = "{level} {message} {extra}\n{exception}"
        sink = logger.add(self._hear, level=0, format=form, backtrace=False, diagnose=False)
        yield
        with suppress(ValueError):  # the test removed all
            logger.remove(sink)

    def _hear(self, message: str) -> None:
        self._log.append(message)
        self.look("a message of loguru", message)

    def _look_at_programs(self) -> None:
        communicate = subprocess.Popen.communicate

        def watched(process: subprocess.Popen[Any], *args: Any, **more: Any) -> tuple[Any, Any]:
            output = communicate(process, *args, **more)
            if _is_of_a_test(sys._getframe(1)):
                self.look("the output of a program", *output)
            return output

        self._patch.setattr(subprocess.Popen, "communicate", watched)

    def _look_at_what_tests_read(self) -> None:
        readouterr = pytest.CaptureFixture.readouterr

        def watched(fixture: pytest.CaptureFixture[Any]) -> Any:
            output = readouterr(fixture)
            self.look("what the test read from its output", *output)
            return output

        self._patch.setattr(pytest.CaptureFixture, "readouterr", watched)


def _is_of_a_test(frame: Any) -> bool:
    """Did a test ask for it, not the code under test or a library, which may get a secret so?"""
    while frame.f_code.co_filename == subprocess.__file__:
        frame = frame.f_back
    return not frame.f_code.co_filename.startswith(LIBRARIES)


def _may_show(item: pytest.Item) -> bool:
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return False
    (why,) = marker.args
    assert isinstance(why, str)
    return True
