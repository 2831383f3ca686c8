"""The commands of the fake `tart`: a module for each, whose `run` returns the exit code (None: 0)."""
