"""`python -m fuzzing.guided TARGET SECONDS SEED`: one target under atheris.

That prefers inputs that reach new code. Those that fail are kept in the corpus.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris
from hypothesis import HealthCheck, Phase, given, settings
from loguru import logger

with atheris.instrument_imports(include=["runscaler"]):
    from fuzzing.targets import TARGETS, Target

CORPUS = Path(__file__).parents[2] / "tests" / "fuzz_corpus"
SEEDS = 200
LONGEST = 8192
"""Bytes of one input."""
SLOW_SECONDS = 30
"""An input that takes longer is a failure."""


def write_seeds(target: Target, folder: Path) -> None:
    """Inputs as hypothesis makes them, to begin with."""

    @settings(
        max_examples=SEEDS, phases=[Phase.generate], database=None, suppress_health_check=[*HealthCheck]
    )
    @given(target.inputs)
    def write(data: bytes) -> None:
        (folder / str(len(list(folder.iterdir())))).write_bytes(data[:LONGEST])

    write()


def main(name: str, seconds: str, seed: str) -> None:
    (target,) = (one for one in TARGETS if one.name == name)
    logger.remove()
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_seeds(target, Path(folder))
        options = {
            "max_total_time": seconds,
            "seed": seed,
            "max_len": LONGEST,
            "timeout": SLOW_SECONDS,
            "artifact_prefix": f"{kept}/",
            "print_final_stats": 1,
        }
        words = [f"-{option}={value}" for option, value in options.items()]
        atheris.Setup([sys.argv[0], *words, folder, str(kept)], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
