"""Connections to an engine: plain TCP, TLS with certificates of both sides, and ssh."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from support.missing import missing

from runscaler.backends.docker.address import Certificates, EngineAddress
from runscaler.backends.docker.engine import Engine
from runscaler.errors import BackendDown, BackendError, Interrupted
from runscaler.interrupt import Interrupt


class Listener:
    """A TCP port (TLS with a context) that answers every request as an engine answers a ping."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    VERSION = b'{"ApiVersion": "1.41"}'

    def __init__(self, context: ssl.SSLContext | None = None, *, mute: bool = False) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._context = context
        self._mute = mute
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for one in (self._socket, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._socket, *self._open):
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while received := connection.recv(65536):
                body = b"OK" if b"_ping" in received else self.VERSION
                if not self._mute:
                    connection.sendall(self.ANSWER % (len(body), body))


@pytest.fixture
def listen():
    made = []

    def make(*args, **options):
        made.append(Listener(*args, **options))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


@pytest.fixture
def ping():
    engines = []

    def ask(address, interrupt=None, **options):
        engines.append(Engine(address))
        with engines[-1].call("ask", interrupt, **options) as api:
            return api.ping()

    yield ask
    for engine in engines:
        engine.disconnect()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """One certificate for both sides, which is its own authority."""
    openssl = shutil.which("openssl") or missing("openssl")
    folder = tmp_path_factory.mktemp("certificates")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=engine", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*new, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return Certificates(cert, cert, key)


@pytest.fixture
def context(certificates):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.ca)
    context.load_cert_chain(certificates.cert, certificates.key)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_an_engine_is_reached_over_tcp(listen, ping):
    assert ping(EngineAddress(f"tcp://127.0.0.1:{listen().port}"))


def test_an_engine_is_reached_over_tls_with_both_sides_certificates(listen, ping, context, certificates):
    assert ping(EngineAddress(f"tcp://127.0.0.1:{listen(context).port}", certificates))


def test_an_engine_of_another_authority_is_refused(listen, ping, context, certificates):
    stranger = Certificates(cert=certificates.cert, key=certificates.key)

    with pytest.raises(BackendDown, match=r"TLS with the engine .*CERTIFICATE_VERIFY_FAILED"):
        ping(EngineAddress(f"tcp://127.0.0.1:{listen(context).port}", stranger))


def test_certificates_that_are_not_there_are_named(ping):
    with pytest.raises(BackendError, match="certificates for the engine tcp://127"):
        ping(EngineAddress("tcp://127.0.0.1:1", Certificates(ca="/no/such/ca.pem")))


def test_a_port_where_nothing_listens_is_said_to_be_one(listen, ping):
    listener = listen()
    listener.close()

    with pytest.raises(BackendDown, match="nothing listens"):
        ping(EngineAddress(f"tcp://127.0.0.1:{listener.port}"))


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_call_over_tcp_is_cancelled(listen, ping, context, certificates, encrypted):
    listener = listen(context if encrypted else None, mute=True)
    address = EngineAddress(f"tcp://127.0.0.1:{listener.port}", certificates if encrypted else None)
    interrupt = Interrupt()
    timer = threading.Timer(0.2, interrupt.set)
    timer.start()

    with pytest.raises(Interrupted):
        ping(address, interrupt)

    timer.join()


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    """An `ssh` that writes down its arguments and answers as an engine does."""
    program = tmp_path / "ssh"
    program.write_text(f"""#!{sys.executable}
import os, sys
open({str(tmp_path / "arguments")!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
while received := os.read(0, 65536):
    body = b"OK" if b"_ping" in received else {Listener.VERSION!r}
    os.write(1, {Listener.ANSWER!r} % (len(body), body))
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path / "arguments"


def test_an_engine_is_reached_through_the_systems_ssh(fake_ssh, ping):
    assert ping(EngineAddress("ssh://me@there:2222"))

    arguments = fake_ssh.read_text().splitlines()[0]
    assert arguments.endswith("-l me -p 2222 -- there docker system dial-stdio")


def test_a_host_that_is_no_host_name_reaches_no_option_of_ssh(fake_ssh, ping):
    assert ping(EngineAddress("ssh://-oProxyCommand=x"))

    assert " -- -oproxycommand=x " in fake_ssh.read_text()


def test_an_ssh_that_is_not_there_is_said_to_be_missing(tmp_path, monkeypatch, ping):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BackendDown, match="ssh cannot be run: No such file"):
        ping(EngineAddress("ssh://there"))
