from __future__ import annotations

import pytest

from runscaler.backends.docker import factory
from runscaler.backends.docker.address import Certificates, EngineAddress
from runscaler.config.model import DockerSettings, ScaleSetSettings
from runscaler.errors import BackendError


def test_the_endpoint_of_the_settings_is_used():
    assert EngineAddress.of(DockerSettings(), {}).url == "unix:///var/run/docker.sock"
    assert EngineAddress.of(DockerSettings(socket="/run/other.sock"), {}).url == "unix:///run/other.sock"
    assert EngineAddress.of(DockerSettings(host="ssh://me@there"), {}).url == "ssh://me@there"


def test_only_a_socket_of_this_host_has_a_path():
    assert EngineAddress("unix:///run/docker.sock").socket_path == "/run/docker.sock"
    assert EngineAddress("tcp://there:2375").socket_path is None


def test_certificates_come_from_the_keys():
    settings = DockerSettings(host="tcp://there:2376", tls_ca="ca", tls_cert="cert", tls_key="key")

    assert EngineAddress.of(settings, {}).tls == Certificates("ca", "cert", "key")


def test_dockers_variables_give_certificates_only_together_with_docker_host():
    environment = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/certs"}

    from_variable = EngineAddress.of(DockerSettings(docker_host="tcp://there:2376"), environment)
    from_key = EngineAddress.of(DockerSettings(host="tcp://there:2376"), environment)

    assert from_variable.tls == Certificates("/certs/ca.pem", "/certs/cert.pem", "/certs/key.pem")
    assert from_key.tls is None


def test_a_tcp_address_without_a_port_gets_dockers_own():
    assert EngineAddress("tcp://there").host_and_port == ("there", 2375)
    assert EngineAddress("tcp://there", Certificates()).host_and_port == ("there", 2376)


@pytest.mark.parametrize("url", ["tcp://", "tcp://there:port"])
def test_an_unusable_address_is_an_error_that_says_how_to_write_it(url):
    with pytest.raises(BackendError, match="unusable") as caught:
        _ = EngineAddress(url).host_and_port

    assert "tcp://host:2376" in caught.value.fixes[0]


def test_sets_on_the_same_engine_with_the_same_certificates_share_a_backend():
    def shared(**docker):
        settings = DockerSettings(**docker)
        return factory.location(ScaleSetSettings(url="https://github.com/o", name="n", docker=settings))

    assert shared() == "docker unix:///var/run/docker.sock"
    assert shared(memory=1) == shared()
    assert shared(host="tcp://there:2376", tls_cert="a") != shared(host="tcp://there:2376", tls_cert="b")
