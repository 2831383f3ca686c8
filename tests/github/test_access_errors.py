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
CLASSIC = (
    "`my-org` forbids access via a personal access token (classic). Please use a GitHub App, OAuth App, or a "
    "personal access token with fine-grained permissions."
)
LIFETIME = (
    "The 'my-org' organization forbids access via a fine-grained personal access tokens if the token's "
    "lifetime is greater than 366 days. Please adjust your token's lifetime at the following URL: "
    "https://github.com/settings/personal-access-tokens/123456789"
)


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


@pytest.mark.parametrize(
    ("path", "text", "cure"),
    [
        ("my-org/app", "Repository level self-hosted runners are disabled on this repository.", "Actions"),
        ("my-org/app", "Repository was archived so is read-only.", "unarchive"),
        ("my-org", CLASSIC, "fine-grained"),
        ("my-org", LIFETIME, "lifetime"),
        ("my-org", "Something that nobody has seen yet.", ""),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Accepted-OAuth-Scopes": "admin:org, repo", "X-OAuth-Scopes": "workflow, admin:org"},
    ],
    ids=["no headers", "scopes that suffice"],
)
def test_a_policy_is_told_in_github_s_own_words_without_advice_about_rights(
    connector: Connector, server: WireServer, path: str, text: str, cure: str, headers: dict[str, str]
) -> None:
    error = denied(connector(f"{server.url}/{path}"), server, 403, text, headers)

    assert isinstance(error, AccessDenied)
    assert f"GitHub forbids it: {text}" in str(error)
    assert "right" not in str(error)
    assert cure in " ".join(error.fixes)
    assert not {"admin:org", "scope", "Administration"} & set(" ".join(error.fixes).split())
    assert len(error.fixes) == bool(cure)


def test_a_policy_is_told_though_the_headers_name_a_permission(client: Client, server: WireServer) -> None:
    headers = {"X-Accepted-GitHub-Permissions": "administration=write"}

    error = denied(client, server, 403, "Self-hosted runners are disabled by policy.", headers)

    assert "GitHub forbids it" in str(error)
    assert "administration" not in " ".join(error.fixes)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/api/v3/orgs/new-name/actions/runners/registration-token", "new-name"),
        ("/api/v3/repos/new/app%20x/actions/runners/registration-token", "new/app x"),
        ("/api/v3/organizations/77/actions/runners/registration-token", "/api/v3/organizations/77/actions"),
    ],
)
@pytest.mark.parametrize(("status", "kind"), [(403, AccessDenied), (404, NotFound)])
def test_a_refusal_after_a_redirect_names_it_and_the_new_name(
    client: Client, server: WireServer, target: str, name: str, status: int, kind: type[GitHubError]
) -> None:
    server.on("POST", "orgs/my-org/", answer(None, 301, {"Location": target}))
    server.on("POST", target, answer({"message": "No."}, status))

    with pytest.raises(kind) as caught:
        client.service.find_scale_set("my-runners", 1, IDLE)

    assert f"GitHub redirects {server.url}/my-org to {name}" in str(caught.value)
    assert name in caught.value.fixes[0]


@pytest.mark.parametrize("status", [403, 404])
def test_a_registration_that_is_refused_after_a_redirect_names_it_too(
    client: Client, server: WireServer, status: int
) -> None:
    target = "/api/v3/orgs/new-name/actions/runners/registration-token"
    server.on("POST", "orgs/my-org/", answer(None, 307, {"Location": target}), times=9)
    server.on("POST", "runner-registration", answer({"message": "No."}, status), times=99)

    with pytest.raises(GitHubError, match=r"GitHub redirects .*/my-org to new-name"):
        client.service.find_scale_set("my-runners", 1, IDLE)


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
    for reason in ("does not exist", "was renamed", "may not see it"):
        assert reason in str(error)


def test_what_github_says_is_escaped_and_shortened(client: Client, server: WireServer) -> None:
    error = denied(client, server, 403, "\x1b[31m" + "x" * 10_000)

    assert "\x1b" not in str(error)
    assert len(str(error)) < 1000
