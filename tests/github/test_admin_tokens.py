"""How admin tokens are fetched and refreshed (docs/protocol.md § 3.1; faults F23, F24, F27, F30 to F33)."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from support.github_client import TOKEN, Client, Connector
from support.wire_server import WireServer, answer, hang

from runscaler.config.secrets import Secret
from runscaler.errors import AccessDenied, GitHubError, Interrupted, ServerError, Unreachable
from runscaler.github.admin_token import AdminToken, read_admin_token
from runscaler.github.base import ScaleSetId
from runscaler.github.jwt import jwt_expiry
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName
from runscaler.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from support.wire_server import Conversation

IDLE = Interrupt()
NONE = answer({"count": 0, "value": []})
FIND = ("GET", "runnerscalesets")
TOKENS = ("POST", "registration-token")
REGISTER = ("POST", "runner-registration")


def jwt(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def find(client: Client, retry_for: float | None = 60.0) -> object:
    return client.service.find_scale_set("my-runners", 1, IDLE, retry_for)


def admit(server: WireServer, token: str, **headers: str) -> None:
    body = {"url": f"{server.url}/tenant/", "token": token}
    server.on(*REGISTER, answer(body, headers=headers))


def test_the_expiry_of_a_jwt_is_read_without_its_signature() -> None:
    assert jwt_expiry(jwt({"exp": 1_800_003_600})) == 1_800_003_600
    for unreadable in (
        "",
        "opaque",
        "a.b",
        "a.%%%.c",
        "a.e30.c",
        jwt({"exp": "soon"}),
        jwt([1]),
        jwt({"exp": 10**400}),
    ):
        assert jwt_expiry(unreadable) is None


@pytest.mark.parametrize(("lifetime", "margin"), [(3600.0, 120.0), (150.0, 30.0)])
def test_a_token_is_renewed_two_minutes_or_a_fifth_of_its_life_early(lifetime: float, margin: float) -> None:
    clock = FakeClock()
    theirs = clock.wall() - 5000

    held = read_admin_token(
        {"url": "http://a/", "token": jwt({"exp": theirs + lifetime})}, clock, theirs, secure=False
    )

    early = held.expires_at - held.refresh_at
    assert held.expires_at == clock.wall() + lifetime
    assert margin < early <= margin + 15


@pytest.mark.parametrize("token", ["opaque", jwt({}), jwt({"exp": 1000})])
def test_a_token_whose_end_is_not_known_or_over_holds_for_five_minutes(
    client: Client, server: WireServer, token: str
) -> None:
    for _ in range(2):
        admit(server, token)
    server.on(*FIND, NONE, times=10)

    find(client)
    client.clock.advance(299)
    find(client)
    assert len(server.requests(*REGISTER)) == 1
    client.clock.advance(2)
    find(client)

    assert len(server.requests(*REGISTER)) == 2


def test_a_refresh_is_both_steps_and_the_new_address_counts_from_the_next_call_on(
    client: Client, server: WireServer
) -> None:
    now = client.clock.wall()
    admit(server, jwt({"exp": now + 3600}), Date=formatdate(now, usegmt=True))
    moved = {"url": f"{server.url}/elsewhere/", "token": "second"}
    server.on(*REGISTER, answer(moved))
    server.on(*FIND, NONE, times=10)

    find(client)
    client.clock.advance(3600 - 100)
    find(client)

    assert [len(server.requests(*step)) for step in (TOKENS, REGISTER)] == [2, 2]
    assert server.seen[-1].target.startswith("/elsewhere/_apis/")
    assert server.seen[-1].headers["authorization"] == "Bearer second"


def test_an_early_refresh_that_fails_goes_on_with_the_token_that_still_holds(
    client: Client, server: WireServer
) -> None:
    now = client.clock.wall()
    admit(server, jwt({"exp": now + 3600}), Date=formatdate(now, usegmt=True))
    server.on(*FIND, NONE, times=10)
    find(client)

    server.on(*TOKENS, answer(None, 500), times=100)
    client.clock.advance(3500)
    find(client)
    client.clock.advance(101)

    with pytest.raises(ServerError):
        find(client, 5.0)


def test_a_401_renews_the_admin_jwt_once_and_repeats_the_call_once(
    client: Client, server: WireServer
) -> None:
    server.on(*FIND, answer(None, 401), NONE)

    assert find(client) is None

    assert len(server.requests(*FIND)) == 2
    assert len(server.requests(*REGISTER)) == 2
    assert client.reports == []


def test_a_401_after_the_renewal_is_denied_access_and_no_refresh_storm(
    client: Client, server: WireServer
) -> None:
    server.on(*FIND, answer(None, 401), times=100)

    for _ in range(3):
        with pytest.raises(AccessDenied):
            find(client)

    assert client.clock.pauses == [10.0, 10.0]


def test_one_refresh_serves_all_who_wait_for_it(connector: Connector, server: WireServer) -> None:
    clients = [connector(f"{server.url}/my-org", name) for name in "abcdefgh"]
    admit(server, "first")
    admit(server, "second")

    def first_is_over(conversation: Conversation) -> None:
        good = conversation.seen.headers["authorization"] == "Bearer second"
        (NONE if good else answer(None, 401))(conversation)

    server.on(*FIND, first_is_over, times=100)
    found: list[object] = []

    threads = [threading.Thread(target=lambda each=each: found.append(find(each))) for each in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert found == [None] * len(clients)
    assert len(server.requests(*REGISTER)) == 2


def test_a_token_that_cannot_be_refreshed_is_not_used_beyond_its_end() -> None:
    token = AdminToken("https://pipelines.test", Secret("t"), refresh_at=10.0, expires_at=20.0)

    assert token.postponed(15.0).refresh_at == 15.0
    assert token.postponed(25.0).refresh_at == 20.0


class Waiting(Interrupt):
    """Sets `reached` when a call begins to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def cancelling(self, cancel: Callable[[], None]) -> AbstractContextManager[None]:
        self.reached.set()
        return super().cancelling(cancel)


