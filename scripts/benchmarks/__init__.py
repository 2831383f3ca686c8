"""Benchmarks of runscaler, run by `scripts/bench`; docs/benchmarks.md says what each one measures.

A benchmark is a module of this package with `add_arguments(parser)` and `run(arguments) -> Report`,
named in `__main__.NAMES`.
"""
