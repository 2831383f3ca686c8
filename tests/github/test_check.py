from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from support.github_client import IDENTITY, Client, Connector
from support.wire_server import WireServer, answer

from runscaler.findings import Level
from runscaler.github.check import check_github

if TYPE_CHECKING:
    from runscaler.findings import Finding

FIND = ("GET", "runnerscalesets")


def check(client: Client, **changed: object) -> list[Finding]:
    settings = client.settings.model_copy(update=changed)
    return check_github(settings, clock=client.clock, pool=client.pool, identity=IDENTITY)


def test_all_well_is_three_passed_steps_and_no_change_at_github(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer({"count": 0, "value": []}))

    found = check(client)

    assert [finding.level for finding in found] == [Level.OK] * 3
    assert [finding.message for finding in found] == [
        f"GitHub answers and takes the token for the organisation {server.url}/my-org",
        "the runner group 'default' exists",
        "the scale set 'my-runners' will be created",
    ]
    assert {(seen.method, seen.target.split("/")[-1].partition("?")[0]) for seen in server.seen} == {
        ("POST", "registration-token"),
        ("POST", "runner-registration"),
        ("GET", "runnerscalesets"),
    }


def test_a_bad_token_is_one_finding_with_its_fixes(client: Client, server: WireServer) -> None:
    server.on("POST", "registration-token", answer({"message": "Bad credentials"}, 401))

    (finding,) = check(client)

    assert (finding.level, finding.scale_set) == (Level.ERROR, "my-runners")
    assert "wrong, expired or revoked" in finding.message
    assert finding.fixes


@pytest.mark.parametrize(
    ("offset", "words"), [(900, "15 min behind"), (-900, "15 min ahead of"), (119, None), (0, None)]
)
def test_a_wrong_clock_is_a_warning_with_its_amount_although_all_is_well(
    client: Client, server: WireServer, offset: float, words: str | None
) -> None:
    date = formatdate(client.clock.wall() + offset, usegmt=True)
    server.on(*FIND, answer({"count": 0, "value": []}, headers={"Date": date}))

    found = [finding for finding in check(client) if finding.level is not Level.OK]

    assert [finding.level for finding in found] == [Level.WARNING] * (words is not None)
    for finding in found:
        assert f"this host's clock is {words} GitHub's" in finding.message
        assert "NTP" in finding.fixes[0]


def test_a_wrong_clock_is_told_beside_what_failed(client: Client, server: WireServer) -> None:
    date = formatdate(client.clock.wall() - 900, usegmt=True)
    server.on("POST", "registration-token", answer({"message": "No."}, 404, {"Date": date}))

    assert [finding.level for finding in check(client)] == [Level.WARNING, Level.ERROR]


def test_a_missing_group_comes_after_what_is_well(client: Client, server: WireServer) -> None:
    server.on("GET", "runnergroups", answer({"count": 0, "value": []}), times=2)

    found = check(client, runner_group="web")

    assert [finding.level for finding in found] == [Level.OK, Level.ERROR]
    assert "the runner group 'web' does not exist" in found[1].message


def test_a_github_that_does_not_answer_is_an_error(connector: Connector) -> None:
    (finding,) = check(connector("http://sim.invalid/my-org"))

    assert "sim.invalid cannot be resolved" in finding.message


def test_what_the_settings_lack_is_found_without_a_call(client: Client, server: WireServer) -> None:
    messages = [
        check(client, token=None)[0].message,
        check(client, url="https://github.com/orgs/my-org")[0].message,
        check(client, ca="/nowhere.pem")[0].message,
    ]

    assert messages[0] == "no token is given"
    assert "url https://github.com/orgs/my-org cannot be used" in messages[1]
    assert messages[2] == "cannot read the CA certificates in /nowhere.pem: No such file or directory"
    assert server.seen == []
