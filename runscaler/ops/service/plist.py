"""launchd property lists: written for this program, and read as the Go tool wrote them (launchd.plist(5))."""

from __future__ import annotations

import plistlib
from typing import TYPE_CHECKING
from xml.parsers.expat import ExpatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runscaler.ops.service.spec import ServiceSpec

LABEL = "io.github.ysya.runner"
LEGACY_LABEL = "com.runscaler.agent"
PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""launchd's own has neither Homebrew's folder, where `tart` is, nor /usr/local/bin."""
HOMEBREW = "/opt/homebrew/bin"
THROTTLE_SECONDS = 10


def render_plist(spec: ServiceSpec) -> bytes:
    variables = dict(spec.variables)
    variables["PATH"] = _path(variables.get("PATH", ""))
    definition: dict[str, object] = {
        "Label": LABEL,
        "ProgramArguments": list(spec.command),
        "EnvironmentVariables": variables,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": THROTTLE_SECONDS,
        "AbandonProcessGroup": True,
        "ExitTimeOut": spec.needs.stop_seconds,
        "ProcessType": "Interactive" if spec.needs.tart else "Standard",
    }
    if spec.is_user and spec.needs.tart:
        definition["LimitLoadToSessionType"] = "Aqua"
    if spec.log is not None:
        definition |= {"StandardOutPath": str(spec.log), "StandardErrorPath": str(spec.log)}
    return plistlib.dumps(definition, sort_keys=False)


def read_plist(content: bytes) -> Mapping[str, object]:
    """Raises ValueError if the content is no property list of a service."""
    try:
        found = plistlib.loads(content)
    except (plistlib.InvalidFileException, ExpatError, ValueError) as error:
        raise ValueError(f"it is no property list: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("it is no property list of a service")
    return found


def is_ours(definition: Mapping[str, object]) -> bool:
    """Whether the plist is one of this program: the Go tool's does not have this key."""
    return definition.get("AbandonProcessGroup") is True


def command_of(definition: Mapping[str, object]) -> list[str]:
    words = definition.get("ProgramArguments")
    return [str(word) for word in words] if isinstance(words, list) else []


def variables_of(definition: Mapping[str, object]) -> dict[str, str]:
    found = definition.get("EnvironmentVariables")
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _path(given: str) -> str:
    if not given:
        return PATH
    return given if HOMEBREW in given.split(":") else f"{HOMEBREW}:{given}"
