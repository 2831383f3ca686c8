"""What an engine says about itself and its host (docs/behaviour.md § 7.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from runscaler.backends.docker.api import Inspection

MEGABYTE = 1024 * 1024
ROTATING_DRIVERS = frozenset({"json-file", "local"})
"""The logging drivers that take `max-size`. With the others the engine refuses the container."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386"}
"""The kernel's names, which Docker's /info has, and those of images."""
OPTION_NAME = re.compile(r"name=([a-z-]+)")


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """From `/info`. What the engine does not tell is empty or 0, and a limit counts as possible.

    `architecture` is named as in images ("amd64"), `memory` is in bytes.
    """

    architecture: str = ""
    cores: int = 0
    memory: int = 0
    logging_driver: str = ""
    security: frozenset[str] = frozenset()
    host_name: str = ""
    operating_system: str = ""
    data_root: str = ""
    is_podman: bool = False
    limits_memory: bool = True
    limits_cpu: bool = True
    limits_pids: bool = True

    @classmethod
    def of(cls, info: Inspection) -> Self:
        machine, options = str(info.get("Architecture", "")), info.get("SecurityOptions")
        named = (OPTION_NAME.match(str(option)) for option in (options if isinstance(options, list) else ()))
        return cls(
            architecture=ARCHITECTURES.get(machine, machine),
            cores=_number(info.get("NCPU")),
            memory=_number(info.get("MemTotal")),
            logging_driver=str(info.get("LoggingDriver") or ""),
            security=frozenset(found[1] for found in named if found),
            host_name=str(info.get("Name") or ""),
            data_root=str(info.get("DockerRootDir") or ""),
            operating_system=str(info.get("OperatingSystem") or ""),
            is_podman="BuildahVersion" in info,
            limits_memory=info.get("MemoryLimit") is not False,
            limits_cpu=info.get("CpuCfsQuota") is not False,
            limits_pids=info.get("PidsLimit") is not False,
        )

    @property
    def is_rootless(self) -> bool:
        return "rootless" in self.security

    @property
    def remaps_users(self) -> bool:
        return "userns" in self.security

    @property
    def rotates_logs(self) -> bool:
        return self.logging_driver in ROTATING_DRIVERS


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
