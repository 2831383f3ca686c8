"""Auto-scaling GitHub Actions runners on machines you own.

    from runscaler import Autoscaler, load_config

    with Autoscaler(load_config("config.toml")) as autoscaler:
        autoscaler.wait_ready(timeout=30)

The public names are imported on first use, which keeps `runner version` fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler import errors, events
    from runscaler.autoscaler import Autoscaler
    from runscaler.config.load import load_config
    from runscaler.config.model import Config

__version__ = "0.1.0"

__all__ = ["Autoscaler", "Config", "__version__", "errors", "events", "load_config"]

_MODULES = {
    "Autoscaler": "runscaler.autoscaler",
    "Config": "runscaler.config.model",
    "load_config": "runscaler.config.load",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name in ("errors", "events"):
        return import_module(f"runscaler.{name}")
    raise AttributeError(f"module 'runscaler' has no attribute {name!r}")
