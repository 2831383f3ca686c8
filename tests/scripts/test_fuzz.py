"""What fuzzing once found stays mended, and the fuzzer finds what is there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fuzzing import __main__ as fuzzing
from fuzzing import http_server
from fuzzing.targets import TARGETS, Target
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parents[1] / "fuzz_corpus"
BY_NAME = {target.name: target for target in TARGETS}
KEPT = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.name != "README.md")


@pytest.fixture(scope="module", autouse=True)
def no_server_is_left() -> Iterator[None]:
    yield
    http_server.stop()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_was_kept_is_taken_or_refused_in_order(path: Path) -> None:
    BY_NAME[path.parent.name].run(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_round_of_each_target_finds_nothing(target: Target) -> None:
    counts: Counter[str] = Counter()

    assert fuzzing.one_round(target, 1, counts)

    assert counts[target.name] >= 10


def test_an_input_that_fails_is_made_small_and_kept(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fuzzing, "CORPUS", tmp_path)

    def choke(data: bytes) -> None:
        if b"x" in data:
            raise KeyError("choked")

    target = Target("choking", choke, st.binary(max_size=3).map(lambda data: data + b"x"))

    assert not fuzzing.one_round(target, 1, Counter())
    (kept,) = (tmp_path / "choking").iterdir()
    assert kept.read_bytes() == b"x"
