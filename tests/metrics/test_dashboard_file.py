"""The Grafana dashboard: whatever it asks for is in a scrape of a daemon at work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.promql import grouped_by, selectors
from support.scrapes import Scrape, scrape
from support.world import World

from runscaler.errors import StartFailed
from runscaler.metrics import own
from runscaler.web.metrics import MetricsPage

BOARD = json.loads((Path(__file__).parents[2] / "conf/grafana/runscaler.json").read_text())
OF_PROMETHEUS = {"instance", "job", "le"}


def panels() -> list[dict[str, object]]:
    return [one for one in BOARD["panels"] if one["type"] != "row"]


EXPRESSIONS = [
    (panel["title"], target["expr"], target["legendFormat"])
    for panel in panels()
    for target in panel["targets"]
]


@pytest.fixture(scope="module")
def seen() -> Scrape:
    """Of a daemon that has run jobs, failed starts, and calls to GitHub."""
    world = World(max_runners=3)
    world.play()
    for _ in range(3):
        world.backend.fail_next("start", StartFailed("no"))
    world.queue(5)
    world.play()
    world.clock.advance(0.06)
    world.deliver()
    unmet = scrape(world)
    world.advance(30)
    world.finish_all()
    world.advance(20)
    world.metrics.count(own.GITHUB_REQUESTS, "jit_config", "200")
    for family in (own.RATE_LIMIT, own.RATE_LIMIT_LEFT):
        world.metrics.publish_one(family, 5000, "token-1", "core")
    resource = world.metrics.of(world.status().key, world.status().url)
    resource.count(own.REPAIRS, "vanished")
    page = MetricsPage(world.metrics).reply(world.board.read(), world.clock.wall())
    found = Scrape.of(page.body.decode())
    found.samples |= {key: value for key, value in unmet.samples.items() if key not in found.samples}
    found.types |= unmet.types
    return found


@pytest.mark.parametrize(("title", "expression", "legend"), EXPRESSIONS)
def test_every_metric_and_label_of_an_expression_is_served(
    seen: Scrape, title: str, expression: str, legend: str
) -> None:
    found = selectors(expression)
    assert found, title
    there: set[str] = set()
    for selector in found:
        of_family = [dict(labels) for name, labels in seen.samples if seen.family_of(name) == selector.metric]
        assert of_family, f"{selector.metric} is not served"
        labels = set().union(*of_family) | OF_PROMETHEUS
        assert selector.labels <= labels, selector
        there |= labels
    assert grouped_by(expression) <= there
    assert set(re.findall(r"{{(\w+)}}", legend)) <= there


def test_the_variables_ask_for_what_is_served(seen: Scrape) -> None:
    queries = [one["definition"] for one in BOARD["templating"]["list"] if one["type"] == "query"]

    assert {one.metric for query in queries for one in selectors(query)} <= {
        seen.family_of(name) for name in seen.names()
    }
    assert "scale_set" in set().union(*seen.labels("runscaler_slots"))


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    assert len({one["id"] for one in BOARD["panels"]}) == len(BOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for one in BOARD["panels"]:
        place = one["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, one["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_phases_of_a_start_are_shown() -> None:
    assert any("runscaler_runner_start_seconds" in expression for _, expression, _ in EXPRESSIONS)
