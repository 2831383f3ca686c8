"""The private key of a GitHub App: all ways to give it, and what is wrong with one that cannot be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat
from support.app_keys import elliptic_key, encrypted_key, private_key, public_key, short_key

from runscaler.config.load import load_config
from runscaler.config.masked import masked_settings, secrets_of
from runscaler.config.private_keys import usable_key

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Lines, Load

APP = 'url = "https://github.com/my-org"\nname = "linux"\n[app]\nclient-id = "Iv1.0a"\n'
PEM = private_key().strip()
BODY = "".join(PEM.splitlines()[1:-1])
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
"""What `openssl ecparam -genkey` writes before the key."""


def key_of(load: Load, written: str, **environ: str) -> str:
    (settings,) = load(f"{APP}private-key = {json.dumps(written)}\n", environ=environ).scale_sets
    assert settings.app is not None
    return settings.app.private_key.reveal()


@pytest.mark.parametrize("written", ["app.pem", "file:app.pem", "./app.pem", "{folder}/app.pem"])
def test_a_path_is_the_same_with_and_without_file(load: Load, tmp_path: Path, written: str) -> None:
    (tmp_path / "app.pem").write_text(private_key())

    assert key_of(load, written.format(folder=tmp_path)) == PEM


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_both_forms_of_pem_are_taken(load: Load, form: PrivateFormat) -> None:
    assert key_of(load, private_key(form=form)) == private_key(form=form).strip()


@pytest.mark.parametrize("joined", ["\\n", " ", "\r\n", "\n\n"])
def test_a_variable_may_have_lost_the_line_breaks(load: Load, joined: str) -> None:
    assert key_of(load, "env:KEY", KEY=joined.join(PEM.splitlines())) == PEM


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (encrypted_key(), "it is encrypted: write it without its passphrase"),
        (private_key().replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n", 1), "it is encrypted"),
        (public_key(), "it is a public key"),
        (elliptic_key(), "it is no RSA key"),
        (f"{PARAMETERS}{elliptic_key()}", "it is no RSA key"),
        (short_key(), "it has 1024 bits only"),
        (PEM.replace("RSA PRIVATE", "OPENSSH PRIVATE"), "it is a key for SSH"),
        (PEM.replace("RSA PRIVATE KEY", "CERTIFICATE"), "it is a certificate"),
        (PEM[:-40], "or was cut off"),
        (PEM.replace(BODY[80:90], "", 1).replace(PEM.splitlines()[5], ""), "it is damaged"),
        ("not a key", "it is no private key in PEM form"),
    ],
)
def test_what_is_wrong_with_a_key_is_told_without_showing_it(
    error_lines: Lines, tmp_path: Path, text: str, why: str
) -> None:
    (tmp_path / "app.pem").write_text(text)

    (line,) = error_lines(f'{APP}private-key = "app.pem"\n')

    assert line.startswith("config.toml:5: [app] private-key: file:app.pem: ")
    assert why in line
    assert not [part for part in text.splitlines()[1:] if len(part) > 30 and part in line]


def test_a_key_behind_its_certificate_is_found(load: Load) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

    assert key_of(load, f"{certificate}{PEM}") == PEM


@pytest.mark.parametrize(
    "text",
    [PEM[:-40], BODY, BODY[:64], f"{BODY}\nx", f"LS0tLS1CRUdJTi{BODY[:90]}"],
    ids=["cut off", "bare", "its first line", "two lines", "in base64"],
)
def test_a_key_in_the_file_that_is_none_is_told_without_showing_it(error_lines: Lines, text: str) -> None:
    (line,) = error_lines(f"{APP}private-key = {json.dumps(text)}\n")

    assert line.startswith("config.toml:5: [app] private-key: it is ")
    assert BODY[:30] not in line


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("$KEY", "$KEY is not a reference: write env:KEY"),
        ("ENV:KEY", "ENV:KEY is not a reference: write env:KEY"),
        ("env:KEY", "env:KEY: the variable KEY is not set"),
        ("nowhere.pem", "file:nowhere.pem: the file cannot be read: No such file or directory"),
    ],
)
def test_a_reference_that_leads_nowhere_is_told_as_for_tokens(
    error_lines: Lines, written: str, why: str
) -> None:
    assert error_lines(f'{APP}private-key = "{written}"\n') == [f"config.toml:5: [app] private-key = {why}"]


def test_a_key_in_a_file_that_others_may_read_is_warned_of_and_a_path_is_not(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    (tmp_path / "app.pem").write_text(private_key())

    def warnings(written: str) -> list[str]:
        path.write_text(f"{APP}private-key = {json.dumps(written)}\n")
        path.chmod(0o644)
        return [one.message for one in load_config(path, environ={}).warnings]

    assert "the private-key is written here in plain text" in warnings(PEM)[0]
    assert warnings("app.pem") == warnings("file:app.pem") == []


def test_the_key_is_masked_in_the_effective_settings(load: Load) -> None:
    config = load(f"{APP}private-key = {json.dumps(PEM)}\n")
    (settings,) = config.scale_sets

    assert masked_settings(settings)["app"] == {"client-id": "Iv1.0a", "private-key": "********"}
    assert [one.reveal() for one in secrets_of(config)] == [PEM]
    assert BODY[:20] not in repr(config)


def test_a_key_is_normalised_once() -> None:
    assert usable_key(usable_key(private_key())) == PEM
