"""A repository or organisation that gets another name under a running client (docs/protocol.md § 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.github_client import IDENTITY
from support.wire_server import WireServer, answer

from runscaler.config.urls import parse_config_url
from runscaler.errors import NotFound
from runscaler.findings import Level
from runscaler.github.check import check_github
from runscaler.github.renames import names_of, renamed
from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.github_client import Client, Connector

    from runscaler.testing.clock import FakeClock

IDLE = Interrupt()


@pytest.fixture
def github(clock: FakeClock) -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(clock=clock, threads=8) as made:
        yield made


def find(client: Client) -> object:
    return client.service.find_scale_set("my-runners", 1, IDLE, 0.0)


@pytest.mark.parametrize(
    ("old", "new", "now"),
    [
        ("my-org/app", "my-org/site", "my-org/site"),
        ("my-org/app", "other-org/app", "other-org/app"),
        ("my-org", "new-org", "new-org/app"),
    ],
)
def test_a_repository_is_followed_to_its_new_name(
    connector: Connector, github: SimulatedGitHub, clock: FakeClock, old: str, new: str, now: str
) -> None:
    client = connector(github.config_url("my-org/app"))
    made = client.service.create_scale_set("my-runners", 1, (), IDLE)
    github.rename(old, new)
    clock.advance(2 * 3600)

    found = client.service.find_scale_set("my-runners", 1, IDLE, 0.0)

    assert found is not None
    assert found.id == made.id
    assert client.service.moved_to() == github.config_url(now)
    assert github.violations() == ()


def test_twice_renamed_and_back_again_is_followed_too(
    connector: Connector, github: SimulatedGitHub, clock: FakeClock
) -> None:
    client = connector(github.config_url("my-org/app"))
    find(client)
    moves = [("my-org/app", "my-org/b"), ("my-org/b", "c-org/b"), ("c-org/b", "my-org/app")]
    names = []
    for old, new in moves:
        github.rename(old, new)
        clock.advance(2 * 3600)
        find(client)
        names.append(client.service.moved_to())

    assert names == [github.config_url("my-org/b"), github.config_url("c-org/b"), ""]


def test_an_organisation_that_github_redirects_is_followed(
    connector: Connector, github: SimulatedGitHub
) -> None:
    client = connector(github.config_url())
    github.rename("my-org", "new-org", redirects=True)

    assert find(client) is None
    assert client.service.moved_to() == github.config_url("new-org")


def test_an_organisation_that_github_does_not_redirect_may_have_been_renamed(
    connector: Connector, github: SimulatedGitHub
) -> None:
    github.rename("my-org", "new-org")

    with pytest.raises(NotFound, match="my-org does not exist, was renamed, or the token may not see it"):
        find(connector(github.config_url()))


def test_a_rename_is_a_warning_of_validate_with_the_new_url(
    connector: Connector, github: SimulatedGitHub
) -> None:
    github.rename("my-org/app", "my-org/site")
    client = connector(github.config_url("my-org/app"))

    found = check_github(client.settings, clock=client.clock, pool=client.pool, identity=IDENTITY)

    assert [one.level for one in found] == [Level.OK] * 3 + [Level.WARNING]
    assert found[-1].message.endswith("/my-org/site now: it was renamed or moved")
    assert found[-1].fixes[0].startswith(f'set url = "{github.config_url("my-org/site")}"')


def test_a_redirect_without_a_readable_name_goes_on_with_the_old_one(
    connector: Connector, server: WireServer
) -> None:
    target = "/api/v3/repositories/77/actions/runners/registration-token"
    server.on("POST", "/repos/my-org/app/", answer(None, 301, {"Location": target}))
    server.on("GET", "/repositories/77", answer({"full_name": 5}))
    server.on("GET", "runnerscalesets", answer({"count": 0, "value": []}))
    client = connector(f"{server.url}/my-org/app")

    find(client)

    (registered,) = server.requests("POST", "runner-registration")
    assert registered.json == {"url": f"{server.url}/my-org/app", "runner_event": "register"}
    assert client.service.moved_to() == ""


@pytest.mark.parametrize(
    "names", [(), ("",), ("a", "b", "c"), ("new org",), ("a/../b",), ("x" * 200,), ("\x1b[31m",), ("MY-ORG",)]
)
def test_only_names_of_the_same_kind_are_followed(names: tuple[str, ...]) -> None:
    url = parse_config_url("https://github.com/my-org")

    assert renamed(url, names) is url


def test_nothing_but_the_name_is_taken_from_a_description() -> None:
    url = parse_config_url("https://github.com/my-org/app")
    described = {"full_name": "new/site", "html_url": "https://evil.example/new/site"}

    assert renamed(url, names_of(described)).text == "https://github.com/new/site"
