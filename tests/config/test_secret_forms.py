"""Secrets are masked by their form, in whatever text they stand."""

from __future__ import annotations

import base64
import json

import pytest

from runscaler.config.secret_forms import mask_secret_forms

JIT = "eyJ" + "Ab0" * 40
REAL_JIT = b'{".runner": "e30=", ".credentials": "e30=", ".credentials_rsaparams": "e30="}'
KIND = "RSA PRIVATE KEY-----"
PEM = f"-----BEGIN {KIND}\nTUlJRXBBSUJBQUtDQVFFQQ==\nabc/+8765432109876\n-----END {KIND}"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"token ghp_{'a1' * 18}.", "token ********."),
        (f'{{"token":"github_pat_{"a1_" * 20}"}}', '{"token":"********"}'),
        ("ghs_0123456789abcdefXYZ and gho_0123456789abcdefXYZ", "******** and ********"),
        (f"token ghs_12345_{JIT}.{'c2ln' * 9}_-x", "token ********"),
        (f"--jitconfig {JIT}== next", "--jitconfig ******** next"),
        (f"printed={base64.b64encode(REAL_JIT).decode()}", "printed=********"),
        (f"printed={base64.b64encode(b'{ ' + REAL_JIT[1:]).decode()}", "printed=********"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxMjM0NTYifQ.sig-na_ture", "********"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ********"),
        ("RemoteAuth abc==", "RemoteAuth ********"),
        ("proxy http://me:p@ss:word@proxy:3128/", "proxy http://********@proxy:3128/"),
        (f"key:\n{PEM}\nend", "key:\n********\nend"),
        (json.dumps({"key": PEM}), '{"key": "********"}'),
        (PEM.partition("\n")[2] + "\nend", "********\nend"),
        (PEM[:60], "********"),
    ],
)
def test_a_secret_is_masked_and_nothing_else(text: str, masked: str) -> None:
    assert mask_secret_forms(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "my-org/app/.github/workflows/ci.yml@refs/heads/main",
        "https://github.com/my-org",
        "highlights of the night",
        "unix:///var/run/docker.sock",
        "runner-0a1b2c3d began job build (run 991)",
    ],
)
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert mask_secret_forms(text) == text
