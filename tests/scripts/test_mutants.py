"""`scripts/mutants` on a toy package: which changes it makes, and which of them the tests notice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from mutation.operators import mutants_of
from mutation.report import Report
from mutation.run import trials
from mutation.targets import TARGETS, Target, all_mutants, sample
from mutation.trial import Verdict
from mutation.workspace import CleanRunFailed

SCRIPTS = Path(__file__).parents[2] / "scripts"
PATIENCE = 10.0
"""Seconds for tests that a mutant lets run for ever."""
TOY = Target("toy", ("tests/toy",))
SOURCE = '''\
"""A docstring is no code."""

LIMIT = 3


def fits(count: int = 0) -> bool:
    log.warning("a count of %s", count)
    return count < LIMIT


def wait_for_ever(count: int) -> int:
    while count > 0:
        count -= 1
    return count


def untested() -> None:
    raise ValueError("a sentence for people")
'''
TESTS = """\
import logging
import toy

toy.log = logging.getLogger("toy")

def test_two_fit():
    assert toy.fits(2)

def test_four_do_not_fit():
    assert not toy.fits(4)

def test_waiting_ends():
    assert toy.wait_for_ever(2) == 0
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with one module and its tests."""
    tests = tmp_path / "tests" / "toy"
    tests.mkdir(parents=True)
    (tests / "test_toy.py").write_text(TESTS)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text(SOURCE)
    return tmp_path


def changes(source: str) -> list[str]:
    return [mutant.change for mutant in mutants_of("x.py", source.encode())]


def results(source: str) -> list[str]:
    """The last line of the source as each mutant has it."""
    found = mutants_of("x.py", source.encode())
    return [mutant.applied(source.encode()).decode().splitlines()[-1] for mutant in found]


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("a < b", ["a <= b"]),
        ("(a and b) or c", ["(a or b) or c", "(a and b) and c"]),
        ("x = not (a or b)", ["x = (a or b)", "x = not (a and b)"]),
        ("a is not b", ["a is b"]),
        ("x = 'é' + a if b else a + 1", ["x = 'é' + a if not (b) else a + 1"]),
        ("x = f(a, b)", ["x = f(b, a)"]),
        ("f(a)", ["pass"]),
        ("self.x = a", ["pass"]),
        ("raise Wrong('because')", ["pass"]),
        ("x = True", ["x = False"]),
        ("x = a['key']", ['x = a["mutant"]']),
        ("with suppress(OSError): f", ["with suppress(): f"]),
        ("try: f\nexcept OSError: return_ = a", ["except OSError: raise"]),
        ("x = min(a, b)", ["x = max(a, b)"]),
        ("x = [1, 60.0, 0.0]", ["x = [2, 60.0, 0.0]", "x = [1, 120.0, 0.0]", "x = [1, 60.0, 1.0]"]),
        ("x = [a for a in b if a]", ["x = [a for a in b if not (a)]"]),
        ("x += a", ["x -= a"]),
    ],
)
def test_each_operator_makes_one_small_change(source: str, mutants: list[str]) -> None:
    assert set(mutants) <= set(results(source))
    assert all(mutant != source.splitlines()[-1] for mutant in results(source))


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "def f(a: Literal['key']) -> Optional['b']: pass",
        "log.info('%d', 1)",
        "self._log.bind(slot=1).warning('key')",
        "x = 'a sentence for people'",
        "if TYPE_CHECKING: f()",
        "assert a < b",
        "@cache(1)\ndef f(): pass",
        "Alias: TypeAlias = a | b",
        "ON_HOLD = 'on-hold'",
        "import a.b",
    ],
)
def test_what_no_test_should_judge_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_verdicts_tell_what_the_tests_notice_and_the_tree_stays_as_it_was(tree: Path) -> None:
    wanted = {
        "`3` becomes `4`": Verdict.SURVIVED,
        "returned value `count < LIMIT` becomes `None`": Verdict.KILLED,
        "`<` becomes `<=`": Verdict.SURVIVED,
        "`-=` becomes `+=`": Verdict.TIMED_OUT,
        'statement `raise ValueError("a sentence for people")` becomes `pass`': Verdict.UNREACHED,
    }
    mutants = [mutant for mutant in all_mutants(tree, [TOY]) if mutant.change in wanted]
    before = contents(tree)

    found = list(trials(tree, [TOY], mutants, PATIENCE))

    assert {trial.mutant.change: trial.verdict for trial in found} == wanted
    assert contents(tree) == before
    report = Report(7, found)
    assert "2 of 5 mutants killed" in report.summary()
    assert "-    return count < LIMIT\n+    return count <= LIMIT\n" in report.summary()
    assert [one["verdict"] for one in report.as_json()["mutants"]] == [trial.verdict for trial in found]


def contents(tree: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def test_tests_that_fail_without_a_mutant_judge_nothing(tree: Path) -> None:
    (tree / "tests/toy/test_toy.py").write_text("import toy\n\ndef test_wrong():\n    assert toy.fits(3)\n")

    with pytest.raises(CleanRunFailed, match="1 failed"):
        list(trials(tree, [TOY], all_mutants(tree, [TOY])))


def test_the_same_seed_picks_the_same_mutants_and_no_more_than_there_are(tree: Path) -> None:
    mutants = all_mutants(tree, [TOY])

    assert sample(mutants, 3, Random(1)) == sample(mutants, 3, Random(1)) != sample(mutants, 3, Random(2))
    assert sample(mutants, 1000, Random(1)) == mutants
    assert len({mutant.id for mutant in mutants}) == len(mutants)


def mutation(*words: str) -> subprocess.CompletedProcess[str]:
    """What the launcher runs once it has its virtual environment."""
    command = [sys.executable, "-m", "mutation", *words]
    return subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=False)


def test_one_mutant_is_shown_by_its_id() -> None:
    mutant = all_mutants(SCRIPTS.parent, [TARGETS["policy"]])[0]

    shown = mutation("--show", mutant.id)

    assert shown.returncode == 0
    assert shown.stdout == mutant.diff((SCRIPTS.parent / mutant.path).read_bytes())


@pytest.mark.parametrize("words", [("--show", "nowhere.py:1.1"), ("nowhere",), ("--count", "0")])
def test_what_does_not_exist_is_wrong_usage(words: tuple[str, ...]) -> None:
    assert mutation(*words).returncode == 2
