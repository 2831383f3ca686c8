"""Removes what the Go tool left on an engine (docs/behaviour.md § 14.4)."""

from __future__ import annotations

from docker.errors import NotFound

from runscaler.backends.docker.address import EngineAddress
from runscaler.backends.docker.engine import Engine


def remove_volume(url: str, name: str) -> bool:
    """Remove a volume; False if there is none. Raises `BackendError`, also if a container uses it."""
    engine = Engine(EngineAddress(url))
    try:
        with engine.call(f"remove volume {name}") as api:
            try:
                api.remove_volume(name)
            except NotFound:
                return False
            return True
    finally:
        engine.disconnect()
