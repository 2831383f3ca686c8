"""What must never be shown: the secrets that tests plant, looked for in all that is shown.

A value that a test gives as a token or a password holds one of `MARKS`, so that it is found in every form.
Private keys, JIT configurations and tokens that a simulated GitHub made are known by their looks.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

TOKEN = "ghp_" + "s3cr3t" * 6
MARKS = (b"s3cr3t", b"hunter2")
"""Letters and digits only: the same if a URL, JSON, TOML or a shell quotes them."""
ENCODED = re.compile(rb"(?<![A-Za-z0-9+/_-])e[wy][A-Za-z0-9+/_-]{60,}")
LOOKS = {
    "a token of GitHub": re.compile(rb"\bgh[a-z]_[A-Za-z0-9]{16,}|\bgithub_pat_\w{16,}"),
    "a JIT configuration or a web token": ENCODED,
    "a private key": re.compile(rb"PRIVATE KEY-----(?:\s|\\[rn])+[A-Za-z0-9+/=]{20,}"),
    "an Authorization header": re.compile(rb"(?:[Bb]earer|RemoteAuth|Basic) [A-Za-z0-9+/=._-]{12,}"),
}
BEFORE = 40
"""So many characters before a secret tell where it stands."""
SECRET_KEYS = frozenset({"token", "password", "private-key"})
SECRET_VARIABLES = re.compile("TOKEN|SECRET|PASSWORD|PRIVATE_KEY")
REFERENCES = ("env:", "file:")
SHORTEST = 12
"""Shorter values may be words that are shown for another reason."""
WITH_SECRETS = ("process", "runners")
"""Folders of a state directory in which runners have their own configuration."""


def _forms(mark: bytes) -> Iterator[tuple[str, bytes]]:
    yield "in plain text", mark
    yield "in hexadecimal", mark.hex().encode()
    for offset in range(3):  # of the mark in a group of three bytes
        encoded = b64encode(bytes(offset) + mark)
        whole = slice(-(-offset * 8 // 6), (offset + len(mark)) * 8 // 6)
        yield "in base64", encoded[whole]


FORMS = tuple(chain.from_iterable(_forms(mark) for mark in MARKS))


def planted_in(text: bytes) -> list[str]:
    """The secrets that stand in a text: what each is, and what stands before it."""
    found = {}
    for form, sought in FORMS:
        if (at := text.find(sought)) >= 0:
            found[f"a planted secret {form}"] = at
    for name, pattern in LOOKS.items():
        if match := pattern.search(text):
            found[name] = match.start()
    return [f"{what} after {_before(text, at)!r}" for what, at in found.items()]


def _before(text: bytes, at: int) -> str:
    """Without the beginning of the secret, whose mark may be in the middle of a word."""
    before = text[max(0, at - BEFORE) : at].decode(errors="replace")
    if any(mark.decode() in before for mark in MARKS):
        return "…"
    return re.sub(r"[^\s=:'\"]*\Z", "", before)


def secrets_in(config: object, env: Mapping[str, str]) -> set[str]:
    """Those of a configuration as plain data, and of environment variables."""
    found = {value for name, value in env.items() if SECRET_VARIABLES.search(name)}
    return {one for one in found | set(_of_tables(config)) if len(one) >= SHORTEST}


def _of_tables(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in SECRET_KEYS and isinstance(inner, str) and not inner.startswith(REFERENCES):
                yield inner
            yield from _of_tables(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _of_tables(inner)


def shown_by(secrets: set[str], texts: Mapping[str, bytes]) -> list[str]:
    """Which secret stands in which text; of a secret only its beginning."""
    given = [
        f"{secret[:8]}… in {where}"
        for where, text in texts.items()
        for secret in sorted(secrets)
        if secret.encode() in text
    ]
    return given + [f"{one} in {where}" for where, text in texts.items() for one in planted_in(text)]


def files_of(folder: Path, without: Collection[str] = ()) -> Iterator[tuple[Path, bytes]]:
    """The files below a folder, but for those below folders with the names `without`. What goes meanwhile is
    left out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in without]
        for path in (Path(parent, name) for name in names):
            with suppress(OSError):
                if path.is_file():
                    yield path, path.read_bytes()


def files_of_state(state_dir: Path) -> dict[str, bytes]:
    """What a state directory holds beside the folders of its runners."""
    return {str(path): content for path, content in files_of(state_dir, WITH_SECRETS)}
