"""A GitHub App as the credential, against the simulator: its tokens, and each way that GitHub refuses it
(docs/protocol.md § 3.1 to 3.3; faults F29, F30)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.app_keys import CLIENT_ID, private_key, public_key

from runscaler.config.model import AppSettings
from runscaler.config.secrets import Secret
from runscaler.errors import AccessDenied, GitHubError, NotFound, ServerError
from runscaler.interrupt import Interrupt
from runscaler.testing.simulator import App, Installation, Match, Options, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.github_client import Client, Connector

    from runscaler.testing.clock import FakeClock

IDLE = Interrupt()
APPS = (App((CLIENT_ID, "12345"), public_key()),)
MINE = Installation(7, "my-org")


@pytest.fixture
def simulated(clock: FakeClock) -> Iterator[Callable[..., SimulatedGitHub]]:
    """`simulated(**options)`: a GitHub that knows the App, and whose clock is the client's."""
    made: list[SimulatedGitHub] = []

    def start(**options: Any) -> SimulatedGitHub:
        chosen = Options(**{"apps": APPS, "installations": (MINE,), **options})
        made.append(SimulatedGitHub(chosen, clock=clock, threads=8))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.stop()


def settings(**changed: Any) -> AppSettings:
    key = changed.pop("key", None) or Secret(private_key())
    return AppSettings(**{"client_id": CLIENT_ID, "private_key": key, **changed})


def as_app(connector: Connector, url: str, name: str = "my-runners", **changed: Any) -> Client:
    return connector(url, name, token=None, app=settings(**changed))


def find(client: Client) -> object:
    return client.service.find_scale_set(client.settings.name, 1, IDLE, 0.0)


def refusal(client: Client) -> GitHubError:
    with pytest.raises((AccessDenied, NotFound)) as caught:
        find(client)
    return caught.value


class Counted:
    """How often a path was asked for, by a fault that does nothing."""

    def __init__(self, github: SimulatedGitHub, method: str, path: str) -> None:
        self._github = github
        self._id = github.inject("delay", count=None, match=Match(method, path), seconds=0.0)

    @property
    def times(self) -> int:
        return self._github.hits(self._id)


# -- it works ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", [CLIENT_ID, "12345"])
@pytest.mark.parametrize("installation", [None, 7])
@pytest.mark.parametrize("scope", ["my-org", "My-Org/App"])
def test_an_app_serves_organisations_and_repositories_with_and_without_the_installations_id(
    connector: Connector,
    simulated: Callable[..., SimulatedGitHub],
    identity: str,
    installation: int | None,
    scope: str,
) -> None:
    github = simulated()
    client = as_app(connector, github.config_url(scope), client_id=identity, installation_id=installation)

    assert find(client) is None
    assert github.violations() == ()


def test_sets_of_one_installation_share_its_token_and_others_do_not(
    connector: Connector, simulated: Callable[..., SimulatedGitHub]
) -> None:
    github = simulated(installations=(MINE, Installation(8, "other-org")))
    tokens, lookups = Counted(github, "POST", "/access_tokens"), Counted(github, "GET", "/installation")
    urls = ["my-org", "my-org/a", "my-org/b", "my-org/a"]
    for number, scope in enumerate(urls):
        find(as_app(connector, github.config_url(scope), f"set-{number}"))
    find(as_app(connector, github.config_url("my-org/c"), "given", installation_id=7))

    assert (tokens.times, lookups.times) == (1, 3)
    find(as_app(connector, github.config_url("other-org"), "other"))
    assert (tokens.times, lookups.times) == (2, 4)


