from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import runscaler.cli
from runscaler.cli import execute, exit_codes, program
from runscaler.errors import HostError

HEAVY = {"docker", "requests", "pydantic", "loguru", "pykka", "rich", "psutil", "waitress"}


def test_the_bare_command_prints_its_help_and_succeeds(runner):
    ended = runner()

    assert ended.code == 0
    assert ended.out.startswith("Usage: runner")
    assert "version" in ended.out
    assert ended.err == ""


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"]])
def test_every_spelling_of_help_shows_the_same_page(runner, words):
    assert runner(*words).out == runner().out


@pytest.mark.parametrize(
    "words", [["version", "-h"], ["help", "version"], ["--config", "x", "help", "version"]]
)
def test_every_spelling_of_help_for_a_command_shows_the_same_page(runner, words):
    ended = runner(*words)

    assert ended.code == 0
    assert ended.out == runner("version", "--help").out


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_flag_prints_the_version(runner, flag):
    assert runner(flag).out == f"runner {runscaler.__version__}\n"


def test_every_command_has_a_help_page_that_fits_eighty_columns(runner):
    for name in program.list_commands(click.Context(program)):
        ended = runner(name, "--help")

        assert ended.code == 0, name
        assert all(len(line) <= 80 for line in ended.out.splitlines()), name


@pytest.mark.parametrize(
    ("typed", "meant"), [("stauts", "status"), ("Version", "version"), ("complet", "completion")]
)
def test_an_unknown_command_is_wrong_usage_and_a_similar_one_is_suggested(runner, typed, meant):
    ended = runner(typed)

    assert ended.code == 2
    assert f"Did you mean '{meant}'?" in ended.err
    assert ended.out == ""


def test_help_of_an_unknown_command_is_wrong_usage_too(runner):
    assert runner("help", "stauts").code == 2


@pytest.mark.parametrize("name", ["console", "exit_codes", "logging", "options", "__init__", "../run", ""])
def test_modules_that_are_not_commands_cannot_be_run(runner, name):
    assert runner(name).code == 2


def test_texts_and_docs_mention_only_existing_commands():
    root = Path(runscaler.__file__).parents[1]
    pages = [
        root / "README.md",
        *root.glob("docs/*.md"),
        *(path for path in root.glob("conf/**/*") if path.is_file()),
    ]
    known = "|".join(program.list_commands(click.Context(program)))
    order = re.compile(rf"(?:`|run: |with: )runner (?!(?:{known}|help|COMMAND)\b)([a-z]+)\b")

    named = {
        f"{path.name}: {match[1]}"
        for path in [*pages, *root.glob("runscaler/**/*.py")]
        for match in order.finditer(path.read_text("utf-8"))
    }

    assert named == set()


def test_an_unknown_flag_is_wrong_usage_and_a_similar_one_is_suggested(runner):
    ended = runner("version", "--shrot")

    assert ended.code == 2
    assert "--short" in ended.err


def test_an_error_is_one_line_with_its_fixes_and_no_traceback(capsys):
    error = HostError("the state directory is locked by pid 7", fixes=("stop it",))

    code = exit_codes.after_error(error, debug=False)

    output = capsys.readouterr()
    assert code == 1
    assert output.err == "error: the state directory is locked by pid 7\n  → stop it\n"
    assert output.out == ""


def test_debug_shows_the_traceback(capsys):
    exit_codes.after_error(HostError("locked"), debug=True)

    assert "HostError: locked" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["x", "--log-level", "debug"], ["--log-level=debug"]])
def test_both_spellings_of_the_debug_flag_are_recognised(words):
    assert exit_codes.wants_debug(words)
    assert not exit_codes.wants_debug(["--log-level", "info", "debug"])


def test_every_command_accepts_a_log_level(runner):
    assert runner("version", "--log-level", "debug").code == 0


@pytest.mark.parametrize(("cause", "code"), [(KeyboardInterrupt(), 130), (EOFError(), 1)])
def test_ctrl_c_is_130_and_a_closed_input_a_failure(cause, code):
    error = click.Abort()
    error.__cause__ = cause

    assert exit_codes.after_abort(error) == code


