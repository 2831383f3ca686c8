"""Faults F2 to F20 of docs/protocol.md § 10.1, as far as the client is concerned."""

from __future__ import annotations

import socket
import threading
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest
from support.certificates import make_certificate
from support.spoiled_replies import LARGE, SPOILED
from support.wire_server import WireServer, answer, hang_up, head, raw, reset

from runscaler.config.secrets import Secret
from runscaler.errors import GitHubError, Interrupted, RateLimited, Refused, ServerError, Unreachable
from runscaler.github.base import ScaleSetId, Session, SessionId
from runscaler.interrupt import Interrupt
from runscaler.names import RunnerName

if TYPE_CHECKING:
    from pathlib import Path

    from support.github_client import Client, Connector
from support.wire_server import Conversation

IDLE = Interrupt()
ID = ScaleSetId(42)
NONE = answer({"count": 0, "value": []})
FIND = ("GET", "runnerscalesets")
JIT = ("POST", "generatejitconfig")


def find(client: Client, retry_for: float | None = 600.0) -> object:
    return client.service.find_scale_set("my-runners", 1, IDLE, retry_for)


def register(client: Client, name: str = "runner-0a1b2c3d", retry_for: float = 600.0) -> object:
    return client.service.jit_config(ID, RunnerName(name), IDLE, retry_for)


def poll(client: Client, server: WireServer, interrupt: Interrupt = IDLE) -> object:
    session = Session(SessionId("5f0c"), ID, f"{server.url}/queue?session=5f0c", Secret("queue-token"), None)
    return client.service.poll(session, 0, 10, interrupt)


@pytest.mark.parametrize("fault", SPOILED)
def test_a_spoiled_reply_is_asked_for_again(client: Client, server: WireServer, fault: str) -> None:
    server.on(*FIND, SPOILED[fault], SPOILED[fault], SPOILED[fault], NONE)

    assert find(client) is None

    assert len(server.requests(*FIND)) == 4
    assert client.reports[-1] is None


@pytest.mark.parametrize("fault", SPOILED)
def test_a_jit_configuration_is_never_asked_for_twice(client: Client, server: WireServer, fault: str) -> None:
    server.on(*JIT, SPOILED[fault])

    with pytest.raises((Unreachable, ServerError)):
        register(client)

    assert len(server.requests(*JIT)) == 1


@pytest.mark.parametrize("fault", SPOILED)
def test_a_poll_raises_what_went_wrong_at_once(client: Client, server: WireServer, fault: str) -> None:
    server.on("GET", "/queue", SPOILED[fault])

    with pytest.raises((Unreachable, ServerError)):
        poll(client, server)

    assert len(server.seen) == 1
    assert client.clock.pauses == []


def test_a_dropped_connection_is_mended_at_once_and_then_backed_off(
    client: Client, server: WireServer
) -> None:
    server.on(*FIND, reset(), reset(), reset(), NONE)

    find(client)

    assert client.clock.pauses == [0.0, 1.0, 2.0]


def test_the_backoff_grows_to_a_minute(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer(None, 500), times=8)
    server.on(*FIND, NONE)

    find(client, None)

    assert client.clock.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_retries_end_with_the_last_error(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer(b"broken", 500), times=100)

    with pytest.raises(ServerError, match=r"could not find the scale set .* answered 500: broken"):
        find(client, 10.0)

    assert sum(client.clock.pauses) < 10


def test_501_is_final(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer(None, 501))

    with pytest.raises(Refused):
        find(client)


def test_trouble_is_reported_once_per_reason_and_its_end_once(client: Client, server: WireServer) -> None:
    for status in (500, 500, 500, 502, 502):
        server.on(*FIND, answer(None, status, {"X-GitHub-Request-Id": f"{len(server.rules)}"}))
    server.on(*FIND, NONE)

    find(client)

    assert [trouble and trouble.reason.partition("answered ")[2][:3] for trouble in client.reports] == [
        "500",
        "502",
        None,
    ]