def test_over_hours_the_token_is_renewed_ahead_of_its_end(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    github = simulated()
    counted = Counted(github, "POST", "/access_tokens")
    refused = Counted(github, "POST", "/registration-token")
    clients = [as_app(connector, github.config_url(f"my-org/{name}"), name) for name in "abcdef"]
    for _ in range(6 * 12):
        for client in clients:
            find(client)
        clock.advance(300)

    assert 6 <= counted.times <= 8
    assert refused.times <= 6 * 8
    assert github.violations() == ()


def test_a_renewal_that_fails_goes_on_with_the_token_that_still_holds(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    github = simulated()
    one, other = (as_app(connector, github.config_url(f"my-org/{name}"), name) for name in "ab")
    find(one)
    clock.advance(3600 - 120)
    github.inject("F13", count=None, match=Match("POST", "/access_tokens"))

    assert find(other) is None
    clock.advance(180)
    with pytest.raises(ServerError):
        find(as_app(connector, github.config_url("my-org/c"), "c"))


def test_a_revoked_token_is_replaced_at_once(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    from runscaler.simulator.tokens import TokenKind

    github = simulated()
    one, other = (as_app(connector, github.config_url(f"my-org/{name}"), name) for name in "ab")
    find(one)
    clock.advance(120)
    github._machine.store.tokens.expire(TokenKind.INSTALLATION)

    assert find(other) is None


def test_a_token_that_is_refused_when_new_is_not_fetched_again_and_again(
    connector: Connector, simulated: Callable[..., SimulatedGitHub]
) -> None:
    github = simulated()
    counted = Counted(github, "POST", "/access_tokens")
    github.inject("F27")

    error = refusal(as_app(connector, github.config_url()))

    assert "the installation's token was revoked (Bad credentials)" in str(error)
    assert counted.times == 1


def test_a_key_that_was_replaced_on_disk_is_read_when_github_refuses_the_old_one(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], tmp_path: Path
) -> None:
    file = tmp_path / "app.pem"
    file.write_text(private_key("old"))
    github = simulated()
    key = Secret(private_key("old"), file)
    client = as_app(connector, github.config_url(), key=key)

    told = refusal(client)
    file.write_text("oops")
    broken = refusal(client)
    file.write_text(private_key())

    assert told.fixes[0] == (
        f"make a private key on the App's page, and write it to {file}, which is read again at each try"
    )
    assert broken.fixes[0] == (
        "mend the key's file, which is read again at each try "
        f"(file:{file}: it is no private key in PEM form, or was cut off)"
    )
    assert find(client) is None


def test_an_app_that_is_installed_anew_has_another_id_which_is_looked_up(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    from runscaler.simulator.apps import Installations

    github = simulated()
    store = github._machine.store
    client = as_app(connector, github.config_url())
    find(client)
    store.installations = Installations((Installation(9, "my-org"),), store.places)
    clock.advance(2 * 3600)

    refusal(client)
    assert find(client) is None


# -- organisations and repositories that are renamed ---------------------------------------------------


def test_the_apps_installation_tells_the_new_name_of_an_organisation(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    github = simulated()
    clients = [as_app(connector, github.config_url(scope), scope[-1]) for scope in ("my-org", "my-org/app")]
    for client in clients:
        find(client)
    github.rename("my-org", "new-org")
    clock.advance(2 * 3600)

    for client in clients:
        assert find(client) is None
    assert [client.service.moved_to() for client in clients] == [
        github.config_url("new-org"),
        github.config_url("new-org/app"),
    ]
    assert github.violations() == ()


def test_an_installation_of_another_owner_is_never_taken_for_a_rename(
    connector: Connector, simulated: Callable[..., SimulatedGitHub]
) -> None:
    github = simulated()
    registrations = Counted(github, "POST", "/actions/runner-registration")
    client = as_app(connector, github.config_url("other"), installation_id=7)

    for _ in range(2):
        refusal(client)

    assert registrations.times == 0
    assert client.service.moved_to() == ""


# -- it is refused: each in its own words -----------------------------------------------------------


def test_each_refusal_of_an_app_has_its_own_line_and_cure(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    github = simulated(installations=(MINE, Installation(8, "away", suspended=True)))
    here = github.config_url()
    lines = {
        "key": refusal(as_app(connector, here, key=Secret(private_key("other")))),
        "app": refusal(as_app(connector, here, client_id="Iv1.unknown")),
        "issuer": refusal(as_app(connector, here, client_id="Iv1_0a")),
        "installation": refusal(as_app(connector, here, installation_id=99)),
        "not installed": refusal(as_app(connector, github.config_url("nobody"))),
        "repository": refusal(as_app(connector, github.config_url("nobody/app"))),
        "suspended": refusal(as_app(connector, github.config_url("away"))),
        "other owner": refusal(as_app(connector, github.config_url("other"), installation_id=7)),
    }
    expected = {
        "key": ("the private key is not one of the App Iv1.0a1b2c3d4e5f", "make a private key"),
        "app": ("there is no App Iv1.unknown here", "check client-id"),
        "issuer": ("Iv1_0a is no App's id", "give client-id as the App's page shows it"),
        "installation": ("has no such installation, or not any more", "leave it out"),
        "not installed": ("is not installed for nobody, or nobody does not exist", "install it for nobody"),
        "repository": ("is not installed for nobody/app", "with access to the repository"),
        "suspended": ("the App's installation is suspended", "lift the App's suspension"),
        "other owner": ("the App's installation is my-org's", "correct url"),
    }

    assert len({str(error) for error in lines.values()}) == len(lines)
    for name, (why, cure) in expected.items():
        assert why in str(lines[name]), name
        assert cure in lines[name].fixes[0], name
        assert not [fix for fix in lines[name].fixes if "classic" in fix], name


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (600, "10 min behind GitHub's"),
        (-600, "10 min ahead of GitHub's"),
        (-900, "15 min ahead of GitHub's"),
        (-120, "2 min ahead of GitHub's"),
    ],
)
def test_a_wrong_clock_is_told_apart_with_its_amount(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], seconds: float, words: str
) -> None:
    github = simulated()
    github.inject("F30", seconds=float(seconds))

    error = refusal(as_app(connector, github.config_url()))

    assert f"this host's clock is {words}, so it refuses the App's JWT" in str(error)
    assert error.fixes == ("set this host's clock, best by NTP",)


@pytest.mark.parametrize("seconds", [120, 300, -45])
def test_a_clock_that_is_a_little_wrong_does_no_harm(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], seconds: float
) -> None:
    github = simulated()
    github.inject("F30", seconds=float(seconds))

    assert find(as_app(connector, github.config_url())) is None


@pytest.mark.parametrize(
    ("kind", "why", "cure"),
    [
        ("integration", "a right is missing", "GitHub wants the permission"),
        ("ip", "this host's address is not allowed", "IP allow list"),
        ("hidden", "the GitHub App Iv1.0a1b2c3d4e5f may not see it", "check the spelling"),
    ],
)
def test_what_the_installation_may_not_names_the_apps_permissions_and_no_scopes(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], kind: str, why: str, cure: str
) -> None:
    github = simulated()
    github.inject("F28", kind=kind)

    error = refusal(as_app(connector, github.config_url()))

    assert why in str(error)
    assert cure in error.fixes[0]
    assert "admin:org" not in " ".join(error.fixes)


