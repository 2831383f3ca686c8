"""A copy of the source tree in which mutants are made and tested: the working tree itself stays as it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coverage import CoverageData

from mutation.pytest_plugin import DURATIONS_VARIABLE, PROFILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mutation.mutant import Mutant

SCRIPTS = Path(__file__).parents[1]
COVERAGE_CONFIG = """
[run]
data_file = {data_file}
core = ctrace
"""
"""The C tracer, because `sys.monitoring` does not record which test executed a line."""
STOP_SECONDS = 15.0
"""Enough for pytest to tear its fixtures down after Ctrl-C."""
PASSED, NOTHING_LIKE_THAT = 0, 4
"""Exit codes of pytest; the second one says that a named test does not exist."""


class CleanRunFailed(Exception):
    """The tests do not pass even without a mutant; the message is the end of their output."""


@dataclass(frozen=True, slots=True)
class CleanRun:
    """What the tests did without a mutant: the seconds of each, and who executed which line of which file."""

    durations: Mapping[str, float]
    executed: Mapping[str, Mapping[int, frozenset[str]]]
    """Tests by path and line; the empty name stands for what was executed outside of a test, at import."""


class Workspace:
    """`tree` is the copy; only one process of tests runs in it at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.tree = folder / "tree"

    def clean_run(self, packages: Sequence[str], tests: Sequence[str]) -> CleanRun:
        """Run `tests` and record which of them execute which lines of `packages`; `CleanRunFailed`."""
        data_file, durations = self._folder / "coverage", self._folder / "durations.json"
        config = self._folder / "coveragerc"
        config.write_text(COVERAGE_CONFIG.format(data_file=data_file))
        sources = [f"--cov={self.tree / package}" for package in packages]
        options = (*sources, f"--cov-config={config}", "--cov-context=test", "--cov-report=")
        code, output = self._pytest([*options, *tests], None, {DURATIONS_VARIABLE: str(durations)})
        if code != PASSED:
            raise CleanRunFailed(output)
        data = CoverageData(str(data_file))
        data.read()
        executed = {
            Path(file).relative_to(self.tree).as_posix(): {
                line: frozenset(context.rpartition("|")[0] for context in contexts)
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        if not any(any(tests) for lines in executed.values() for tests in lines.values()):
            raise CleanRunFailed(f"no test executes a line of the copy in {self.tree}")
        return CleanRun(json.loads(durations.read_text()), executed)

    def passes(self, tests: Sequence[str], seconds: float) -> bool:
        """Whether all of `tests` pass, told as soon as one fails; `subprocess.TimeoutExpired`."""
        code, _ = self._run_tests(tests, seconds)
        if code == NOTHING_LIKE_THAT:  # the mutant changed the name of a parametrised test
            code, _ = self._run_tests(sorted({test.partition("::")[0] for test in tests}), seconds)
        return code == PASSED

    def config_identity(self, mutant: Mutant) -> bytes:
        """The file that it changes, as it is without it."""
        return (self.tree / mutant.path).read_bytes()

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        path, source = self.tree / mutant.path, self.config_identity(mutant)
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*"):
            stale.unlink()  # Python takes it for fresh if size and second of the change are the same
        path.write_bytes(mutant.applied(source))
        try:
            yield
        finally:
            path.write_bytes(source)

    def _run_tests(self, tests: Sequence[str], seconds: float) -> tuple[int, str]:
        arguments = self._folder / "tests"
        arguments.write_text("".join(f"{test}\n" for test in tests))
        return self._pytest(["-x", "--no-cov", f"@{arguments}"], seconds, {"PYTHONDONTWRITEBYTECODE": "1"})

    def _pytest(self, words: Sequence[str], seconds: float | None, env: Mapping[str, str]) -> tuple[int, str]:
        """Exit code and the last lines of the output; whatever ends this ends the tests too."""
        plugin = ("-p", "mutation.pytest_plugin", f"--hypothesis-profile={PROFILE}")
        with (self._folder / "output").open("wb+") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *words],
                cwd=self.tree,
                env={**_environment(), "PYTHONPATH": f"{self.tree}{os.pathsep}{SCRIPTS}", **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(seconds)
            finally:
                _end(process)
            output.seek(0)
            return code, "\n".join(output.read().decode(errors="replace").splitlines()[-40:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started: first as Ctrl-C does, so that fixtures are torn down, then by force."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def workspace(source: Path) -> Iterator[Workspace]:
    """A copy of the tree at `source`, without what git or a tool keeps in it; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="runscaler-mutants-") as name:
        folder = Path(name).resolve()
        shutil.copytree(
            source, folder / "tree", ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
        )
        yield Workspace(folder)


def _environment() -> dict[str, str]:
    """Ours, without what measures the coverage of our own process: it would name another data file."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}