def test_html_is_named_with_its_type_request_id_and_beginning(client: Client, server: WireServer) -> None:
    server.on(*FIND, SPOILED["F8 HTML"])

    with pytest.raises(Unreachable, match=r"\(text/html\).*<html>Log in.*\(request AB12:CD\)"):
        find(client, 0.0)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (
            b"\n<!DOCTYPE html><style>p{}</style><title>\n Unicorn! </title><p>x",
            r"a web page, 'Unicorn!' \(request",
        ),
        (b"<html>", r"a web page \(request"),
    ],
)
def test_a_page_in_place_of_an_error_is_known_by_its_title(
    client: Client, server: WireServer, page: bytes, words: str
) -> None:
    server.on(*FIND, answer(page, 404))

    with pytest.raises(GitHubError, match=f"answered 404: {words}"):
        find(client, 0.0)


def test_broken_json_is_not_shown_as_it_may_hold_a_secret(client: Client, server: WireServer) -> None:
    server.on(*JIT, answer(b'{"runner":{"id":1},"encodedJITConfig":"c2VjcmV0!"}'))

    with pytest.raises(Unreachable) as caught:
        register(client)

    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"plain words\x1b[31m"])
def test_an_error_body_that_is_no_json_is_shown_escaped(
    client: Client, server: WireServer, body: bytes
) -> None:
    server.on(*FIND, answer(body, 418))

    with pytest.raises(Refused, match=r"418: (no reason given|plain words\\x1b)"):
        find(client)


def test_odd_casing_unknown_keys_nulls_and_a_byte_order_mark_work(client: Client, server: WireServer) -> None:
    body = '{"COUNT":1,"Value":[{"ID":42,"Name":"my-runners","new":{},"labels":null,"statistics":null}]}'
    server.on(*FIND, answer(b"\xef\xbb\xbf" + body.encode()))

    assert find(client).id == 42


def test_a_refused_connection_is_named_and_tried_again(connector: Connector, server: WireServer) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    client = connector(f"http://127.0.0.1:{port}/my-org")

    with pytest.raises(Unreachable, match=f":{port} refused the connection"):
        find(client, 5.0)

    assert len(client.clock.pauses) >= 2


def test_a_name_that_cannot_be_resolved_is_named(connector: Connector) -> None:
    with pytest.raises(Unreachable, match=r"the name sim.invalid cannot be resolved"):
        find(connector("http://sim.invalid/my-org"), 0.0)


@pytest.mark.parametrize("target", ["https://evil.example/x", "//evil.example/x", "http://127.0.0.1:1/x"])
def test_a_redirect_to_another_host_is_not_followed(client: Client, server: WireServer, target: str) -> None:
    server.on(*FIND, answer(None, 307, {"Location": target}))

    with pytest.raises(Refused, match=r"redirects to .* where the token must not go"):
        find(client)


@pytest.mark.parametrize("target", [b"http://[x", b"/\xe9", b"http://h:99999/"])
def test_a_redirect_to_no_address_is_an_error_and_no_crash(
    client: Client, server: WireServer, target: bytes
) -> None:
    reply = b"HTTP/1.1 307 Moved\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % target
    server.on(*FIND, raw(reply), times=50)

    with pytest.raises(GitHubError):
        find(client, 0.0)


def test_the_body_of_a_redirect_is_as_small_as_any(client: Client, server: WireServer) -> None:
    server.on(*FIND, hang_up(head(307, {"Location": "/moved"}) + b"x" * (9 * 1024 * 1024)))

    with pytest.raises(Unreachable, match="larger than 8 MiB"):
        find(client, 0.0)


def test_a_redirect_on_the_same_host_is_followed_with_method_and_body(
    client: Client, server: WireServer
) -> None:
    server.on("POST", "/orgs/my-org/", answer(None, 307, {"Location": "/moved"}))
    server.on("POST", "/moved", answer({"token": "registration-token"}, 201))
    server.on(*FIND, NONE)

    find(client)

    assert server.requests("POST", "/moved")[0].headers["authorization"].startswith("Bearer ")