def test_an_earlier_failure_is_not_raised_to_who_waited_for_a_refresh_that_was_interrupted(
    connector: Connector, server: WireServer
) -> None:
    client = connector(f"{server.url}/my-org")
    admin_tokens, _ = connector.pool.for_scale_set(client.settings)
    server.on(*TOKENS, answer({"message": "Bad credentials"}, 401), hang, answer({"token": "t"}, 201))
    admit(server, "admin")
    with pytest.raises(AccessDenied):
        admin_tokens.current("agent", IDLE, 10.0)
    refreshing, waiting = Interrupt(), Waiting()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(admin_tokens.current, "agent", refreshing, 10.0)
        server.wait_for(*TOKENS, 2)
        second = pool.submit(admin_tokens.current, "agent", waiting, 10.0)
        assert waiting.reached.wait(30)

        refreshing.set()

        assert isinstance(first.exception(), Interrupted)
        assert second.result().token == Secret("admin")


def test_a_failed_refresh_fails_all_who_waited_for_it(connector: Connector, server: WireServer) -> None:
    clients = [connector(f"{server.url}/my-org", name) for name in "abcdefgh"]
    go_on = threading.Event()

    def fail_late(conversation: Conversation) -> None:
        go_on.wait(30)
        answer({"message": "Bad credentials"}, 401)(conversation)

    server.on(*TOKENS, fail_late, times=100)
    errors: list[GitHubError] = []

    def attempt(client: Client) -> None:
        try:
            find(client)
        except GitHubError as error:
            errors.append(error)

    threads = [threading.Thread(target=attempt, args=(each,)) for each in clients]
    for thread in threads:
        thread.start()
    server.wait_for(*TOKENS)
    go_on.set()
    for thread in threads:
        thread.join(30)

    assert [type(error) for error in errors] == [AccessDenied] * len(clients)


def test_a_registration_token_that_has_not_spread_yet_is_tried_again_in_silence(
    client: Client, server: WireServer
) -> None:
    server.on(*REGISTER, answer(None, 401), answer(None, 403))
    server.on(*FIND, NONE)

    find(client)

    assert len(server.requests(*TOKENS)) == 1
    assert len(server.requests(*REGISTER)) == 3
    assert client.reports == []


def test_a_registration_token_that_stays_refused_is_fetched_anew_once(
    client: Client, server: WireServer
) -> None:
    server.on(*REGISTER, answer(None, 401), times=100)

    with pytest.raises(AccessDenied):
        find(client)

    assert len(server.requests(*TOKENS)) == 2
    assert len(server.requests(*REGISTER)) == 10


def test_a_call_with_little_time_reports_a_refusal_that_stays(client: Client, server: WireServer) -> None:
    server.on(*REGISTER, answer({"message": "not allowed here"}, 403), times=100)

    with pytest.raises(AccessDenied, match="not allowed here"):
        find(client, 10.0)

    assert sum(client.clock.pauses) < 10


@pytest.mark.parametrize(
    "body",
    [
        {"token": "x"},
        {"url": "http://h:99999/", "token": "x"},
        {"url": "", "token": "x"},
        {"url": "http://a/"},
        {},
        [],
    ],
)
def test_a_registration_without_url_or_token_is_tried_again(
    client: Client, server: WireServer, body: object
) -> None:
    server.on(*REGISTER, answer(body))
    server.on(*FIND, NONE)

    assert find(client) is None
    assert len(server.requests(*REGISTER)) == 2


def test_a_registration_token_reply_without_a_token_is_tried_again(
    client: Client, server: WireServer
) -> None:
    server.on(*TOKENS, answer({"token": ""}, 201))
    server.on(*FIND, NONE)

    assert find(client) is None


