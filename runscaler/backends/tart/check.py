"""Checks whether a scale set can use this host's tart, and names fixes (docs/behaviour.md § 12)."""

from __future__ import annotations

import platform
import re
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from runscaler.backends.loopback_proxy import loopback_proxy
from runscaler.backends.tart.images import cached, is_remote, local_missing
from runscaler.backends.tart.output_errors import FREE_SPACE, command_error
from runscaler.backends.tart.version import MINIMUM, RECOMMENDED, TartVersion, dotted
from runscaler.errors import BackendError
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runscaler.backends.tart.cli import Tart
    from runscaler.backends.tart.images import Images
    from runscaler.backends.tart.timings import Timings
    from runscaler.backends.tart.vm import Vm
    from runscaler.config.model import ScaleSetSettings

LOW_DISK = 20 * 2**30
"""Bytes; with less free space a job may well fill the disk."""
MANY_LEASES = 230
"""Of the about 253 that macOS' DHCP server has for guests (docs/tart.md § 7)."""
_LEASE = re.compile(r"lease=0x([0-9a-f]{1,16})", re.IGNORECASE)
_UPDATE = "update tart: `brew upgrade tart`"


def findings(
    tart: Tart, images: Images, timings: Timings, settings: ScaleSetSettings, leases: Path
) -> list[Finding]:
    """All problems; changes and pulls nothing. `leases` is the file with macOS' DHCP leases."""
    checks = Checks(tart, timings, settings)
    try:
        found = [*checks.check_tool(Interrupt()), *checks.check_image(images)]
    except BackendError as error:
        return [Finding(Level.ERROR, str(error), error.fixes, settings.name)]
    found += [*checks.check_disk(), *checks.check_leases(leases), *loopback_proxy(settings, "in VMs")]
    return found


def can_run_macos(system: str, kernel: str) -> bool:
    """`kernel` is the text of `uname -v`: for a Python under Rosetta the machine's name is Intel's."""
    return system == "darwin" and "_ARM64" in kernel.upper()


class Checks:
    """The single checks, for one scale set."""

    def __init__(self, tart: Tart, timings: Timings, settings: ScaleSetSettings) -> None:
        self._tart, self._timings, self._settings = tart, timings, settings

    def check_tool(self, interrupt: Interrupt) -> Iterator[Finding]:
        """Version and platform. Raises `BackendError` if tart cannot be run, and `Interrupted`."""
        output = self._tart.call("--version", seconds=self._timings.query, interrupt=interrupt)
        if output.code != 0:
            raise command_error("ask tart for its version", output)
        version = TartVersion.of(output.out)
        yield from self._check_version(version)
        yield from self._check_platform(version)

    def _check_version(self, version: TartVersion) -> Iterator[Finding]:
        text = f"tart {version.text}"
        if not version.numbers:
            yield self._warning(f"{text}: the version cannot be read; {dotted(MINIMUM)} is needed", _UPDATE)
        elif version.numbers < MINIMUM:
            yield self._error(f"{text} is too old: {dotted(MINIMUM)} is needed", _UPDATE)
        elif version.numbers < RECOMMENDED:
            yield self._warning(
                f"{text} fails if the path of TART_HOME is long; {dotted(RECOMMENDED)} does not", _UPDATE
            )
        else:
            yield Finding(Level.OK, f"{text} in {self._tart.home}", (), self._settings.name)

    def _check_platform(self, version: TartVersion) -> Iterator[Finding]:
        if version.is_fake:
            yield self._warning("this is a fake tart: its VMs are processes of this host, not isolated")
        elif not can_run_macos(sys.platform, platform.version()):
            yield self._error(
                f"macOS VMs need a Mac with Apple silicon, and this is {sys.platform} {platform.machine()}",
                'run this scale set on such a Mac, or choose backend = "docker" or "process" for it',
            )

    def check_image(self, images: Images) -> Iterator[Finding]:
        image, home = self._settings.runner_image, self._tart.home
        if not images.is_present(self._tart, image):
            if is_remote(image):
                yield self._warning(f"image {image} is not in {home}: the start pulls it")
            else:
                missing = local_missing(home, image)
                yield self._error(str(missing), *missing.fixes)
            return
        yield Finding(Level.OK, f"image {image} is in {home}", (), self._settings.name)
        yield from self.check_image_configuration()

    def check_image_configuration(self) -> Iterator[Finding]:
        """If the image is present: can VMs of the configured size be made from it?"""
        vm = cached(self._tart.home, self._settings.runner_image)
        if vm is not None:
            yield from self._check_image_vm(vm)

    def check_disk(self) -> Iterator[Finding]:
        free = self._tart.home.free_bytes()
        if free < LOW_DISK:
            yield self._warning(f"only {free / 2**30:.1f} GiB are free at {self._tart.home}", FREE_SPACE)

    def check_leases(self, leases: Path) -> Iterator[Finding]:
        """A guest without an address never appears at GitHub (docs/tart.md § 7)."""
        text = ""
        with suppress(OSError):
            text = leases.read_text(errors="replace")
        now = self._tart.clock.wall()
        count = sum(int(expiry, 16) > now for expiry in _LEASE.findall(text))
        if count >= MANY_LEASES:
            yield self._warning(
                f"{count} of about 253 DHCP leases for VMs are taken: without one a guest has no network",
                f"`sudo rm {leases}`: it is created again when the next VM starts",
                "shorten the leases: `sudo defaults write "
                "/Library/Preferences/SystemConfiguration/com.apple.InternetSharing.default.plist "
                "bootpd -dict DHCPLeaseTimeSecs -int 600`",
            )

    def _check_image_vm(self, vm: Vm) -> Iterator[Finding]:
        if vm.is_suspended():
            yield self._error(
                f"image {self._settings.runner_image} is a suspended VM: it would keep its MAC address",
                "shut the VM down properly before using it as an image",
            )
        try:
            config = vm.read_config()
        except (OSError, ValueError) as error:
            yield self._error(
                f"the configuration of image {self._settings.runner_image} cannot be read: {error}"
            )
            return
        tart = self._settings.tart
        yield from self._check_size("cpu", tart.cpu, _number(config, "cpuCountMin"), "cores")
        yield from self._check_size("memory", tart.memory, _number(config, "memorySizeMin") >> 20, "MB")

    def _check_size(self, key: str, asked: int, least: int, unit: str) -> Iterator[Finding]:
        if asked and asked < least:
            yield self._error(
                f"[tart] {key} = {asked} is less than the {least} {unit} that image "
                f"{self._settings.runner_image} needs",
                f"set {key} = {least}, or 0 for the image's own",
            )

    def _error(self, message: str, *fixes: str) -> Finding:
        return Finding(Level.ERROR, message, fixes, self._settings.name)

    def _warning(self, message: str, *fixes: str) -> Finding:
        return Finding(Level.WARNING, message, fixes, self._settings.name)


def _number(config: dict[str, object], name: str) -> int:
    value = config.get(name)
    return value if isinstance(value, int) else 0
