"""Fuzzing of the program's edges; `scripts/fuzz` runs it, `tests/scripts/test_fuzz.py` replays its corpus."""
