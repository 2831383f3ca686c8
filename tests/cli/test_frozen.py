"""Scripts that the single-file executable runs; tests/system runs the executable itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runscaler.cli.frozen import read_script
from runscaler.interpreter import interpreter_command, interpreter_words

PROGRAM = "import sys; sys.frozen = True; from runscaler.cli.frozen import main; main()"


def frozen(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_script_runs_as_the_main_module_with_its_own_arguments(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(__name__, __file__ == sys.argv[0], sys.argv[1:])\nsys.exit(3)\n")

    ended = frozen("_python", "-I", "-S", str(script), "-x", "y")

    assert (ended.returncode, ended.stdout) == (3, "__main__ True ['-x', 'y']\n")


def test_without_a_script_there_is_one_clear_line():
    ended = frozen("_python", "-I")

    assert (ended.returncode, ended.stderr) == (1, "error: _python needs the path of a script\n")


def test_everything_else_is_a_command_line():
    assert frozen("version", "--short").returncode == 0


def test_a_script_that_is_missing_is_an_error():
    with pytest.raises(FileNotFoundError):
        read_script("/nowhere/script.py")


def test_a_child_process_gets_the_interpreter_of_this_program(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/opt/my tools/runner")
    assert interpreter_words() == ["/opt/my tools/runner"]

    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert interpreter_command() == "'/opt/my tools/runner' _python"
