"""Chooses the service manager of this host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.sources import Locations
from runscaler.errors import HostError
from runscaler.ops.service.commands import Commands, run_command
from runscaler.ops.service.launchd import LaunchdManager
from runscaler.ops.service.systemd import SystemdManager

if TYPE_CHECKING:
    from runscaler.ops.service.layout import Layout
    from runscaler.ops.service.manager import ServiceManager


def manager_for(
    layout: Layout, commands: Commands = run_command, platform: str = sys.platform
) -> ServiceManager:
    """Raises `HostError` on a platform without a known service manager."""
    if platform == "darwin":
        return LaunchdManager(layout, commands)
    if platform == "linux":
        return SystemdManager(layout, commands)
    raise HostError(f"services are not supported on {platform}", fixes=("runner run --config PATH",))


def remove_volume(engine_url: str, name: str) -> bool:
    """Remove a Docker volume; False if there is none. Raises `BackendError`."""
    from runscaler.backends.docker import leftovers

    return leftovers.remove_volume(engine_url, name)


def locations(layout: Layout) -> Locations:
    """Where configurations are found, in this layout (docs/behaviour.md § 4.1)."""
    return Locations(Path("config.toml"), layout.user_config, layout.etc_config, layout.legacy_config)
