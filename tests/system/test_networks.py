"""Jobs behind a forward proxy with a password, behind TLS with an own authority, and over IPv6.

docs/behaviour.md § 4.2 and 11, docs/networks.md
"""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from support.certificates import Authority
from support.daemon import all_ok, of
from support.missing import missing
from support.secret_watch import SecretWatch, files_below, found_in
from support.tinyproxy import COMES_FROM, Tinyproxy
from support.tls_front import TlsFront

from runscaler.cli.simulate import own_address
from runscaler.errors import HostError
from runscaler.simulator.options import Options
from runscaler.testing.simulator import FAST, SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "company-user", "s3cr3t-of-the-proxy"
TIMERS = replace(FAST, session=60.0, agent_silence=60.0, registration=600.0, lease=60.0, pick_up=60.0)


@pytest.fixture
def host() -> str:
    return own_address() or missing("an address that is not on loopback")


@pytest.fixture
def proxy(tmp_path: Path, host: str) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path, host, USER, PASSWORD) as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "company")


@pytest.fixture
def front(authority: Authority, host: str) -> Iterator[TlsFront]:
    with TlsFront(host, authority.server(host), only_from=COMES_FROM) as running:
        yield running


@pytest.fixture
def github(front: TlsFront) -> Iterator[SimulatedGitHub]:
    """GitHub behind TLS, for clients that come through the proxy."""
    with SimulatedGitHub(Options(timers=TIMERS, public_url=front.url)) as simulated:
        parts = urlsplit(simulated.url)
        front.target = (str(parts.hostname), int(parts.port or 0))
        yield simulated


@pytest.fixture
def watch() -> SecretWatch:
    return SecretWatch()


CHECKS = (
    'test "$HTTPS_PROXY" = "$https_proxy" && test -n "$HTTPS_PROXY"',
    "grep -q 'BEGIN CERTIFICATE' $NODE_EXTRA_CA_CERTS",
    "test $(grep -c 'BEGIN CERTIFICATE' $SSL_CERT_FILE) -gt 50",
    "case ,$NO_PROXY, in *,localhost,*) ;; *) exit 1 ;; esac",
)


def test_a_job_runs_behind_a_proxy_with_a_password_and_an_own_authority(
    github, backend, daemon, scale_set, proxy, front, authority, watch
):
    keys = {"proxy": f"http://{USER}:{PASSWORD}@{proxy.address}", "ca": str(authority.pem)}
    program = daemon(scale_set("walled", backend, keys, url=f"{front.url}/my-org", max_runners=2))

    with watch:
        program.start()
        program.wait_for(all_ok)
        jobs = github.wait_for_jobs(github.queue_jobs("walled", 3, steps=[*CHECKS]))
        told = [program.command(*words) for words in (("status", "--json"), ("validate", "--json"))]
        health = json.dumps(program.health())
        labels = json.dumps(program.container_labels())
        program.stop()

    assert [job.result for job in jobs] == ["succeeded"] * 3
    assert front.refused == []
    assert proxy.tunnels_to(urlsplit(front.url).netloc) >= len(jobs) + 1
    outputs = [
        program.log,
        program.errors,
        health,
        labels,
        *(text for one in told for text in (one.out, one.err)),
    ]
    seen = [text.encode() for text in outputs] + [
        *watch.words,
        *watch.variables,
        *files_below(program.state_dir),
    ]
    assert found_in([PASSWORD, USER], seen) == []
    assert f"********@{proxy.address}" in told[1].out


def test_a_job_runs_with_what_the_variables_say(github, daemon, scale_set, proxy, front, authority):
    program = daemon(scale_set("walled", backend="process", url=f"{front.url}/my-org"))
    program.env = {
        "HTTPS_PROXY": f"http://{USER}:{PASSWORD}@{proxy.address}",
        "NO_PROXY": "inside.example",
        "SSL_CERT_FILE": str(authority.pem),
    }

    program.start()
    program.wait_for(all_ok)
    (job,) = github.wait_for_jobs(github.queue_jobs("walled", steps=[CHECKS[0], CHECKS[3]]))
    program.stop()

    assert job.result == "succeeded"
    assert front.refused == []
    assert PASSWORD not in program.told()


@pytest.mark.parametrize(
    ("password", "words"),
    [("wrong-word", "does not take our user and password (401)"), ("", "(Connection refused)")],
)
def test_a_proxy_that_refuses_or_is_down_is_named_in_one_line(
    daemon, scale_set, proxy, front, authority, password, words
):
    """With a password of "" the proxy is down."""
    address = proxy.address if password else f"{proxy.address.partition(':')[0]}:1"
    keys = {"proxy": f"http://{USER}:{password or PASSWORD}@{address}", "ca": str(authority.pem)}
    program = daemon(scale_set("walled", backend="process", url=f"{front.url}/my-org", **keys))

    program.start()
    health = program.wait_for(lambda found: of(found, "walled")["state"] == "degraded")
    program.stop()

    reason = of(health, "walled")["reason"]
    assert f"the proxy {address} " in reason
    assert words in reason
    told = program.told() + json.dumps(health)
    assert found_in([USER, password or PASSWORD], [told.encode()]) == []
    assert "Traceback" not in told


def test_an_unknown_authority_is_told_with_its_cure(github, daemon, scale_set, proxy, front):
    keys = {"proxy": f"http://{USER}:{PASSWORD}@{proxy.address}"}
    program = daemon(scale_set("walled", backend="process", url=f"{front.url}/my-org", **keys))

    ended = program.command("validate")

    assert ended.code == 1
    assert "is not signed by an authority that this host trusts" in ended.out
    assert "set ca to a PEM file with the authority's certificate" in ended.out


def test_a_missing_file_of_ca_ends_the_run_at_once_with_one_line(daemon, scale_set, front):
    program = daemon(scale_set("walled", backend="process", url=f"{front.url}/my-org", ca="absent.pem"))

    program.start()

    assert program.ended() == 1
    assert f"cannot read the CA certificates in {program.folder}/absent.pem: No such file" in program.errors
    assert "Traceback" not in program.told()


def test_a_job_runs_over_ipv6(daemon, scale_set):
    if not socket.has_ipv6:
        missing("IPv6")
    try:
        simulated = SimulatedGitHub(host="::1", timers=TIMERS)
        simulated.start()
    except HostError as error:
        missing(f"IPv6 on loopback: {error}")
    try:
        program = daemon(scale_set("six", backend="process", url=simulated.config_url()))
        program.start()
        program.wait_for(all_ok)
        (job,) = simulated.wait_for_jobs(simulated.queue_jobs("six"))
        program.stop()
    finally:
        simulated.stop()

    assert job.result == "succeeded"
