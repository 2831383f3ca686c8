"""GitHub Apps, their installations, and renames, by the simulator's REST API (docs/protocol.md § 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
import requests
from support.app_keys import CLIENT_ID, private_key, public_key
from support.scale_set_client import USER_AGENT, ScaleSetClient

from runscaler.simulator.places import NameGivenUp, Places
from runscaler.testing.simulator import App, Installation, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = (App((CLIENT_ID, "12345"), public_key()), App(("Iv2.other",), public_key("other")))
INSTALLED = (
    Installation(7, "My-Org"),
    Installation(8, "chosen", repositories=("chosen/app",)),
    Installation(9, "away", suspended=True),
)


@pytest.fixture
def strict() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(Options(apps=APPS, installations=INSTALLED), threads=16) as made:
        yield made


def token(github: SimulatedGitHub, key: str = "app", iss: str = CLIENT_ID, **claims: Any) -> str:
    now = int(github.clock.wall())
    return jwt.encode(
        {"iat": now - 60, "exp": now + 480, "iss": iss, **claims}, private_key(key), algorithm="RS256"
    )


def call(github: SimulatedGitHub, method: str, path: str, bearer: str) -> requests.Response:
    headers = {**USER_AGENT, "Authorization": f"Bearer {bearer}"}
    url = f"{github.url}/api/v3/{path}"
    return requests.request(method, url, headers=headers, timeout=20, allow_redirects=False)


def installation_token(github: SimulatedGitHub, number: int) -> str:
    return str(
        call(github, "POST", f"app/installations/{number}/access_tokens", token(github)).json()["token"]
    )


@pytest.mark.parametrize(
    ("key", "iss", "status", "text"),
    [
        ("app", CLIENT_ID, 201, ""),
        ("app", "12345", 201, ""),
        ("other", "Iv2.other", 201, ""),
        ("other", CLIENT_ID, 401, "A JSON web token could not be decoded"),
        ("app", "Iv2.other", 401, "A JSON web token could not be decoded"),
        ("app", "Iv3", 404, "Integration not found"),
        ("app", " Iv1", 401, "'Issuer' claim ('iss') must be an Integer"),
    ],
)
def test_the_key_must_be_that_of_the_app_which_the_jwt_names(
    strict: SimulatedGitHub, key: str, iss: str, status: int, text: str
) -> None:
    reply = call(strict, "POST", "app/installations/7/access_tokens", token(strict, key, iss))

    assert reply.status_code == status
    assert text in reply.json().get("message", "")
    assert strict.violations() == ()


def test_other_claims_than_the_three_break_a_rule(strict: SimulatedGitHub) -> None:
    call(strict, "POST", "app/installations/7/access_tokens", token(strict, aud="x"))

    assert [one.rule for one in strict.violations()] == [1]


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("orgs/my-org", 7),
        ("orgs/MY-ORG", 7),
        ("repos/my-org/any", 7),
        ("repos/chosen/app", 8),
        ("repos/chosen/other", None),
        ("orgs/nobody", None),
        ("enterprises/big", None),
    ],
)
def test_an_installation_is_found_by_what_it_may_see(
    strict: SimulatedGitHub, path: str, number: int | None
) -> None:
    reply = call(strict, "GET", f"{path}/installation", token(strict))

    assert reply.json().get("id") == number
    assert reply.status_code == (404 if number is None else 200)


def test_an_installation_tells_its_account_and_needs_the_apps_jwt(strict: SimulatedGitHub) -> None:
    reply = call(strict, "GET", "app/installations/7", token(strict))

    assert reply.json()["account"]["login"] == "my-org"
    assert call(strict, "GET", "app/installations/99", token(strict)).status_code == 404
    assert call(strict, "GET", "app/installations/7", "ghp_token").status_code == 401


@pytest.mark.parametrize(
    ("number", "path", "status"),
    [
        (7, "orgs/my-org", 201),
        (7, "repos/my-org/app", 201),
        (7, "orgs/chosen", 404),
        (8, "repos/chosen/app", 201),
        (8, "repos/chosen/other", 404),
        (7, "enterprises/big", 404),
    ],
)
def test_a_token_is_good_for_its_installation_only(
    strict: SimulatedGitHub, number: int, path: str, status: int
) -> None:
    made = installation_token(strict, number)

    assert made.startswith(f"ghs_{number}_")
    assert call(strict, "POST", f"{path}/actions/runners/registration-token", made).status_code == status


def test_a_suspended_installation_gets_no_token(strict: SimulatedGitHub) -> None:
    reply = call(strict, "POST", "app/installations/9/access_tokens", token(strict))

    assert (reply.status_code, reply.json()["message"]) == (403, "This installation has been suspended")


def test_without_apps_and_installations_any_are_taken() -> None:
    with SimulatedGitHub(threads=16) as github:
        number = call(github, "GET", "repos/some-org/app/installation", token(github)).json()["id"]
        made = installation_token(github, number)
        reply = call(github, "POST", "orgs/some-org/actions/runners/registration-token", made)

    assert reply.status_code == 201


# -- renames ----------------------------------------------------------------------------------------


def test_calls_with_the_old_name_of_a_repository_are_redirected_to_its_number() -> None:
    with SimulatedGitHub(threads=16) as github:
        client = ScaleSetClient(github, "my-org/app")
        client.log_in()
        github.rename("my-org/app", "new-org/site")
        old = call(github, "POST", "repos/my-org/app/actions/runners/registration-token", "pat")
        where = old.headers["Location"].removeprefix(f"{github.url}/api/v3/")
        followed = call(github, "POST", where, "pat")
        described = call(github, "GET", where.partition("/actions")[0], "pat").json()
        kept = client.call("GET", "_apis/runtime/runnerscalesets", params={"api-version": "6.0-preview"})

    assert (old.status_code, followed.status_code, kept.status_code) == (301, 201, 200)
    assert described["full_name"] == "new-org/site"


@pytest.mark.parametrize(("redirects", "status"), [(None, 404), (True, 301), (False, 404)])
def test_the_old_name_of_an_organisation_is_unknown_unless_it_is_to_be_redirected(
    redirects: bool | None, status: int
) -> None:
    with SimulatedGitHub(threads=16) as github:
        body = {"from": "my-org", "to": "new-org"} | ({} if redirects is None else {"redirects": redirects})
        done = requests.post(
            f"{github.control_url}/renames", headers=github.control_headers, json=body, timeout=20
        )
        path = "actions/runners/registration-token"
        old = call(github, "POST", f"orgs/my-org/{path}", "pat")
        repository = call(github, "POST", f"repos/my-org/app/{path}", "pat")
        new = call(github, "POST", f"orgs/new-org/{path}", "pat")

    assert done.status_code == 204
    assert (old.status_code, repository.status_code, new.status_code) == (status, 301, 201)


@pytest.mark.parametrize("body", [{"from": "a", "to": "b/c"}, {"from": "", "to": ""}, {"from": "a"}, {}])
def test_a_rename_that_cannot_be_is_refused(github: SimulatedGitHub, body: dict[str, str]) -> None:
    done = requests.post(
        f"{github.control_url}/renames", headers=github.control_headers, json=body, timeout=20
    )

    assert done.status_code == 400


def test_places_keep_track_of_chains_and_of_names_that_are_taken_again() -> None:
    places = Places()
    places.rename("a/x", "a/y")
    places.rename("a", "b")
    places.rename("b/y", "c/y")

    assert places.scope("C/Y") == "a/x"
    assert (places.name("a/x"), places.name("a"), places.name("a/z")) == ("c/y", "b", "b/z")
    assert places.owner_of("a/x") == "c"
    for name in ("a/x", "a/y", "b/y"):
        with pytest.raises(NameGivenUp) as caught:
            places.scope(name)
        assert caught.value.scope == "a/x"
