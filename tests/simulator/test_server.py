"""Starting, stopping, waiting."""

from __future__ import annotations

import threading
import time

import pytest
import requests
from support.scale_set_client import ScaleSetClient

from runscaler.errors import HostError
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


def test_a_simulator_that_never_started_can_be_stopped() -> None:
    SimulatedGitHub().stop()


def test_a_taken_port_is_one_clear_line(github: SimulatedGitHub) -> None:
    port = int(github.url.rpartition(":")[2])

    with pytest.raises(HostError, match=r"cannot listen on 127\.0\.0\.1:"):
        SimulatorServer(port=port).start()


def test_waiting_gives_up_with_a_summary_of_what_was_there(client: ScaleSetClient) -> None:
    client.github.queue_jobs("my-runners")

    with pytest.raises(TimeoutError, match="'queued': 1"):
        client.github.wait_until(lambda state: state.completed > 0, timeout=0.05)


def test_waiting_is_woken_by_the_change_it_waits_for(client: ScaleSetClient) -> None:
    ids = client.github.queue_jobs("my-runners", 2)
    threading.Timer(0.05, lambda: [client.github.cancel_job(one) for one in ids]).start()

    jobs = client.github.wait_for_jobs(ids)

    assert {job.state for job in jobs} == {JobState.COMPLETED}


def test_idle_polls_cost_no_work() -> None:
    with SimulatedGitHub(fast=False, threads=64) as github:
        clients = [ScaleSetClient(github, f"org-{number}").ready() for number in range(40)]
        polls = [threading.Thread(target=client.poll) for client in clients]
        for poll in polls:
            poll.start()
        github.wait_until(lambda state: sum(one.polls_open for one in state.sessions) == 40)
        changes, used = github.state().changes, time.process_time()
        threading.Event().wait(1.0)
        used = time.process_time() - used
        still = github.state().changes
        github.stop()
        for poll in polls:
            poll.join(30)

    assert still == changes
    assert used < 0.5


def test_urls_handed_out_follow_the_request_unless_a_public_url_is_given() -> None:
    options = Options(public_url="http://github.example:1234/", agent_url="http://172.17.0.1:9001")
    with SimulatedGitHub(options, threads=8) as github:
        client = ScaleSetClient(github)
        token = client.registration_token().json()["token"]
        url = client.register(token).json()["url"]
        reply = requests.get(f"{github.url}/api/v3/x", headers={"User-Agent": "x"}, timeout=20)

    assert url.startswith("http://github.example:1234/_sim/actions/")
    assert reply.status_code == 404


def test_what_was_handed_out_can_be_looked_for(client: ScaleSetClient) -> None:
    client.jit("runner-1")

    secrets = client.github.secrets()

    assert client.session["messageQueueAccessToken"] in secrets
    assert all(len(each) >= 16 for each in secrets)