def test_redirects_in_a_circle_end(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer(None, 302, {"Location": "?again"}), times=50)

    with pytest.raises(Refused, match="circle"):
        find(client)

    assert len(server.requests(*FIND)) == 4


@pytest.mark.parametrize("status", [403, 429, 503])
def test_retry_after_is_obeyed_and_shown(client: Client, server: WireServer, status: int) -> None:
    server.on(*FIND, answer(None, status, {"Retry-After": "7"}), NONE)

    find(client)

    assert client.clock.pauses == [7.5]
    assert client.reports[0].rate_limited
    assert client.reports[0].reason.startswith("rate limited: could not find the scale set")
    assert "asks for a pause of 7s" in client.reports[0].reason
    assert client.reports[-1] is None


def test_a_rate_limit_holds_every_call_to_that_host_up(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer(None, 429, {"Retry-After": "100"}))
    with pytest.raises(RateLimited) as caught:
        find(client, 30.0)
    before = len(server.seen)

    with pytest.raises(RateLimited, match="rate limited: could not poll the message queue yet"):
        poll(client, server)
    with pytest.raises(RateLimited):
        client.service.remove_runner(1024, IDLE)

    assert caught.value.retry_after == 100
    assert len(server.seen) == before
    client.clock.advance(100)
    server.on("DELETE", "agents/1024", answer(None, 204))
    client.service.remove_runner(1024, IDLE)


def test_a_used_up_rest_budget_does_not_hold_polls_up(client: Client, server: WireServer) -> None:
    reset_at = str(int(client.clock.wall()) + 600)
    limited = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset_at, "Date": ""}
    server.on("POST", "registration-token", answer({"message": "API rate limit exceeded"}, 403, limited))
    server.on("GET", "/queue", answer(None, 202))

    with pytest.raises(RateLimited) as caught:
        find(client, 30.0)

    assert caught.value.retry_after == 601
    assert poll(client, server) is None
    assert len(server.requests("POST", "registration-token")) == 1


def test_secondary_limits_without_a_time_double_from_a_minute(client: Client, server: WireServer) -> None:
    body = {"message": "You have exceeded a secondary rate limit."}
    server.on(*FIND, answer(body, 403), times=3)
    server.on(*FIND, NONE)

    find(client, None)

    assert client.clock.pauses == [60.5, 120.5, 240.5]


def test_a_call_that_goes_through_ends_a_row_of_secondary_limits(client: Client, server: WireServer) -> None:
    limit = answer({"message": "You have exceeded a secondary rate limit."}, 403)
    server.on(*FIND, limit, NONE, limit, NONE)

    find(client, None)
    find(client, None)

    assert client.clock.pauses == [60.5, 60.5]


def test_a_date_to_wait_for_is_by_githubs_clock(client: Client, server: WireServer) -> None:
    theirs = client.clock.wall() + 3600
    dates = {
        "Date": formatdate(theirs, usegmt=True),
        "Retry-After": formatdate(theirs + 30, usegmt=True),
    }
    server.on(*FIND, answer(None, 429, dates), NONE)

    find(client, None)

    assert client.clock.pauses == [30.5]


def test_limits_told_to_calls_that_were_all_under_way_are_one(client: Client, server: WireServer) -> None:
    together = threading.Barrier(5)

    def limit(conversation: Conversation) -> None:
        together.wait(30)
        answer({"message": "You have exceeded a secondary rate limit."}, 403)(conversation)

    server.on(*FIND, NONE)
    find(client)
    server.on(*FIND, limit, times=4)
    asked: list[float] = []

    def call() -> None:
        with pytest.raises(RateLimited) as caught:
            find(client, 0.0)
        asked.append(caught.value.retry_after)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    together.wait(30)
    for thread in threads:
        thread.join(30)

    assert asked == [60.0] * 4