BUG = """
import sys, threading
from runscaler.cli import exit_codes
exit_codes.hide_tracebacks()
if sys.argv[1] == "thread":
    thread = threading.Thread(target=lambda: {}["x"])
    thread.start()
    thread.join()
else:
    {}["x"]
"""


@pytest.mark.parametrize("place", ["thread", "main"])
def test_an_unexpected_error_is_one_line_that_says_how_to_see_more(place):
    words = [sys.executable, "-c", BUG, place]

    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert ended.stderr.startswith("error: unexpected KeyError: 'x'\n")
    assert "--log-level debug" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.fixture
def own_command(tmp_path):
    """`own_command(name, text)` adds a module with this text to the commands."""

    def put(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    runscaler.cli.__path__.append(str(tmp_path))
    yield put
    runscaler.cli.__path__.remove(str(tmp_path))


def test_a_command_is_found_by_its_name_alone(runner, own_command):
    own_command(
        "greet", "import click\n@click.command()\ndef greet():\n    'Greet.'\n    click.echo('hello')\n"
    )

    assert runner("greet").out == "hello\n"
    assert "greet" in runner("--help").out


def test_a_command_with_a_failing_import_is_not_reported_as_unknown(runner, own_command):
    own_command("broken", "import no_such_library")

    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        runner("broken")


def test_python_m_runscaler_is_the_same_program(process):
    ended = process("version", "--short")

    assert (ended.code, ended.out) == (0, f"{runscaler.__version__}\n")


@pytest.mark.parametrize("words", [["version", "--short"], ["--help"], []])
def test_version_and_bare_help_import_nothing_heavy(words):
    code = (
        "import sys; from runscaler.cli import execute; "
        f"execute({words!r}); print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert ended.stderr.strip() == "[]"


def test_a_closed_pipe_prints_nothing():
    reading, writing = os.pipe()
    os.close(reading)

    ended = subprocess.run(
        [sys.executable, "-m", "runscaler", "help"],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )

    os.close(writing)
    assert ended.stderr == b""


def test_characters_that_the_terminal_lacks_become_question_marks(process):
    ended = process("help", "demo", env={**os.environ, "PYTHONIOENCODING": "ascii"})

    assert "Traceback" not in ended.err


def test_execute_returns_instead_of_exiting():
    assert execute(["version", "--short"]) == 0


def ended(words: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m runscaler {words}"
    return subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False, **more
    )


def test_closed_standard_streams_are_no_error():
    for words in ("version >&-", "help run >&- 2>&-", "version <&- >&-"):
        assert (ended(words).returncode, ended(words).stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_output_device_is_one_line():
    result = ended("version >/dev/full")

    assert (result.returncode, result.stderr) == (
        1,
        "error: no space left on the device that standard output writes to\n",
    )


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--url", "https://github.com/x", "--name", "n", "--token", "t", "--max-runners"],
        ["run", "--url", "https://github.com/x", "--name", "n", "--token", "t", "--drain-timeout"],
        ["validate", "--offline", "--url", "https://github.com/x", "--name", "n", "--health-port"],
        ["status", "--health-port"],
        ["simulate", "--port"],
    ],
    ids=lambda words: " ".join(words[::8]),
)
def test_a_number_of_any_length_is_wrong_usage_in_a_few_words(runner, words):
    ended = runner(*words, "9" * 5000)

    assert ended.code == 2
    assert "is not" in ended.err + ended.out
    assert len(ended.err + ended.out) < 2000


def test_the_help_of_run_names_backends_repeated_labels_and_examples(runner):
    text = " ".join(runner("run", "--help").out.split())

    assert "Where the runners live: docker, tart, process." in text
    assert "separated by commas, and repeatable" in text
    assert "runner run --url https://github.com/my-org --name linux --token file:token" in text
    assert "every user of this host sees the command line" in text


def test_the_help_of_every_command_fits_eighty_columns_and_has_an_example(runner):
    for name in runscaler.cli.program.list_commands(None):
        text = runner("help", name).out

        assert "Example" in text, name
        assert max(map(len, text.splitlines())) <= 80, name
