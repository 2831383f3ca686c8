"""How this program was installed, which decides who replaces it."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from runscaler.interpreter import is_frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTAINER_VARIABLE = "RUNNER_CONTAINER"
"""Set in the container image (conf/docker/Dockerfile)."""


class Installer(StrEnum):
    EXECUTABLE = "executable"
    CONTAINER = "container"
    PIPX = "pipx"
    UV = "uv"
    PIP = "pip"
    CHECKOUT = "checkout"


@dataclass(frozen=True, slots=True)
class Installation:
    """`path` is the single-file executable, else the environment's prefix or the checkout; `source` the
    local directory that it was installed from, if it was."""

    installer: Installer
    path: Path
    source: str = ""

    def commands(self, version: str = "") -> tuple[str, ...]:
        """What updates it to that version, to the newest one without: shell commands, one after the other."""
        package = f"runscaler=={version}" if version else "runscaler"
        pull = f"git -C {shlex.quote(self.source)} pull"
        match self.installer:
            case Installer.EXECUTABLE:
                return (f"runner update --to {version}" if version else "runner update",)
            case Installer.CONTAINER:
                return ("docker compose pull", "docker compose up --detach")
            case Installer.CHECKOUT:
                return (pull,)
            case Installer.PIPX if self.source:
                return (pull, f"pipx install --force {shlex.quote(self.source)}")
            case Installer.PIPX:
                return (f"pipx install --force {package}" if version else "pipx upgrade runscaler",)
            case Installer.UV if self.source:
                return (pull, f"uv tool install --reinstall {shlex.quote(self.source)}")
            case Installer.UV:
                return (f"uv tool install --force {package}" if version else "uv tool upgrade runscaler",)
            case Installer.PIP:
                python = shlex.quote(str(self.path / "bin" / "python"))
                what = shlex.quote(self.source) if self.source else package
                install = f"{python} -m pip install --upgrade {what}"
                return (pull, install) if self.source else (install,)


def this_installation(environ: Mapping[str, str] = os.environ) -> Installation:
    """That of the running program."""
    if environ.get(CONTAINER_VARIABLE):
        return Installation(Installer.CONTAINER, Path(sys.prefix))
    if is_frozen():
        return Installation(Installer.EXECUTABLE, Path(sys.executable).resolve())
    return installation_in(Path(sys.prefix), _direct_url())


def installation_in(prefix: Path, direct_url: str) -> Installation:
    """The one in a virtual environment; `direct_url` is its record of where it was installed from."""
    source, editable = _local_source(direct_url)
    if editable:
        return Installation(Installer.CHECKOUT, Path(source), source)
    if (prefix / "pipx_metadata.json").exists():
        return Installation(Installer.PIPX, prefix, source)
    if (prefix / "uv-receipt.toml").exists():
        return Installation(Installer.UV, prefix, source)
    return Installation(Installer.PIP, prefix, source)


def _direct_url() -> str:
    try:
        return distribution("runscaler").read_text("direct_url.json") or ""
    except PackageNotFoundError:
        return ""


def _local_source(direct_url: str) -> tuple[str, bool]:
    """The local directory in a `direct_url.json` (PEP 610), empty if there is none, and if it is editable."""
    try:
        facts = json.loads(direct_url or "{}")
        url, editable = urlsplit(facts.get("url", "")), bool(facts.get("dir_info", {}).get("editable"))
    except (ValueError, AttributeError, TypeError):
        return "", False
    return (unquote(url.path), editable) if url.scheme == "file" else ("", False)
