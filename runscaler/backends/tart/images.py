"""Images: there when they are needed, pulled once for all who wait for the same."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.output_errors import VmNotFound, command_error
from runscaler.backends.tart.pull_listener import PullListener
from runscaler.backends.tart.vm import Vm
from runscaler.errors import BackendError, ImageMissing
from runscaler.units import format_duration

if TYPE_CHECKING:
    from pathlib import Path

    from runscaler.backends.base import Progress
    from runscaler.backends.tart.cli import Output, Tart
    from runscaler.backends.tart.home import TartHome
    from runscaler.backends.tart.timings import Timings
    from runscaler.interrupt import Interrupt

_LOOK = 0.1
_LIST_TRIES = 3


def is_remote(image: str) -> bool:
    """One of a registry; a name without a slash is a local VM's."""
    return "/" in image


def full_name(image: str) -> str:
    """As tart lists it: with its tag or digest."""
    tagged = "@" in image or ":" in image.rpartition("/")[2]
    return image if tagged or not is_remote(image) else f"{image}:latest"


def cached(home: TartHome, image: str) -> Vm | None:
    """Where the image lies, None where nowhere: a look at the disk, no process (docs/tart.md § 2)."""
    if not is_remote(image):
        local = home.vm(image)
        return local if local.config.exists() else None
    repository, sign, reference = _split(full_name(image))
    host, _, rest = repository.partition("/")
    folder = home.cache / host.replace(":", "%3A") / rest
    found = folder / reference
    assert sign, "a full name has a tag or a digest"
    return Vm(found) if (found / "config.json").exists() else None


def fqn(home: TartHome, image: str) -> str:
    """The image with its digest, as `tart fqn` tells it; empty where that cannot be told."""
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
        self._turns: defaultdict[tuple[Path, str], threading.Lock] = defaultdict(threading.Lock)

    def is_present(self, tart: Tart, image: str, interrupt: Interrupt | None = None) -> bool:
        """As tart tells it. Where its list cannot be read, as the disk does."""
        source = "oci" if is_remote(image) else "local"
        try:
            for _ in range(_LIST_TRIES):
                names = self._names(tart, source, interrupt)
                if names is not None:
                    return full_name(image) in names
        except TartTimedOut as error:
            logger.debug("{}", error)
        return cached(tart.home, image) is not None

    def ensure(self, tart: Tart, image: str, progress: Progress, interrupt: Interrupt) -> None:
        """Return when it is there; `ImageMissing` where it cannot be had."""
        with self._lock:
            turn = self._turns[tart.home.path, full_name(image)]
        while not turn.acquire(timeout=_LOOK):
            interrupt.wait(0)
        try:
            if not self.is_present(tart, image, interrupt):
                self._pull(tart, image, progress, interrupt)
        finally:
            turn.release()

    def _names(self, tart: Tart, source: str, interrupt: Interrupt | None) -> set[str] | None:
        """None: no readable answer, which happens while another VM vanishes."""
        arguments = ("list", "--source", source, "--format", "json")
        output = tart.call(*arguments, seconds=self._timings.query, interrupt=interrupt)
        return _listed(output) if output.code == 0 else None

    def _pull(self, tart: Tart, image: str, progress: Progress, interrupt: Interrupt) -> None:
        if not is_remote(image):
            raise local_missing(tart.home, image)
        doing = f"pull image {image}"
        seconds = self._timings.pull_silence
        listener = PullListener(
            tart.home, seconds, lambda done, total, text: progress(f"{text} {image}", done, total)
        )
        try:
            output = tart.call("pull", image, seconds=seconds, interrupt=interrupt, listener=listener)
        except TartTimedOut as error:
            raise ImageMissing(
                f"cannot {doing}: it stood still for {format_duration(seconds)}, and was ended",
                fixes=("check this host's way to the registry (DNS, proxy, firewall)",),
            ) from error
        if output.code != 0:
            raise as_missing(command_error(doing, output, tart.home, registry=True))


def as_missing(error: BackendError) -> BackendError:
    """What keeps an image from being had is an image that is missing, whatever it is."""
    return error if isinstance(error, ImageMissing) else ImageMissing(str(error), fixes=error.fixes)


def local_missing(home: TartHome, image: str) -> ImageMissing:
    return ImageMissing(
        f"there is no local VM {image} in {home}",
        fixes=(
            "check runner-image for a typing mistake; `tart list` shows what there is",
            "name an image of a registry, such as ghcr.io/cirruslabs/macos-sequoia-base:latest",
        ),
    )


def clone_failure(image: str, name: str, output: Output, home: TartHome) -> BackendError:
    """Why a clone failed; an image that is gone is told apart."""
    error = command_error(f"clone image {image} to {name}", output, home, registry=True)
    if isinstance(error, VmNotFound):
        return as_missing(error) if is_remote(image) else local_missing(home, image)
    return error


def _split(name: str) -> tuple[str, str, str]:
    """Repository, the sign between, and tag or digest."""
    if "@" in name:
        return name.partition("@")
    return name.rpartition(":")


def _listed(output: Output) -> set[str] | None:
    try:
        found = json.loads(output.out)
    except ValueError:
        return None
    if not isinstance(found, list):
        return None
    return {str(entry["Name"]) for entry in found if isinstance(entry, dict) and "Name" in entry}
