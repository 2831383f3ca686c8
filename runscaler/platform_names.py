"""Names of this platform as releases and GitHub's Go tools write them: linux or darwin, amd64 or arm64."""

from __future__ import annotations

import platform


def system() -> str:
    return platform.system().lower()


def architecture() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def platform_name() -> str:
    """As in the names of release archives: linux-amd64."""
    return f"{system()}-{architecture()}"
