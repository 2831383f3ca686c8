"""Clones an image to a VM. Tries twice, as another VM may make a clone fail (docs/tart.md § 5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loguru import logger

from runscaler.backends.tart.cli import TartTimedOut
from runscaler.backends.tart.images import as_image_missing, cached, is_remote, local_missing
from runscaler.backends.tart.output_errors import VmNotFound, command_error
from runscaler.backends.tart.pull_listener import CloneListener
from runscaler.errors import BackendError, ImageMissing, StartFailed

if TYPE_CHECKING:
    from runscaler.backends.tart.cli import Output, Tart
    from runscaler.backends.tart.images import Images
    from runscaler.backends.tart.start_deadline import StartDeadline
    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.tart.vm import Vm

_MAC = re.compile(r"^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clone:
    """Of `image` to `vm`, in the TART_HOME of `tart`."""

    tart: Tart
    images: Images
    timings: Timings
    deadline: StartDeadline
    image: str
    vm: Vm

    def run(self) -> None:
        """Pulls the image first if it is missing. Raises `BackendError` and `Interrupted`."""
        if cached(self.tart.home, self.image) is None:
            self.images.ensure(self.tart, self.image, _no_progress, self.deadline.interrupt)
        error = self._attempt()
        if error is None:
            return
        logger.debug("{}; trying once more", error)
        if isinstance(error, ImageMissing) and not is_remote(self.image):
            raise error
        error = self._attempt()
        if error is not None:
            raise self._with_culprits(error)

    def _attempt(self) -> BackendError | None:
        """What went wrong; then no VM of that name is left."""
        home, interrupt = self.tart.home, self.deadline.interrupt
        with home.exclusive(interrupt):
            listener = CloneListener(home, self.timings.pull_silence, self.timings.clone)
            seconds = self.deadline.remaining(self.timings.clone)
            command = ("clone", self.image, self.vm.name)
            try:
                output = self.tart.call(*command, seconds=seconds, interrupt=interrupt, listener=listener)
            except TartTimedOut as error:
                raise StartFailed(
                    f"cannot clone image {self.image} to {self.vm.name}: {error}",
                    fixes=(f"look for a tart command that hangs: it holds the lock of {home}",),
                ) from error
            if output.code == 0:
                return None
            if self.vm.exists():
                self.tart.call("delete", self.vm.name, seconds=self.timings.delete, interrupt=interrupt)
        return self._error(output)

    def _error(self, output: Output) -> BackendError:
        doing = f"clone image {self.image} to {self.vm.name}"
        error = command_error(doing, output, self.tart.home, registry=True)
        if isinstance(error, VmNotFound):
            if is_remote(self.image):
                return as_image_missing(error)
            return local_missing(self.tart.home, self.image)
        return error

    def _with_culprits(self, error: BackendError) -> BackendError:
        """A single VM whose config.json cannot be read makes every clone in its TART_HOME fail."""
        broken = [vm.name for vm in self.tart.home.vms() if vm.config.exists() and not _is_readable(vm)]
        if not broken:
            return error
        named = ", ".join(broken)
        return StartFailed(
            f"{error} (the configuration of {named} cannot be read, which makes every clone fail)",
            fixes=(f"repair or remove {named}: `tart delete {broken[0]}`",),
        )


def _is_readable(vm: Vm) -> bool:
    try:
        return _MAC.match(str(vm.read_config().get("macAddress"))) is not None
    except (OSError, ValueError):
        return False


def _no_progress(_what: str, _done: int, _total: int, /) -> None:
    pass