def test_a_jit_configuration_survives_trouble_with_the_tokens_before_it(
    client: Client, server: WireServer
) -> None:
    server.on(*TOKENS, answer(None, 500), answer(None, 500))
    body = {"runner": {"id": 7}, "encodedJITConfig": "e30="}
    server.on("POST", "generatejitconfig", answer(body))

    made = client.service.jit_config(ScaleSetId(42), RunnerName("runner-0a1b2c3d"), IDLE, 60.0)

    assert made.runner_id == 7


def test_sets_of_one_credential_and_url_share_the_admin_token_others_do_not(
    connector: Connector, server: WireServer
) -> None:
    server.on(*FIND, NONE, times=100)
    url = f"{server.url}/my-org"

    find(connector(url, "a"))
    find(connector(url + "/", "b"))
    assert len(server.requests(*REGISTER)) == 1
    find(connector(f"{server.url}/other-org", "a"))
    find(connector(url, "c", token=Secret("another")))

    bearers = [seen.headers["authorization"] for seen in server.requests(*TOKENS)]
    assert bearers == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", "Bearer another"]


def test_the_token_is_in_no_error(client: Client, server: WireServer) -> None:
    server.on(*TOKENS, answer({"message": "Bad credentials"}, 401))

    with pytest.raises(AccessDenied) as caught:
        find(client)

    assert TOKEN not in f"{caught.value!r} {caught.value} {caught.value.fixes}"


def test_a_token_from_github_that_no_header_can_hold_is_neither_sent_nor_shown(
    client: Client, server: WireServer
) -> None:
    admit(server, "s3cr3t\r\nX-Other: 1")

    with pytest.raises(Unreachable, match="characters that cannot be sent") as caught:
        find(client, 0.0)

    assert "s3cr3t" not in f"{caught.value!r}"


def test_a_reply_without_a_date_counts_by_our_own_clock() -> None:
    clock = FakeClock()

    held = read_admin_token(
        {"url": "http://a/", "token": jwt({"exp": clock.wall() + 600})}, clock, None, secure=False
    )

    assert held.expires_at == clock.wall() + 600


def test_retries_end_in_time_while_no_token_can_be_had(client: Client, server: WireServer) -> None:
    server.on(*TOKENS, answer(b"<html>"), times=100)

    with pytest.raises(Unreachable):
        find(client, 20.0)

    assert sum(client.clock.pauses) < 20


# -- a token in a file (fault F99) --------------------------------------------------------------------

DENIED = answer({"message": "Bad credentials"}, 401)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("ghp_old\n")
    return file


@pytest.fixture
def filed(connector: Connector, server: WireServer, file: Path) -> Client:
    """A client whose token stands in `file`."""
    return connector(f"{server.url}/my-org", token=Secret("ghp_old", file))


def sent_tokens(server: WireServer) -> list[str]:
    return [seen.headers["authorization"].removeprefix("Bearer ") for seen in server.requests(*TOKENS)]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refused_token_is_read_anew_and_tried_at_once_if_it_is_another(
    filed: Client, server: WireServer, file: Path, status: int
) -> None:
    server.on(*TOKENS, answer({"message": "No."}, status))
    server.on(*FIND, NONE)
    file.write_text("ghp_new\n")

    assert find(filed) is None
    assert sent_tokens(server) == ["ghp_old", "ghp_new"]


def test_a_file_that_is_replaced_after_a_refusal_heals_the_next_call(
    filed: Client, server: WireServer, file: Path
) -> None:
    server.on(*TOKENS, DENIED, times=2)
    server.on(*FIND, NONE)
    with pytest.raises(AccessDenied) as caught:
        find(filed)
    assert caught.value.fixes[0] == (
        f"make a new token and write it to {file}, which is read again at each try"
    )

    file.write_text("ghp_new")

    assert find(filed) is None
    assert sent_tokens(server) == ["ghp_old", "ghp_old", "ghp_new"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"", "is empty"), (b"two words", "no token has"), (b"\xff", "not UTF-8")],
)
def test_a_file_without_a_token_keeps_the_old_one_and_is_named(
    filed: Client, server: WireServer, file: Path, content: bytes | None, problem: str
) -> None:
    server.on(*TOKENS, DENIED)
    server.on(*FIND, NONE)
    file.unlink() if content is None else file.write_bytes(content)

    with pytest.raises(AccessDenied) as caught:
        find(filed)
    assert str(file) in caught.value.fixes[0]
    assert problem in caught.value.fixes[0]

    assert find(filed) is None
    assert sent_tokens(server) == ["ghp_old", "ghp_old"]


def test_a_token_that_is_refused_again_is_asked_for_once_more_only(
    filed: Client, server: WireServer, file: Path
) -> None:
    server.on(*TOKENS, DENIED, times=9)
    file.write_text("ghp_new")

    with pytest.raises(AccessDenied):
        find(filed)

    assert sent_tokens(server) == ["ghp_old", "ghp_new"]
