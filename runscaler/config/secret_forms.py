"""What secrets look like in a text that others wrote, so that they can be masked without knowing them."""

from __future__ import annotations

import re

from runscaler.config.secrets import Secret

MARKS = (
    "gh",
    "github_pat_",
    "eyA",
    "eyI",
    "eyJ",
    "ew0",
    "ewk",
    "ewo",
    "KEY-----",
    "earer ",
    "RemoteAuth ",
    "://",
)
"""A text without any of these contains no secret of these forms; to look for them is cheap. Those with an e
begin the base64 of a JSON object, whatever space it has."""
PRINTED = (
    r"\bghs_[A-Za-z0-9._-]{16,}|\bgh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
    r"|(?<![A-Za-z0-9+/])e[wy][A-Za-z0-9+/_-]{40,}={0,2}"
)
"""What a runner may print: GitHub's tokens, JIT configurations (docs/protocol.md § 8.1)."""
FORMS = re.compile(
    r"-----BEGIN [A-Z ]*KEY-----.*?(?:-----END [A-Z ]*KEY-----|\Z)"
    r"|(?:^[ \t]*[A-Za-z0-9+/=]{16,}[ \t]*\r?\n)+[ \t]*-----END [A-Z ]*KEY-----"
    r"|(?<![A-Za-z0-9+/])eyJ[A-Za-z0-9+/_.-]{12,}={0,2}"
    rf"|{PRINTED}"
    r"|(?<=[Bb]earer )[^\s\"']+|(?<=RemoteAuth )[^\s\"']+"
    r"|(?<=://)[^\s\"'/@]*@(?:[^\s\"'/@]*@)*",
    re.DOTALL | re.MULTILINE,
)
"""Private keys (also cut off at one end), JSON Web Tokens, what a runner may print, values of Authorization
headers, user info in URLs."""
_PRINTED = re.compile(PRINTED.encode())
_CUT_AT_START = re.compile(rb"\A(?=\S*[a-z])(?=\S*[A-Z])(?=\S*[0-9])[A-Za-z0-9+/]{40,}={0,2}(?=\s|\Z)")


def masked_output(output: bytes) -> bytes:
    """The output of a runner, with what looks like a JIT configuration or a token of GitHub masked.

    A JIT configuration at the very start may be the end of a longer one that was cut off.
    """
    mask = Secret.MASK.encode()
    return _PRINTED.sub(mask, _CUT_AT_START.sub(mask, output))


def mask_secret_forms(text: str) -> str:
    if not any(mark in text for mark in MARKS):
        return text
    return FORMS.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    return f"{Secret.MASK}@" if found[0].endswith("@") else Secret.MASK
