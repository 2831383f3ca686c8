"""What is known of a personal access token: its kind, its checksum, its end (docs/protocol.md § 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.github_client import IDENTITY

from runscaler.config.secrets import Secret
from runscaler.config.urls import Kind
from runscaler.errors import AccessDenied
from runscaler.findings import Level
from runscaler.github.check import check_github
from runscaler.github.credential_kinds import CredentialKind, is_intact, kind_of, rights
from runscaler.github.token_expiry import HEADER, expiry_in
from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.github_client import Client, Connector

    from runscaler.testing.clock import FakeClock

IDLE = Interrupt()
INTACT = "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"
DAY = 86400.0


@pytest.fixture
def github(clock: FakeClock) -> Iterator[Callable[..., SimulatedGitHub]]:
    made: list[SimulatedGitHub] = []

    def start(**options: object) -> SimulatedGitHub:
        made.append(SimulatedGitHub(Options(**options), clock=clock, threads=8))  # type: ignore[arg-type]
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def refusal(client: Client) -> str:
    with pytest.raises(AccessDenied) as caught:
        client.service.find_scale_set("my-runners", 1, IDLE, 0.0)
    return str(caught.value)


@pytest.mark.parametrize(
    ("token", "intact"),
    [
        (INTACT, True),
        (INTACT[:-1] + "8", False),
        (INTACT[:-1], None),
        ("github_pat_11AAA", None),
        ("0123456789abcdef0123456789abcdef01234567", None),
    ],
)
def test_a_token_with_a_checksum_tells_whether_it_was_copied_whole(token: str, intact: bool | None) -> None:
    assert is_intact(token) is intact


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (INTACT, "the token has expired, was revoked, or is another server's (Bad credentials)"),
        (INTACT[:-1] + "8", "the token is wrong: its checksum does not fit, so it was not copied as it was"),
        ("opaque", "the token is wrong, expired or revoked (Bad credentials)"),
    ],
)
def test_a_wrong_token_and_one_that_is_over_are_told_apart(
    connector: Connector, github: Callable[..., SimulatedGitHub], token: str, why: str
) -> None:
    url = github(tokens=("another",)).config_url()

    assert why in refusal(connector(url, token=Secret(token)))


def test_a_token_that_expires_under_a_client_is_told_with_its_date(
    connector: Connector, github: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    client = connector(github(token_lifetime=3 * DAY).config_url())
    client.service.find_scale_set("my-runners", 1, IDLE)
    clock.advance(4 * DAY)

    assert "the token has expired, on 2" in refusal(client)
    assert "UTC (Bad credentials)" in refusal(client)


@pytest.mark.parametrize(("days", "warned"), [(3, True), (13.9, True), (15, False), (0, False)])
def test_the_end_of_a_token_is_warned_of_two_weeks_ahead(
    connector: Connector, github: Callable[..., SimulatedGitHub], days: float, warned: bool
) -> None:
    client = connector(github(token_lifetime=days * DAY).config_url())

    found = check_github(client.settings, clock=client.clock, pool=client.pool, identity=IDENTITY)

    warnings = [one for one in found if one.level is Level.WARNING]
    assert [one.message.startswith("the token expires on 2") for one in warnings] == [True] * warned
    assert len([one for one in found if one.level is Level.OK]) == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02 03:04:05 UTC", 1767323045.0),
        ("2026-01-02 03:04:05 +0100", 1767319445.0),
        ("2026-01-02 03:04:05 -0700", 1767348245.0),
        ("", None),
        ("soon", None),
        ("0000-99-99 00:00:00 UTC", None),
    ],
)
def test_an_expiry_is_read_as_github_writes_it(text: str, seconds: float | None) -> None:
    assert expiry_in({HEADER: text}) == seconds


@pytest.mark.parametrize(
    ("token", "kind", "named", "not_named"),
    [
        (INTACT, CredentialKind.CLASSIC, "admin:org", "fine-grained"),
        ("github_pat_1", CredentialKind.FINE_GRAINED, "Self-hosted runners", "admin:org"),
        ("opaque", CredentialKind.UNKNOWN, "admin:org", "the App"),
    ],
)
def test_the_rights_are_those_of_the_tokens_kind(
    token: str, kind: CredentialKind, named: str, not_named: str
) -> None:
    hints = " ".join(rights(kind_of(token), Kind.ORGANISATION))

    assert kind_of(token) is kind
    assert named in hints
    assert not_named not in hints


@pytest.mark.parametrize("kind", list(CredentialKind))
def test_only_a_classic_token_is_named_for_an_enterprise(kind: CredentialKind) -> None:
    (hint,) = rights(kind, Kind.ENTERPRISE)

    assert "manage_runners:enterprise" in hint


def test_a_fine_grained_token_that_waits_for_approval_is_told(
    connector: Connector, github: Callable[..., SimulatedGitHub]
) -> None:
    simulated = github()
    simulated.inject("F28", kind="pending")
    client = connector(simulated.config_url(), token=Secret("github_pat_11AAA"))

    with pytest.raises(AccessDenied, match="a right is missing") as caught:
        client.service.find_scale_set("my-runners", 1, IDLE, 0.0)

    assert "a fine-grained token may still wait for the organisation's approval" in caught.value.fixes
    assert "GitHub wants the permission organization_self_hosted_runners=write" in caught.value.fixes
