"""Starting and stopping the simulator, and waiting for its state."""

from __future__ import annotations

import threading
from typing import Any, cast
from wsgiref.simple_server import demo_app as simple_app

import pytest
import requests
from support.scale_set_client import ScaleSetClient

from runscaler.errors import HostError
from runscaler.simulator.http_server import HttpServer
from runscaler.simulator.server import SimulatorServer
from runscaler.testing.simulator import JobState, Options, SimulatedGitHub


def test_a_stopped_simulator_leaves_no_thread_and_may_be_stopped_again() -> None:
    before = set(threading.enumerate())
    github = SimulatedGitHub(threads=64)
    github.start()
    client = ScaleSetClient(github).ready()
    polling = threading.Thread(target=client.poll)
    polling.start()
    github.wait_until(lambda state: any(one.polls_open for one in state.sessions))

    github.stop()
    github.stop()
    polling.join(30)

    assert set(threading.enumerate()) <= before


def test_stop_succeeds_even_if_the_loop_ends_before_stop_has_woken_it() -> None:
    server = HttpServer(simple_app, "127.0.0.1", 0, 4, lambda _: False)
    server.start()
    trigger, loop = cast("Any", server._trigger), server._loop
    assert loop is not None
    wake = trigger._physical_pull

    def woken_by_a_reply() -> None:
        wake()
        loop.join(30)
        wake()

    trigger._physical_pull = woken_by_a_reply
    server.stop()

    assert not loop.is_alive()


@pytest.mark.parametrize(("network", "served"), [("127.0.0.0/8", True), ("192.0.2.0/24", False)])
def test_only_clients_of_the_networks_that_were_named_are_served(network: str, *, served: bool) -> None:
    server = SimulatorServer(host="0.0.0.0", threads=9, networks=("198.51.100.0/24", network))
    server.start()
    url = f"http://127.0.0.1:{server.url.rpartition(':')[2]}/"
    try:
        answer = requests.get(url, timeout=20).status_code
    except requests.ConnectionError:
        answer = 0
    finally:
        server.stop()

    assert answer == (404 if served else 0)


def test_a_simulator_that_never_started_can_be_stopped() -> None:
    SimulatedGitHub().stop()


def test_a_port_in_use_is_reported_in_one_line(github: SimulatedGitHub) -> None:
    port = int(github.url.rpartition(":")[2])

    with pytest.raises(HostError, match=r"cannot listen on 127\.0\.0\.1:"):
        SimulatorServer(port=port).start()


def test_the_timeout_of_a_wait_shows_a_summary_of_the_state(client: ScaleSetClient) -> None:
    client.github.queue_jobs("my-runners")

    with pytest.raises(TimeoutError, match="'queued': 1"):
        client.github.wait_until(lambda state: state.completed > 0, timeout=0.05)


def test_a_wait_ends_with_the_change_it_waits_for(client: ScaleSetClient) -> None:
    ids = client.github.queue_jobs("my-runners", 2)
    threading.Timer(0.05, lambda: [client.github.cancel_job(one) for one in ids]).start()

    jobs = client.github.wait_for_jobs(ids)

    assert {job.state for job in jobs} == {JobState.COMPLETED}


def test_urls_handed_out_follow_the_request_unless_a_public_url_is_given() -> None:
    options = Options(public_url="http://github.example:1234/", agent_url="http://172.17.0.1:9001")
    with SimulatedGitHub(options, threads=8) as github:
        client = ScaleSetClient(github)
        token = client.registration_token().json()["token"]
        url = client.register(token).json()["url"]
        reply = requests.get(f"{github.url}/api/v3/x", headers={"User-Agent": "x"}, timeout=20)

    assert url.startswith("http://github.example:1234/_sim/actions/")
    assert reply.status_code == 404


def test_all_issued_secrets_are_known(client: ScaleSetClient) -> None:
    client.jit("runner-1")

    secrets = client.github.secrets()

    assert client.session["messageQueueAccessToken"] in secrets
    assert all(len(each) >= 16 for each in secrets)