def test_permissions_that_were_given_since_need_another_token(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], clock: FakeClock
) -> None:
    github = simulated()
    counted = Counted(github, "POST", "/access_tokens")
    one, other = (as_app(connector, github.config_url(f"my-org/{name}"), name) for name in "ab")
    find(one)
    clock.advance(120)
    github.inject("F28", count=1, kind="integration")

    assert find(other) is None
    assert counted.times == 2


def test_no_secret_of_the_app_stands_in_an_error(
    connector: Connector, simulated: Callable[..., SimulatedGitHub], log_lines: list[str]
) -> None:
    github = simulated()
    github.inject("F28", kind="integration")
    client = as_app(connector, github.config_url())
    error = refusal(client)

    shown = " ".join([repr(error), *error.fixes, repr(client.settings), *log_lines])
    assert "BEGIN" not in shown
    assert not [token for token in github.secrets() if token in shown]


def test_the_jwt_holds_what_the_protocol_wants_and_no_more(connector: Connector) -> None:
    import jwt
    from support.wire_server import WireServer, answer

    with WireServer() as server:
        server.on("POST", "/access_tokens", answer({"token": "ghs_1"}, 201))
        find_result = answer({"count": 0, "value": []})
        server.on("GET", "runnerscalesets", find_result)
        find(as_app(connector, f"{server.url}/my-org", installation_id=3))
        (seen,) = server.requests("POST", "/app/installations/3/access_tokens")
        (registered,) = server.requests("POST", "registration-token")

    text = seen.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(
        text, public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
    )
    issued = int(connector.clock.wall()) - 60
    assert claims == {"iat": issued, "exp": issued + 540, "iss": CLIENT_ID}
    assert seen.body == b""
    assert registered.headers["authorization"] == "Bearer ghs_1"


def test_a_token_without_an_end_or_a_broken_reply_is_no_surprise(connector: Connector) -> None:
    from support.wire_server import WireServer, answer

    from runscaler.errors import MalformedReply

    with WireServer() as server:
        server.on("GET", "/installation", answer({"id": "many"}), answer({}), answer({"id": 3}))
        server.on("POST", "/access_tokens", answer({"token": ""}, 201), answer({"token": "ghs_1"}, 201))
        server.on("GET", "runnerscalesets", answer({"count": 0, "value": []}), times=2)
        client = as_app(connector, f"{server.url}/my-org")
        for _ in range(3):
            with pytest.raises(MalformedReply):
                find(client)
        assert find(client) is None
