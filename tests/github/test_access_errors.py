"""Why GitHub rejects a credential: a message for each cause, with what to do (faults F27, F28, F30)."""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from support.wire_server import WireServer, answer

from runscaler.errors import AccessDenied, GitHubError, NotFound
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.github_client import Client, Connector

IDLE = Interrupt()


def denied(
    client: Client, server: WireServer, status: int, message: str, headers: Mapping[str, str] | None = None
) -> GitHubError:
    now = formatdate(client.clock.wall(), usegmt=True)
    body = {"message": message, "documentation_url": "https://docs", "status": str(status)}
    server.on("POST", "registration-token", answer(body, status, {"Date": now, **(headers or {})}))
    with pytest.raises(GitHubError) as caught:
        client.service.find_scale_set("my-runners", 1, IDLE)
    assert caught.value.request_id == "AB12:CD"
    return caught.value


def test_a_bad_token_names_the_rights_that_a_good_one_needs(client: Client, server: WireServer) -> None:
    error = denied(client, server, 401, "Bad credentials")

    assert isinstance(error, AccessDenied)
    assert "the token is wrong, expired or revoked (Bad credentials)" in str(error)
    assert "clock" not in str(error)
    assert "admin:org" in " ".join(error.fixes)


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("my-org", "admin:org"),
        ("my-org/app", "the scope repo"),
        ("enterprises/acme", "manage_runners:enterprise"),
    ],
)
def test_the_rights_are_those_of_the_urls_kind(
    connector: Connector, server: WireServer, path: str, right: str
) -> None:
    error = denied(connector(f"{server.url}/{path}"), server, 403, "Must have admin rights.")

    assert "a right is missing" in str(error)
    assert right in " ".join(error.fixes)


@pytest.mark.parametrize(
    ("offset", "said"),
    [(-900, "15 min ahead of GitHub's"), (120, "2 min behind GitHub's"), (45, "45 s behind GitHub's")],
)
def test_a_wrong_clock_is_named_with_its_amount(
    client: Client, server: WireServer, offset: float, said: str
) -> None:
    date = formatdate(client.clock.wall() + offset, usegmt=True)

    error = denied(client, server, 401, "Bad credentials", {"Date": date})

    assert f"this host's clock is {said}" in str(error)


@pytest.mark.parametrize("status", [403, 404])
def test_single_sign_on_prints_the_url_that_authorises_the_token(
    client: Client, server: WireServer, status: int
) -> None:
    link = "https://github.com/orgs/my-org/sso?authorization_request=A1"

    error = denied(client, server, status, "Resource protected", {"X-GitHub-SSO": f"required; url={link}"})

    assert isinstance(error, AccessDenied)
    assert "single sign-on" in str(error)
    assert link in error.fixes[0]


def test_a_missing_permission_is_named_from_the_header(client: Client, server: WireServer) -> None:
    headers = {"X-Accepted-GitHub-Permissions": "organization_self_hosted_runners=write"}

    error = denied(client, server, 403, "Resource not accessible by personal access token", headers)

    assert "organization_self_hosted_runners=write" in error.fixes[0]


def test_a_missing_scope_is_named_beside_those_that_the_token_has(client: Client, server: WireServer) -> None:
    headers = {"X-Accepted-OAuth-Scopes": "admin:org", "X-OAuth-Scopes": "repo"}

    error = denied(client, server, 403, "Must have admin rights to Organization.", headers)

    assert error.fixes[0] == "GitHub wants the scope admin:org; the token has repo"


def test_an_ip_allow_list_is_named(client: Client, server: WireServer) -> None:
    text = "Although you appear to have the correct authorization credentials, the `my-org` organization has "
    text += "an IP allow list enabled, and your IP address is not permitted to access this resource."

    error = denied(client, server, 403, text)

    assert "this host's address is not allowed" in str(error)
    assert "IP allow list" in error.fixes[0]


def test_a_suspended_installation_is_named(client: Client, server: WireServer) -> None:
    assert "suspended" in str(denied(client, server, 403, "This installation has been suspended"))


def test_a_404_names_all_three_reasons(client: Client, server: WireServer) -> None:
    error = denied(client, server, 404, "Not Found")

    assert isinstance(error, NotFound)
    for reason in ("does not exist", "may not see it", "App"):
        assert reason in str(error)


def test_what_github_says_is_escaped_and_shortened(client: Client, server: WireServer) -> None:
    error = denied(client, server, 403, "\x1b[31m" + "x" * 10_000)

    assert "\x1b" not in str(error)
    assert len(str(error)) < 1000
