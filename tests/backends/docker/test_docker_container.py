from __future__ import annotations

import pytest

from runscaler.backends.docker.container import BUNDLE_FILE, CA_FILE, create_body, sidecar_body
from runscaler.backends.docker.facts import EngineFacts
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.config.secrets import Secret

DOCKER = EngineFacts(logging_driver="json-file")


def settings_with(*, proxy="", ca="", **docker):
    return ScaleSetSettings(
        url="https://github.com/my-org",
        name="linux",
        token=Secret("t"),
        runner_image="image:1",
        proxy=proxy,
        ca=ca,
        docker=DockerSettings(**{"dind": False, **docker}),
    )


def body(*, socket_group=None, facts=DOCKER, **keys):
    labels = {"a": "b", "io.runscaler.sidecar": "runner-1-engine"}
    made = create_body(settings_with(**keys), Secret("the-jit"), labels, socket_group, facts)
    return {**made, "Labels": {"a": made["Labels"]["a"]}}


def sidecar(**keys):
    return sidecar_body(settings_with(dind="sidecar", **keys), "the-runner", {"a": "b"}, DOCKER)


def environment(made):
    return dict(variable.split("=", 1) for variable in made["Env"])


def test_a_plain_runner_gets_what_the_specification_lists_and_no_more():
    assert body() == {
        "Image": "image:1",
        "User": "runner",
        "Cmd": ["/home/runner/run.sh"],
        "Env": [
            "RUNNER_MANUALLY_TRAP_SIG=1",
            "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1",
            "ACTIONS_RUNNER_INPUT_JITCONFIG=the-jit",
        ],
        "Labels": {"a": "b"},
        "HostConfig": {
            "RestartPolicy": {"Name": "no"},
            "CapDrop": ["NET_RAW"],
            "PidsLimit": 16_384,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "50m"}},
        },
    }


def test_limits_are_in_the_engines_units():
    host = body(memory=512, cpu=1.5)["HostConfig"]

    assert host["Memory"] == 512 * 1024 * 1024
    assert host["NanoCpus"] == 1_500_000_000


def test_the_engines_socket_is_mounted_with_its_group_and_group_0():
    made = body(dind=True, dind_socket="/run/mine.sock", socket_group=998)["HostConfig"]

    assert made["Mounts"] == [{"Type": "bind", "Source": "/run/mine.sock", "Target": "/var/run/docker.sock"}]
    assert made["GroupAdd"] == ["998", "0"]


def test_selinux_is_told_to_let_a_container_be_only_where_it_has_the_engines_socket():
    assert body(dind=True)["HostConfig"]["SecurityOpt"] == ["label:disable"]
    assert "SecurityOpt" not in body(dind=False)["HostConfig"]


def test_hardening_can_be_taken_further():
    host = body(cap_drop=("ALL",), no_new_privileges=True, pids_limit=100)["HostConfig"]

    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["PidsLimit"] == 100


def test_hardening_can_be_turned_off():
    host = body(cap_drop=(), pids_limit=0, log_max_size="")["HostConfig"]

    assert not {"CapDrop", "PidsLimit", "LogConfig", "SecurityOpt"} & set(host)


@pytest.mark.parametrize("driver", ["journald", "syslog", "awslogs", "none", ""])
def test_a_logging_driver_that_takes_no_size_gets_none(driver):
    assert "LogConfig" not in body(facts=EngineFacts(logging_driver=driver))["HostConfig"]


def test_an_engine_that_cannot_limit_processes_is_not_asked_to():
    assert "PidsLimit" not in body(facts=EngineFacts(limits_pids=False))["HostConfig"]


def test_the_group_of_a_socket_that_nobody_can_tell_is_not_guessed():
    assert body(dind=True)["HostConfig"]["GroupAdd"] == ["0"]
    assert body(dind=True, socket_group=0)["HostConfig"]["GroupAdd"] == ["0"]


def test_a_shared_volume_is_mounted_without_copying_and_named_in_the_environment():
    made = body(shared_volume="/mnt/shared; rm -rf /")

    (mount,) = made["HostConfig"]["Mounts"]
    assert (mount["Source"], mount["Target"]) == ("runner-shared", "/mnt/shared; rm -rf /")
    assert mount["VolumeOptions"] == {"NoCopy": True}
    assert environment(made)["SHARED_DIR"] == "/mnt/shared; rm -rf /"


def test_the_users_variables_win_over_ours_but_never_over_the_jit_configuration():
    made = body(env={"RUNNER_MANUALLY_TRAP_SIG": "", "ACTIONS_RUNNER_INPUT_JITCONFIG": "theirs", "A": "b=c"})

    assert environment(made)["RUNNER_MANUALLY_TRAP_SIG"] == ""
    assert environment(made)["ACTIONS_RUNNER_INPUT_JITCONFIG"] == "the-jit"
    assert environment(made)["A"] == "b=c"


