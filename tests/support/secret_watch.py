"""Who else can see a secret: the words and variables of every process of this machine, all the time."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

GLANCE = 0.005


class SecretWatch:
    """Keeps what each process was started with; what counts as a secret may be known afterwards only."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="secret-watch")
        self.words: set[bytes] = set()
        self.variables: set[bytes] = set()
        self.variables_of_guests: set[bytes] = set()
        """There the runner itself has its configuration."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(GLANCE):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    self.words.add((process / "cmdline").read_bytes())
                    environment = (process / "environ").read_bytes()
                    in_guest = b"FAKE_TART_GUEST=" in environment
                    (self.variables_of_guests if in_guest else self.variables).add(environment)


def told_in(secrets: Iterable[str], texts: Iterable[bytes]) -> list[str]:
    """The beginnings of the secrets that stand in one of the texts."""
    joined = b"\n".join(texts)
    return [secret[:12] for secret in secrets if secret.encode() in joined]


def files_below(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file():
                    yield path.read_bytes()
