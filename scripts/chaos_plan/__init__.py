"""A seeded plan of bad luck, the run that carries it out, and what must hold at its end (docs/behaviour.md § 8)."""
