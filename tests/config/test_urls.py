from __future__ import annotations

import pytest

from runscaler.config.urls import InvalidUrl, Kind, parse_config_url

LINUX: dict[str, str] = {}


@pytest.mark.parametrize(
    ("text", "kind", "path"),
    [
        ("https://github.com/My-Org", Kind.ORGANISATION, "/orgs/My-Org/actions/runners/registration-token"),
        ("https://github.com/o/r/", Kind.REPOSITORY, "/repos/o/r/actions/runners/registration-token"),
        (
            "https://github.com/o/settings",
            Kind.REPOSITORY,
            "/repos/o/settings/actions/runners/registration-token",
        ),
        (
            "https://github.com/Enterprises/Big",
            Kind.ENTERPRISE,
            "/enterprises/Big/actions/runners/registration-token",
        ),
    ],
)
def test_the_kind_follows_from_the_path(text: str, kind: Kind, path: str) -> None:
    url = parse_config_url(text)

    assert url.kind is kind
    assert url.registration_path == path


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("https://github.com/o", "https://api.github.com"),
        ("https://WWW.GitHub.com/o", "https://api.github.com"),
        ("https://octo.ghe.com/o", "https://api.octo.ghe.com"),
        ("http://github.localhost/o", "http://api.github.localhost"),
        ("https://github.com:8443/o", "https://github.com:8443/api/v3"),
        ("http://127.0.0.1:9001/o", "http://127.0.0.1:9001/api/v3"),
        ("http://localhost/o", "http://localhost/api/v3"),
        ("https://ghe.example.com/o/r", "https://ghe.example.com/api/v3"),
        ("https://ghe.com/o", "https://ghe.com/api/v3"),
    ],
)
def test_the_api_url_follows_from_the_host(text: str, base: str) -> None:
    assert parse_config_url(text).api_base(LINUX) == base


def test_the_environment_can_force_an_enterprise_server() -> None:
    url = parse_config_url("https://github.com/o")

    assert url.api_base({"GITHUB_ACTIONS_FORCE_GHES": ""}) == "https://github.com/api/v3"


def test_the_text_is_kept_without_surrounding_slashes() -> None:
    assert parse_config_url(" https://GitHub.com/My-Org// ").text == "https://GitHub.com/My-Org"


def test_the_names_keep_their_spelling() -> None:
    repository = parse_config_url("https://github.com/Octo/Cat")
    enterprise = parse_config_url("https://github.com/enterprises/Big")

    assert (repository.organisation, repository.repository, repository.enterprise) == ("Octo", "Cat", "")
    assert (enterprise.organisation, enterprise.repository, enterprise.enterprise) == ("", "", "Big")


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("github.com/my-org", "no scheme", "https://github.com/my-org"),
        ("my-org", "no scheme", "https://github.com/my-org"),
        ("", "no scheme", "https://github.com/my-org"),
        ("ssh://github.com/o", "scheme is 'ssh'", ""),
        ("https:///o", "no host", ""),
        ("https://github.com", "no path", "https://github.com/my-org"),
        ("https://me:pw@github.com/o", "user name or password", "give the credential as token"),
        ("https://github.com/o?tab=x", "a query", "https://github.com/o"),
        ("https://github.com/o/#x", "a fragment", "https://github.com/o"),
        ("https://github.com/o//r", "empty part", "https://github.com/o/r"),
        ("https://github.com/o/..", "a part that is no name", ""),
        ("https://github.com/./o", "a part that is no name", ""),
        ("https://github.com/orgs/X", "begins with orgs/", "https://github.com/X"),
        ("https://github.com/organizations/X/settings/actions", "organizations/", "https://github.com/X"),
        ("https://github.com/users/X", "begins with users/", "https://github.com/X"),
        ("https://github.com/settings/tokens", "settings page", "https://github.com/my-org"),
        ("https://github.com/o/r/settings/actions", "settings page", "https://github.com/o/r"),
        ("https://github.com/enterprises/", "names no enterprise", "https://github.com/enterprises/NAME"),
        ("https://github.com/o/r.git", "ends in .git", "https://github.com/o/r"),
        ("https://github.com/o/r/tree/main", "has 4 parts", "https://github.com/o/r"),
        ("https://github.com/my org", "a space", ""),
        ("https://github.com:port/o", "not a URL", ""),
        ("https://[::1/o", "not a URL", ""),
        ("git@github.com:o/r.git", "a Git repository over SSH", "https://github.com/o/r"),
        ("ssh://git@ghe.example:2222/o/r.git", "a Git repository over SSH", "https://ghe.example/o/r"),
        ("https://api.github.com/orgs/o", "GitHub's API", "https://github.com/o"),
        ("https://api.github.com/repos/o/r/actions", "GitHub's API", "https://github.com/o/r"),
        ("https://api.github.com", "GitHub's API", "https://github.com/my-org"),
        ("https://api.big.ghe.com/orgs/o", "GitHub's API", "https://big.ghe.com/o"),
        ("https://ghe.example/api/v3/orgs/o", "GitHub's API", "https://ghe.example/o"),
        ("api.github.com/orgs/o", "no scheme", "https://github.com/o"),
        ("github.com/o/r.git", "no scheme", "https://github.com/o/r"),
    ],
)
def test_an_invalid_config_url_is_an_error_with_a_hint(text: str, reason: str, hint: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_config_url(text)

    assert reason in str(caught.value)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "text",
    [
        "https://me:hunter2@github.com/o",
        "me:hunter2@github.com/o",
        "https://me:hunter2@x:y/o",
        "https://me:hunter2/hunter2@github.com/o",
        "https://me:hunter2@hunter2@github.com/o",
    ],
)
def test_a_credential_in_the_url_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_config_url(text)

    assert "hunter2" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1:9001", "localhost", "[::1]:80", "x.localhost"])
def test_http_on_this_host_is_fine(host: str) -> None:
    assert parse_config_url(f"http://{host}/o").warning == ""


def test_http_to_another_host_is_warned_about() -> None:
    assert "in the clear" in parse_config_url("http://ghe.example.com/o").warning
    assert parse_config_url("https://ghe.example.com/o").warning == ""