def test_a_jit_configuration_is_asked_for_again_after_a_rate_limit(
    client: Client, server: WireServer
) -> None:
    body = {"runner": {"id": 7, "name": "runner-0a1b2c3d"}, "encodedJITConfig": "e30="}
    server.on(*JIT, answer(None, 429, {"Retry-After": "2"}), answer(body))

    assert register(client).runner_id == 7


def test_a_given_ca_is_trusted_and_connections_are_kept(connector: Connector, tmp_path: Path) -> None:
    context = make_certificate(tmp_path, "IP:127.0.0.1")
    with WireServer(tls=context) as server:
        client = connector(f"{server.url}/my-org", ca=str(tmp_path / "cert.pem"))
        server.on(*FIND, NONE, times=2)

        assert find(client) is None
        assert find(client) is None


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        ("IP:127.0.0.1", False, "not signed by an authority that this host trusts"),
        ("DNS:other.example", True, "is for another name"),
    ],
)
def test_untrusted_certificates_are_told_apart_and_tried_slowly(
    connector: Connector, tmp_path: Path, name: str, trusted: bool, why: str
) -> None:
    context = make_certificate(tmp_path, name)
    with WireServer(tls=context) as server:
        client = connector(f"{server.url}/my-org", ca=str(tmp_path / "cert.pem") if trusted else "")

        with pytest.raises(Unreachable, match=why):
            find(client, 130.0)

    assert client.clock.pauses == [60.0, 60.0]


def test_an_expired_certificate_is_named(connector: Connector, tmp_path: Path) -> None:
    context = make_certificate(tmp_path, "IP:127.0.0.1", days=-1)
    with WireServer(tls=context) as server:
        client = connector(f"{server.url}/my-org", ca=str(tmp_path / "cert.pem"))

        with pytest.raises(Unreachable, match="has expired") as caught:
            find(client, 0.0)

    assert caught.value.fixes == ("check this host's clock",)


def test_a_token_never_goes_to_another_place_than_its_own(connector: Connector, server: WireServer) -> None:
    with WireServer() as actions, WireServer() as queue:
        client = connector(f"{server.url}/my-org")
        handed = {"url": f"{actions.url}/a?tenant=7", "token": "admin-token"}
        server.on("POST", "runner-registration", answer(handed))
        session = {
            "sessionId": "s",
            "messageQueueUrl": f"{queue.url}/q",
            "messageQueueAccessToken": "queue-token",
        }
        actions.on("POST", "sessions", answer(session))
        queue.on("GET", "/q", answer(None, 202))

        opened = client.service.open_session(ID, "host-a", IDLE)
        client.service.poll(opened, 0, 1, IDLE)

        sent = {
            name: {each.headers["authorization"] for each in place.seen}
            for name, place in (("api", server), ("actions", actions), ("queue", queue))
        }
    assert sent == {
        "api": {"Bearer ghp_the-users-s3cr3t", "RemoteAuth registration-s3cr3t"},
        "actions": {"Bearer admin-token"},
        "queue": {"Bearer queue-token"},
    }
    assert actions.seen[0].target.startswith("/a/_apis/")
    assert "?tenant=7&api-version=" in actions.seen[0].target


