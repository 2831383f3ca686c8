"""The sentences of `runner why`; `system/test_admin_commands.py` has the command itself."""

from __future__ import annotations

import pytest

from runscaler.cli.why import WORDS, explanation
from runscaler.status import ScaleSetStatus, SetState, Status, Unmet, UnmetDemand
from runscaler.web.health import health


def explained(**facts: object) -> str:
    one = ScaleSetStatus("linux", "https://github.com/my-org", "default", "docker", **facts)  # type: ignore[arg-type]
    (shown,) = health(Status("1.2.3", 0.0, (one,)), 0.0)["scale_sets"]  # type: ignore[misc]
    return explanation(shown)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"state": SetState.OK}, "nothing waits: no job is assigned, no runner is needed"),
        (
            {"state": SetState.OK, "assigned_jobs": 2, "busy": 2, "idle": 1},
            "nothing waits: 2 jobs are assigned, 2 busy, 1 idle",
        ),
        (
            {"state": SetState.OK, "unmet": (UnmetDemand(Unmet.MAX_RUNNERS, 3),)},
            "3 more runners are wanted and not started, as max-runners is reached",
        ),
        (
            {
                "state": SetState.OK,
                "unmet": (UnmetDemand(Unmet.HOST_GUARD, 3, "free disk 4 GiB is below …", look_at=4.4),),
            },
            "3 more runners are wanted and not started: free disk 4 GiB is below …; next look in 4 s",
        ),
        (
            {
                "state": SetState.DEGRADED,
                "reason": "no space left",
                "retry_at": 8.0,
                "unmet": (UnmetDemand(Unmet.BACKOFF, 1, "no space left"),),
            },
            "degraded: no space left, next try in 8 s; 1 more runner is wanted and not started, as "
            + WORDS["backoff"]
            + " (no space left)",
        ),
        ({"state": SetState.OK, "reason": "pulling an image (40 %)"}, "pulling an image (40 %)"),
        ({"state": SetState.STARTING}, "starting"),
    ],
)
def test_what_waits_is_said_with_its_reason(facts: dict[str, object], sentence: str) -> None:
    assert explained(**facts) == sentence


def test_every_reason_has_its_words() -> None:
    assert WORDS.keys() == {str(reason) for reason in Unmet}
