from __future__ import annotations

import pytest

from runscaler.backends.docker.facts import EngineFacts
from runscaler.backends.docker.limits import image_findings, limit_findings
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.findings import Level

INFO = {
    "Architecture": "x86_64",
    "NCPU": 4,
    "MemTotal": 8 * 1024**3,
    "LoggingDriver": "json-file",
    "SecurityOptions": ["name=seccomp,profile=default", "name=rootless"],
    "MemoryLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
}
FACTS = EngineFacts.of(INFO)
NO_CGROUPS = EngineFacts.of(INFO | {"MemoryLimit": False, "CpuCfsQuota": False, "PidsLimit": False})


def settings(**docker):
    return ScaleSetSettings(
        url="https://github.com/o",
        name="linux",
        token=Secret("t"),
        runner_image="image:1",
        docker=DockerSettings(**docker),
    )


def said(findings):
    return [(finding.level, finding.message) for finding in findings]


def test_facts_are_named_as_images_name_them():
    assert (FACTS.architecture, FACTS.cores, FACTS.logging_driver) == ("amd64", 4, "json-file")
    assert (FACTS.is_rootless, FACTS.remaps_users, FACTS.is_podman) == (True, False, False)
    assert EngineFacts.of({"BuildahVersion": "1.28.2"}).is_podman


@pytest.mark.parametrize(
    "info", [{}, {"NCPU": "many", "MemTotal": None, "SecurityOptions": "none", "Architecture": None}]
)
def test_an_engine_that_tells_nothing_is_not_accused(info):
    facts = EngineFacts.of(info)

    assert limit_findings(settings(cpu=400, memory=10**6), facts) == []


def test_what_the_engine_can_do_is_not_worth_a_word():
    assert limit_findings(settings(cpu=4, memory=4096), FACTS) == []
    assert limit_findings(settings(), FACTS) == []


def test_more_cores_than_the_engine_has_never_start():
    ((level, text),) = said(limit_findings(settings(cpu=4.5), FACTS))

    assert level is Level.ERROR
    assert "4.5" in text
    assert "4 cores" in text


def test_memory_below_the_least_never_starts():
    ((level, text),) = said(limit_findings(settings(memory=5), FACTS))

    assert level is Level.ERROR
    assert "no less than 6 MB" in text


def test_more_memory_than_there_is_limits_nothing():
    ((level, text),) = said(limit_findings(settings(memory=8193), FACTS))

    assert level is Level.WARNING
    assert "8192 MB" in text


def test_an_engine_without_cgroups_ignores_limits_and_refuses_cpu():
    memory = said(limit_findings(settings(memory=100), NO_CGROUPS))
    cpu = said(limit_findings(settings(cpu=1, pids_limit=0), NO_CGROUPS))

    assert [level for level, _ in memory] == [Level.WARNING]
    assert "memory = 100 and pids-limit = 16384 has no effect" in memory[0][1]
    assert [level for level, _ in cpu] == [Level.ERROR]


@pytest.mark.parametrize(
    ("architecture", "platform", "expected"),
    [
        ("amd64", "", []),
        ("386", "", []),
        ("", "", []),
        ("arm64", "", [Level.ERROR]),
        ("arm64", "linux/arm64", [Level.WARNING]),
    ],
)
def test_an_image_of_a_foreign_architecture_is_told(architecture, platform, expected):
    found = image_findings(settings(platform=platform), FACTS, {"Architecture": architecture})

    assert [finding.level for finding in found] == expected
    assert all("exec format error" in finding.message for finding in found)


@pytest.mark.parametrize("config", [None, {}, {"Entrypoint": None}, {"Entrypoint": []}])
def test_an_image_without_entrypoint_is_as_it_should_be(config):
    assert image_findings(settings(), FACTS, {"Config": config}) == []


def test_an_entrypoint_of_its_own_is_told():
    image = {"Config": {"Entrypoint": ["/bin/tini", "--"]}}

    ((level, text),) = said(image_findings(settings(), FACTS, image))

    assert level is Level.WARNING
    assert "/bin/tini --" in text
    assert "/home/runner/run.sh" in text
