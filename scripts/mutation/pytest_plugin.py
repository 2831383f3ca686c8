"""A pytest plugin for the runs of `scripts/mutants`: how long each test takes, and no time lost on shrinking.

Runs inside the mutated tree; loaded with `-p mutation.pytest_plugin`.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import Phase, settings

if TYPE_CHECKING:
    import pytest

DURATIONS_VARIABLE = "MUTATION_DURATIONS"
"""Names the file that takes the seconds of each test, as JSON."""
PROFILE = "mutation"
"""A Hypothesis profile: the same examples in every run; a failure is enough, however large the example."""

settings.register_profile(
    PROFILE, deadline=None, database=None, derandomize=True, phases=(Phase.explicit, Phase.generate)
)

_durations: defaultdict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _durations[report.nodeid] += report.duration


def pytest_sessionfinish() -> None:
    if path := os.environ.get(DURATIONS_VARIABLE):
        Path(path).write_text(json.dumps(_durations))