def test_netrc_has_no_say(
    connector: Connector, server: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password stolen\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.on(*FIND, NONE)

    find(connector(f"{server.url}/my-org"))

    assert {seen.headers["authorization"].split()[0] for seen in server.seen} == {"Bearer", "RemoteAuth"}


def test_cookies_are_not_kept(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer({"count": 0, "value": []}, headers={"Set-Cookie": "a=b"}), NONE)

    find(client)
    find(client)

    assert "cookie" not in server.seen[-1].headers


def test_a_proxy_is_used_but_for_what_no_proxy_names(
    connector: Connector, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer() as proxy:
        proxy.on("POST", "http://ghes.example/api/v3/", answer({"token": "t"}, 201))
        monkeypatch.setenv("NO_PROXY", "inside.invalid")
        client = connector("http://ghes.example/my-org", proxy=proxy.url)
        inside = connector("http://inside.invalid/my-org", proxy=proxy.url)

        with pytest.raises(GitHubError):
            find(client, 0.0)
        with pytest.raises(Unreachable, match=r"inside\.invalid cannot be resolved"):
            find(inside, 0.0)

        assert proxy.seen[0].target.startswith("http://ghes.example/api/v3/orgs/my-org/")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used(
    connector: Connector, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with WireServer() as proxy:
        proxy.on("POST", "http://ghes.example/api/v3/", answer(None, 407))
        monkeypatch.setenv(variable.lower(), proxy.url)

        with pytest.raises(Unreachable, match=r"asks for a user and password \(407\)"):
            find(connector("http://ghes.example/my-org"), 0.0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_or_is_down_is_named_without_its_password(
    connector: Connector, scheme: str
) -> None:
    with WireServer() as proxy:
        for method in ("POST", "CONNECT"):
            proxy.on(method, "ghes.example", answer(None, 407))
        address = proxy.host
        client = connector(f"{scheme}://ghes.example/my-org", proxy=f"http://me:hunter2@{address}")

        with pytest.raises(Unreachable, match=r"does not take our user and password \(407\)") as refused:
            find(client, 0.0)
    with pytest.raises(Unreachable) as down:
        find(client, 0.0)

    for caught in (refused, down):
        assert address in str(caught.value)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_not_said_to_ask_for_a_password(connector: Connector, scheme: str) -> None:
    """Not even if 407, the status with which proxies do that, is elsewhere in what the libraries say."""
    with WireServer() as proxy:
        address = proxy.host
    client = connector(f"{scheme}://ghes-407.example/my-org", proxy=f"http://me:hunter2@{address}")

    with pytest.raises(Unreachable, match=r"the proxy .* does not work \(Connection refused\)"):
        find(client, 0.0)


def test_a_407_without_a_proxy_is_the_servers_own_answer(client: Client, server: WireServer) -> None:
    server.on(*FIND, answer(None, 407))

    with pytest.raises(Refused, match="answered 407"):
        find(client, 0.0)


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(client: Client, server: WireServer) -> None:
    def announce(conversation: Conversation) -> None:
        conversation.send(head(200, {"Content-Length": str(LARGE)}))
        conversation.ended.wait(60)

    server.on(*FIND, announce)

    with pytest.raises(Unreachable, match="larger than 8 MiB"):
        find(client, 0.0)


def test_a_proxy_whose_name_is_unknown_is_named(connector: Connector) -> None:
    client = connector("http://ghes.example/my-org", proxy="http://me:hunter2@proxy.invalid:3128")

    with pytest.raises(Unreachable, match=r"the proxy proxy\.invalid:3128 cannot be resolved"):
        find(client, 0.0)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://me:hunter2@h:99999",
        "socks5://me:hunter2@h:1",
        "http://me:hunter2@[h",
        "http://me:hunter2/hunter2@h:1",
        "socks5://me:hunter2@hunter2@h:1",
    ],
)
def test_a_proxy_of_the_environment_that_cannot_be_used_is_named_without_its_password(
    connector: Connector, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    client = connector("http://ghes.example/my-org")

    with pytest.raises(Unreachable, match=r"the proxy .* cannot be used") as caught:
        find(client, 0.0)

    assert "hunter2" not in str(caught.value)


def test_a_url_that_would_send_a_token_in_the_clear_is_refused(connector: Connector, tmp_path: Path) -> None:
    context = make_certificate(tmp_path, "IP:127.0.0.1")
    with WireServer(tls=context) as server:
        client = connector(f"{server.url}/my-org", ca=str(tmp_path / "cert.pem"))
        server.on("POST", "runner-registration", answer({"url": "http://127.0.0.1:1/", "token": "admin"}))

        with pytest.raises(Unreachable, match="url is not https"):
            find(client, 0.0)


def test_what_is_interrupted_before_it_begins_is_not_sent(client: Client, server: WireServer) -> None:
    interrupt = Interrupt()
    interrupt.set()

    with pytest.raises(Interrupted):
        poll(client, server, interrupt)

    assert server.seen == []
