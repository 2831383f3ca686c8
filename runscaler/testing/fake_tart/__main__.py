"""Starts the program: `python -IS …/fake_tart/__main__.py WORDS`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Isolated from the environment and without site-packages, Python starts three times as fast.
    sys.path.insert(0, __file__.rsplit("/", 4)[0])

    from runscaler.testing.fake_tart.main import main

    sys.exit(main(sys.argv[1:]))
