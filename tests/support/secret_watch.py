"""Records what every process of this machine can see: the arguments and environments of all processes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.planted import files_of
from support.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

POLL_SECONDS = 0.005
MARKS_OF_RUNNERS = (b"FAKE_TART_GUEST=", b"RUNNER_MANUALLY_TRAP_SIG=")


class SecretWatch(Poller):
    """Keeps what each process was started with, since the secrets may be known only afterwards."""

    def __init__(self) -> None:
        super().__init__("secret-watch", POLL_SECONDS)
        self.words: set[bytes] = set()
        self.variables: set[bytes] = set()
        self.variables_of_runners: set[bytes] = set()
        """Kept apart, because there the runner legitimately has its configuration."""

    def poll(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                self.words.add((process / "cmdline").read_bytes())
                environment = (process / "environ").read_bytes()
                of_runner = any(mark in environment for mark in MARKS_OF_RUNNERS)
                (self.variables_of_runners if of_runner else self.variables).add(environment)


def found_in(secrets: Iterable[str], texts: Iterable[bytes]) -> list[str]:
    """The beginnings of the secrets that occur in one of the texts."""
    joined = b"\n".join(texts)
    return [secret[:12] for secret in secrets if secret.encode() in joined]


def files_below(*folders: Path) -> Iterator[bytes]:
    """What they hold; what goes meanwhile is left out."""
    return (content for folder in folders for _, content in files_of(folder))
