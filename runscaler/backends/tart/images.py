"""Images: which are present, and pulling them, once for all callers that wait for the same one."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.home import interruptible
from runscaler.backends.tart.output_errors import CONNECTION, SPELLING, command_error
from runscaler.backends.tart.pull_listener import PullListener
from runscaler.backends.tart.vm import Vm
from runscaler.errors import BackendError, ImageMissing
from runscaler.units import format_duration
from runscaler.untrusted import parse_json

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Progress
    from runscaler.backends.tart.cli import Output, Tart
    from runscaler.backends.tart.home import TartHome
    from runscaler.backends.tart.timings import Timings
    from runscaler.interrupt import Interrupt

_LIST_ATTEMPTS = 3


def is_remote(image: str) -> bool:
    """Is it an image of a registry? A name without a slash is a local VM."""
    return "/" in image


def full_name(image: str) -> str:
    """With its tag or digest, as tart lists it."""
    tagged = "@" in image or ":" in image.rpartition("/")[2]
    return image if tagged or not is_remote(image) else f"{image}:latest"


def cached(home: TartHome, image: str) -> Vm | None:
    """The image in the cache, or the local VM; None if it is not there (docs/tart.md § 2).

    Looks at the disk and starts no process."""
    if not is_remote(image):
        local = home.vm(image)
        return local if local.config.exists() else None
    repository, reference = _split(full_name(image))
    host, _, rest = repository.partition("/")
    found = home.cache / host.replace(":", "%3A") / rest / reference
    return Vm(found) if (found / "config.json").exists() else None


def fqn(home: TartHome, image: str) -> str:
    """The image with its digest, as `tart fqn` prints it; empty if it is not in the cache."""
    found = cached(home, image)
    if found is None or not is_remote(image):
        return ""
    with suppress(OSError):
        return f"{_split(full_name(image))[0]}@{found.path.resolve(strict=True).name}"
    return ""


class Images:
    """Thread-safe; for all TART_HOMEs of the process."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._lock = threading.Lock()
        self._image_locks: defaultdict[tuple[Path, str], threading.Lock] = defaultdict(threading.Lock)

    def is_present(self, tart: Tart, image: str, interrupt: Interrupt | None = None) -> bool:
        """According to `tart list`, or to the disk if its output cannot be read."""
        source = "oci" if is_remote(image) else "local"
        try:
            for _ in range(_LIST_ATTEMPTS):
                names = self._list(tart, source, interrupt)
                if names is not None:
                    return full_name(image) in names
        except TartTimedOut as error:
            logger.debug("{}", error)
        return cached(tart.home, image) is not None

    def ensure(self, tart: Tart, image: str, progress: Progress, interrupt: Interrupt) -> None:
        """Returns when it is present; raises `ImageMissing` if it cannot be had."""
        with self._lock:
            lock = self._image_locks[tart.home.path, full_name(image)]
        with interruptible(lock, interrupt):
            if not self.is_present(tart, image, interrupt):
                self._pull(tart, image, progress, interrupt)

    def _list(self, tart: Tart, source: str, interrupt: Interrupt | None) -> set[str] | None:
        """None if the output cannot be read, as happens while another VM disappears."""
        arguments = ("list", "--source", source, "--format", "json")
        output = tart.call(*arguments, seconds=self._timings.query, interrupt=interrupt)
        return _names_in(output) if output.code == 0 else None

    def _pull(self, tart: Tart, image: str, progress: Progress, interrupt: Interrupt) -> None:
        if not is_remote(image):
            raise local_missing(tart.home, image)
        seconds = self._timings.pull_silence
        listener = PullListener(
            tart.home, seconds, lambda done, total, doing: progress(f"{doing} {image}", done, total)
        )
        try:
            output = tart.call("pull", image, seconds=seconds, interrupt=interrupt, listener=listener)
        except TartTimedOut as error:
            silence = format_duration(seconds)
            raise ImageMissing(
                f"cannot pull image {image}: it made no progress for {silence} and was killed",
                fixes=(CONNECTION,),
            ) from error
        if output.code != 0:
            raise as_image_missing(command_error(f"pull image {image}", output, tart.home, registry=True))


def as_image_missing(error: BackendError) -> BackendError:
    """Whatever the reason why an image cannot be had, callers see `ImageMissing`."""
    return error if isinstance(error, ImageMissing) else ImageMissing(str(error), fixes=error.fixes)


def local_missing(home: TartHome, image: str) -> ImageMissing:
    return ImageMissing(
        f"there is no local VM {image} in {home}",
        fixes=(
            f"{SPELLING}; `tart list` shows what there is",
            "name an image of a registry, such as ghcr.io/cirruslabs/macos-sequoia-base:latest",
        ),
    )


def _split(full_name: str) -> tuple[str, str]:
    """Into repository, and tag or digest."""
    repository, _, reference = full_name.partition("@") if "@" in full_name else full_name.rpartition(":")
    return repository, reference


def _names_in(output: Output) -> set[str] | None:
    try:
        found = parse_json(output.out)
    except ValueError:
        return None
    if not isinstance(found, list):
        return None
    return {str(entry["Name"]) for entry in found if isinstance(entry, dict) and "Name" in entry}
