"""Benchmarks of runscaler, run by `scripts/bench`; docs/benchmarks.md says what each one measures.

A benchmark is a module of this package that is listed in `__main__.NAMES` and has `add_arguments(parser)` and
`run(arguments) -> Report`.
"""
