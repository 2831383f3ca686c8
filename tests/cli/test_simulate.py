"""`runner simulate` as a real process."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest
import requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_answers_and_ends_with_0_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port", "0", "--fast", "--groups", "gpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        config, control = (process.stdout.readline() for _ in range(2))
        url = re.search(r"http://\S+", control)
        assert url is not None
        state = requests.get(f"{url[0]}/state", headers={"X-Sim-Control": "1"}, timeout=20)

        process.send_signal(number)

        assert process.wait(30) == 0
    assert config.split()[-1].endswith("/my-org")
    assert state.json()["jobs"] == []


def test_a_taken_port_is_one_line_and_exit_code_1() -> None:
    command = [sys.executable, "-m", "runscaler", "simulate", "--port"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        port = re.search(r":(\d+)/", first.stdout.readline())
        assert port is not None

        second = subprocess.run([*command, port[1]], capture_output=True, text=True, timeout=60, check=False)

        first.terminate()
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port[1]}" in second.stderr
    assert "Traceback" not in second.stderr
