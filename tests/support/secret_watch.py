"""Who else can see a secret: the words and variables of every process of this machine, all the time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GLANCE = 0.005


class SecretWatch(Poller):
    """Keeps what each process was started with; what counts as a secret may be known afterwards only."""

    def __init__(self) -> None:
        super().__init__("secret-watch", GLANCE)
        self.words: set[bytes] = set()
        self.variables: set[bytes] = set()
        self.variables_of_guests: set[bytes] = set()
        """There the runner itself has its configuration."""

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                self.words.add((process / "cmdline").read_bytes())
                environment = (process / "environ").read_bytes()
                in_guest = b"FAKE_TART_GUEST=" in environment
                (self.variables_of_guests if in_guest else self.variables).add(environment)


def found_in(secrets: Iterable[str], texts: Iterable[bytes]) -> list[str]:
    """The beginnings of the secrets that stand in one of the texts."""
    joined = b"\n".join(texts)
    return [secret[:12] for secret in secrets if secret.encode() in joined]


def files_below(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file():
                    yield path.read_bytes()
