from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from runscaler.backends.base import BackendContext, RunnerOrder
from runscaler.backends.docker.labels import job_label, key_of, labels_for, resource_of
from runscaler.backends.marks import UnreadableMarks
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.github.base import JitConfig
from runscaler.names import RunnerName, SlotNumber, new_owner_id
from runscaler.testing.clock import FakeClock

RUNNER = RunnerName("runner-0011aabb")


def jit_of(text: bytes, **more):
    files = {".runner": base64.b64encode(text).decode(), **more}
    return JitConfig(1024, RUNNER, Secret(base64.b64encode(json.dumps(files).encode()).decode()))


def order_and_jit():
    jit = jit_of(b'{"AgentName":"X"}')
    settings = ScaleSetSettings(url="https://github.com/My-Org/", name="Linux", token=Secret("t"))
    return RunnerOrder(settings.key, SlotNumber(3), RUNNER, settings, lambda: jit, 0.0), jit


def test_a_container_carries_the_labels_of_the_specification():
    order, jit = order_and_jit()
    owner = new_owner_id()

    marks = labels_for(order, jit, BackendContext(owner, Path("/var/lib/x"), FakeClock()))

    assert marks == {
        "managed-by": "runner",
        "io.runscaler.owner": owner,
        "io.runscaler.url": "https://github.com/My-Org/",
        "io.runscaler.scale-set": "Linux",
        "io.runscaler.runner-group": "default",
        "io.runscaler.slot": "3",
        "io.runscaler.runner": "runner-0011aabb",
        "io.runscaler.runner-id": "1024",
        "io.runscaler.state-dir": "/var/lib/x",
        "io.runscaler.job-label": job_label(jit),
    }


def test_what_is_written_is_read_back():
    order, jit = order_and_jit()
    owner = new_owner_id()

    resource = resource_of("id", 12.0, labels_for(order, jit, BackendContext(owner, None, FakeClock())))

    assert resource is not None
    assert (resource.owner, resource.key, resource.slot) == (owner, order.key, 3)
    assert (resource.runner, resource.runner_id, resource.created_at) == (RUNNER, 1024, 12.0)


def test_containers_that_hold_no_runner_are_no_resources():
    order, jit = order_and_jit()
    marks = labels_for(order, jit, BackendContext(new_owner_id(), None, FakeClock()))

    assert resource_of("id", 0.0, {**marks, "io.runscaler.helper": "shared-volume"}) is None
    assert resource_of("id", 0.0, {}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("slot", "x"),
        ("slot", "-1"),
        ("slot", "9" * 5000),
        ("slot", "1000000"),
        ("slot", "\u0663"),
        ("runner", ""),
        ("runner", "/etc/passwd"),
        ("runner", "../owner"),
        ("runner", "a/b"),
        ("runner", "a" * 65),
        ("runner", "a\n"),
        ("runner-id", "9" * 5000),
        ("runner-id", "9223372036854775808"),
        ("runner-id", "1.5"),
        ("url", "https://[x"),
        ("url", "https://github.com/" + "a" * 3000),
        ("url", "https://github.com/a\x1b[2J"),
        ("scale-set", "a" * 600),
        ("runner-group", "a\nb"),
    ],
)
def test_labels_that_we_cannot_have_written_are_unreadable(name, value):
    order, jit = order_and_jit()
    marks = labels_for(order, jit, BackendContext(new_owner_id(), None, FakeClock()))
    marks[f"io.runscaler.{name}"] = value

    with pytest.raises(UnreadableMarks) as caught:
        resource_of("id", 0.0, marks)

    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()
    assert key_of(marks) is None


def test_a_missing_runner_id_is_0():
    order, jit = order_and_jit()
    marks = labels_for(order, jit, BackendContext(new_owner_id(), None, FakeClock()))
    del marks["io.runscaler.runner-id"]

    resource = resource_of("id", 0.0, marks)

    assert resource is not None
    assert resource.runner_id == 0


def test_the_job_label_is_the_runners_own():
    """docs/protocol.md § 8.3: the lower-cased text of `.runner`, byte order mark off."""
    text = '{"AgentName": "Größe"}'
    expected = hashlib.sha256(text.lower().encode()).hexdigest()[:6]

    assert job_label(jit_of(text.encode())) == expected
    assert job_label(jit_of(b"\xef\xbb\xbf" + text.encode())) == expected


@pytest.mark.parametrize("encoded", ["", "!", "W10=", "e30="])
def test_an_unreadable_jit_configuration_has_no_job_label(encoded):
    """Also base64 of `[]` and `{}`."""
    assert job_label(JitConfig(1, RUNNER, Secret(encoded))) == ""
