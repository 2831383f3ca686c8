"""What ARC's own dashboard asks for is served, by the labels that it chooses by (docs/metrics.md, *As ARC has
them*)."""

from __future__ import annotations

import pytest
from support.scrapes import Scrape, scrape
from support.world import World

SET, SET_PLACE = "actions_github_com_scale_set_name", "actions_github_com_scale_set_namespace"
ASKED_FOR = {
    "gha_job_startup_duration_seconds_bucket": (SET, SET_PLACE, "le"),
    "gha_job_execution_duration_seconds_bucket": (SET, SET_PLACE, "le"),
    "gha_assigned_jobs": (SET, "namespace"),
    "gha_desired_runners": (SET, "namespace"),
    "gha_idle_runners": (SET, "namespace"),
    "gha_registered_runners": (SET, "namespace"),
    "gha_running_jobs": (SET, SET_PLACE),
    "gha_controller_failed_ephemeral_runners": ("name", "namespace"),
    "gha_controller_pending_ephemeral_runners": ("name", "namespace"),
    "gha_controller_running_ephemeral_runners": ("name", "namespace"),
    "gha_controller_running_listeners": ("namespace",),
}
"""Its variables are the namespaces of the listeners, the scale sets of `gha_desired_runners`, and their
namespaces."""
CHOSEN = {SET: "linux", SET_PLACE: "runscaler", "name": "linux", "namespace": "runscaler"}


@pytest.fixture(scope="module")
def seen() -> Scrape:
    """Of a daemon with one scale set, which has run a job."""
    world = World(max_runners=2)
    world.play()
    world.queue(1)
    world.play()
    world.finish_all()
    world.play()
    return scrape(world)


@pytest.mark.parametrize(("metric", "labels"), ASKED_FOR.items())
def test_what_arc_s_dashboard_asks_for_is_found_by_its_labels(
    seen: Scrape, metric: str, labels: tuple[str, ...]
) -> None:
    found = seen.labels(metric)

    assert found
    for one in found:
        assert {label: one[label] for label in labels if label != "le"} == {
            label: CHOSEN[label] for label in labels if label != "le"
        }
        assert ("le" in one) == ("le" in labels)