def test_a_proxy_is_given_in_both_spellings():
    made = environment(body(proxy="http://proxy:3128"))

    assert {made[name] for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY")} == {
        "http://proxy:3128"
    }


@pytest.mark.parametrize("spelling", ["no_proxy", "NO_PROXY"])
def test_what_needs_no_proxy_is_given_beside_it_in_both_spellings(
    monkeypatch: pytest.MonkeyPatch, spelling: str
):
    monkeypatch.setenv(spelling, "inside.example,10.0.0.0/8")
    made = environment(body(proxy="http://proxy:3128"))

    assert made["no_proxy"] == made["NO_PROXY"] == "inside.example,10.0.0.0/8,localhost,127.0.0.1,::1"
    assert not {"no_proxy", "NO_PROXY"} & set(environment(body()))


def test_the_daemon_s_own_proxy_is_the_runners_too_unless_it_is_on_loopback(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://localhost:3129")

    made = environment(body())
    sharing = environment(body(network="host"))

    assert made["https_proxy"] == made["HTTPS_PROXY"] == "http://proxy:3128"
    assert not {"http_proxy", "HTTP_PROXY"} & set(made)
    assert sharing["http_proxy"] == "http://localhost:3129"


def test_certificates_are_named_to_all_that_read_them():
    made = environment(body(ca="/etc/corporate.pem"))

    assert made["NODE_EXTRA_CA_CERTS"] == CA_FILE
    assert {made[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO")} == {BUNDLE_FILE}
    assert made["RUNNER_UPDATE_CA_CERTS"] == "1"


def test_the_other_keys_reach_the_engine_as_they_are():
    host = body(
        network="mine",
        volumes=("cache:/cache", "/data:/data:ro"),
        extra_hosts=("db:10.0.0.1",),
        runtime="sysbox-runc",
        privileged=True,
    )["HostConfig"]

    assert host["NetworkMode"] == "mine"
    assert host["Binds"] == ["cache:/cache", "/data:/data:ro"]
    assert host["ExtraHosts"] == ["db:10.0.0.1"]
    assert host["Runtime"] == "sysbox-runc"
    assert host["Privileged"] is True


def test_gpus_are_a_number_or_all():
    assert body(gpus="2")["HostConfig"]["DeviceRequests"][0]["Count"] == 2
    assert body(gpus="all")["HostConfig"]["DeviceRequests"][0]["Count"] == -1


def test_a_run_command_is_split_into_words_as_a_shell_would():
    assert body(run_command="/bin/sh -c 'exec sleep 1'")["Cmd"] == ["/bin/sh", "-c", "exec sleep 1"]


def test_a_runner_with_a_sidecar_shares_its_network_socket_work_and_externals():
    made = body(dind="sidecar", network="mine", extra_hosts=("a:10.0.0.1",))
    host = made["HostConfig"]

    assert host["NetworkMode"] == "container:runner-1-engine"
    assert not host["ExtraHosts"]  # those of the network, which is the sidecar's
    assert {mount["Target"] for mount in host["Mounts"]} == {
        "/var/run",
        "/home/runner/_work",
        "/home/runner/externals",
    }
    assert not any("Source" in mount for mount in host["Mounts"])
    assert host["GroupAdd"] == ["123"]
    assert environment(made)["DOCKER_HOST"] == "unix:///var/run/docker.sock"


def test_a_sidecar_is_privileged_and_gets_neither_the_jobs_environment_nor_their_rights():
    assert sidecar(env={"TOKEN": "t"}, privileged=False) == {
        "Image": "docker:dind",
        "Cmd": ["dockerd", "--host=unix:///var/run/docker.sock", "--group=123"],
        "Env": [],
        "Labels": {"a": "b"},
        "HostConfig": {
            "Privileged": True,
            "SecurityOpt": ["label:disable"],
            "VolumesFrom": ["the-runner"],
            "Mounts": [{"Type": "volume", "Target": "/var/lib/docker"}],
            "PidsLimit": 16_384,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "50m"}},
            "RestartPolicy": {"Name": "no"},
        },
    }


def test_a_sidecar_has_the_network_and_the_limits_of_the_settings():
    host = sidecar(network="mine", extra_hosts=("a:10.0.0.1",), memory=512, cpu=1.5)["HostConfig"]

    assert (host["NetworkMode"], host["ExtraHosts"]) == ("mine", ["a:10.0.0.1"])
    assert (host["Memory"], host["NanoCpus"]) == (512 * 1024 * 1024, 1_500_000_000)


def test_a_sidecar_with_a_runtime_needs_no_privileges():
    host = sidecar(runtime="sysbox-runc")["HostConfig"]

    assert host["Runtime"] == "sysbox-runc"
    assert "Privileged" not in host


def test_the_engine_of_a_sidecar_pulls_through_the_proxy():
    assert "HTTPS_PROXY=http://proxy:3128" in sidecar(proxy="http://proxy:3128")["Env"]
