"""Chaos runs: break things around the real daemon by a seeded plan, then check the invariants of survival.

`plan_generator` makes the plan, `executor` carries it out on what `run_setup` has started, `evidence` is what
a run leaves behind, and `invariants` judges it. docs/reliability.md § Chaos
"""
