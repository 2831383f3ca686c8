"""What secrets look like in a text that others wrote, so that they can be masked without knowing them."""

from __future__ import annotations

import re

from runscaler.config.secrets import Secret

MARKS = ("gh", "github_pat_", "eyJ", "ewo", "KEY-----", "earer ", "RemoteAuth ", "://")
"""A text without any of these contains no secret of these forms; to look for them is cheap."""
FORMS = re.compile(
    r"-----BEGIN [A-Z ]*KEY-----.*?(?:-----END [A-Z ]*KEY-----|\Z)"
    r"|(?:^[ \t]*[A-Za-z0-9+/=]{16,}[ \t]*\r?\n)+[ \t]*-----END [A-Z ]*KEY-----"
    r"|\bgh[a-z]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{16,}"
    r"|(?<![A-Za-z0-9+/])(?:eyJ[A-Za-z0-9+/_.-]{12,}={0,2}|ewo[A-Za-z0-9+/_-]{40,}={0,2})"
    r"|(?<=[Bb]earer )[^\s\"']+|(?<=RemoteAuth )[^\s\"']+"
    r"|(?<=://)[^\s\"'/@]*@(?:[^\s\"'/@]*@)*",
    re.DOTALL | re.MULTILINE,
)
"""Private keys (also cut off at one end), GitHub's tokens, JSON Web Tokens and JIT configurations, values of
Authorization headers, user info in URLs."""


def mask_secret_forms(text: str) -> str:
    if not any(mark in text for mark in MARKS):
        return text
    return FORMS.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    return f"{Secret.MASK}@" if found[0].endswith("@") else Secret.MASK
