"""Strict types for the values of keys, and the texts that describe them to the user.

Durations become float seconds, sizes integer bytes, lists tuples. The message of a validator's ValueError is
shown to the user as the reason.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from runscaler.config.proxy_url import ProxyUrl
from runscaler.config.schedule_values import above_zero, cron_expression, time_zone
from runscaler.config.secrets import Secret, expanded
from runscaler.units import LONGEST, parse_duration, parse_size

LONGEST_SECONDS = 100 * 365.25 * 86400
"""No thread waits longer than 292 years, which Python holds to be an error."""
LARGEST_SIZE = 2**63 - 1
RUNNER_LIMIT = 100_000
"""Limit for max-runners. A larger number is a typing error, and would need too much memory for slots."""


class Unit(StrEnum):
    """Marks a number that users may write as a string with a unit."""

    SECONDS = "seconds"
    BYTES = "bytes"


def _seconds(value: object) -> object:
    """Parse a Go-style duration or whole seconds. Other values are left to the type's validation."""
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.isdecimal() and len(value) <= LONGEST else parse_duration(value)
    except ValueError as error:
        raise ValueError("it is negative" if value.strip().startswith("-") else "") from error


def _bytes(value: object) -> object:
    """Parse a size with unit, or whole megabytes."""
    if isinstance(value, str):
        try:
            return parse_size(value)
        except ValueError as error:
            raise ValueError("") from error
    if isinstance(value, int) and not isinstance(value, bool):
        return value * 1024 * 1024
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("it is not a finite number")
    return value


def _bounded_seconds(value: float) -> float:
    if _finite(value) > LONGEST_SECONDS:
        raise ValueError("it is longer than 100 years")
    return value


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _path(value: object) -> object:
    return expanded(value) if isinstance(value, str) and value else value


def _path_string(value: str) -> str:
    """Check a path, but keep it as written; `expanded` is left to its user."""
    expanded(value)
    return value


def _below_limit(value: int) -> int:
    if value > RUNNER_LIMIT:
        raise ValueError(f"it is above {RUNNER_LIMIT}")
    return value


def not_zero(instead: str) -> AfterValidator:
    """Reject 0, which would mean that everything is too old; `instead` is the setting to use."""

    def refuse(value: float) -> float:
        if value == 0:
            raise ValueError(f"0 would mean that everything is too old; to turn this off set {instead}")
        return value

    return AfterValidator(refuse)


def _whole_days(value: float) -> float:
    if value % 86400:
        raise ValueError("it is not a whole number of days (24h, 48h, …)")
    return value


def _socket(value: str) -> str:
    path = value.removeprefix("unix://")
    if "://" in path:
        raise ValueError("it is a URL: use host instead of socket")
    if path and not path.startswith(("/", "~")):
        raise ValueError("it is not an absolute path")
    return str(expanded(path)) if path else ""


def _engine(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if value and (not mark or not rest or scheme not in ("unix", "tcp", "ssh")):
        raise ValueError("it is not the URL of an engine")
    return value


def _web(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    if value and (not mark or not rest or scheme not in ("http", "https")):
        raise ValueError("it is not an http:// or https:// URL")
    return value


def _proxy(value: object) -> object:
    written = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(written, str):
        return value
    return ProxyUrl(written) if written else None


def _mount_path(value: str) -> str:
    if value and (not value.startswith("/") or ":" in value or not value.isprintable()):
        raise ValueError("it is not an absolute path without colons")
    if value and not value.strip("/."):
        raise ValueError("it is the root of the container")
    return value


def _log_size(value: str) -> str:
    if value and not re.fullmatch(r"[1-9][0-9]{0,8}[kmg]", value.lower()):
        raise ValueError("it is not a size such as 50m")
    return value.lower()


def _group(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _group_name(value: str) -> str:
    if value and not re.fullmatch(r"[0-9]{1,10}|[A-Za-z_][A-Za-z0-9_.-]{0,31}", value):
        raise ValueError("it is neither the number of a group nor a name")
    return value


def _capability(value: str) -> str:
    name = value.upper().removeprefix("CAP_")
    if not re.fullmatch(r"[A-Z][A-Z_]{0,39}", name):
        raise ValueError("it is not the name of a capability")
    return name


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip() or not value:
        raise ValueError("it is empty, or has surrounding spaces or control characters")
    return value


_APP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def app_id(value: str) -> str:
    """The id of a GitHub App. Raises `ValueError` for what cannot be one."""
    if not _APP_ID.fullmatch(value):
        raise ValueError("it is none, perhaps because of a stray character")
    return value


def _secret(value: object) -> object:
    return Secret(value) if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


IN_ANY_CASE = BeforeValidator(_lower)
"""For a choice whose words may be written in any case."""


def _variable_name(value: str) -> str:
    if not value or "=" in value or "\0" in value:
        raise ValueError("it is not the name of a variable")
    return value


Duration = Annotated[
    float, Unit.SECONDS, BeforeValidator(_seconds), AfterValidator(_bounded_seconds), Field(ge=0)
]
"""Seconds; 0 has a special meaning."""
PositiveDuration = Annotated[
    float, Unit.SECONDS, BeforeValidator(_seconds), AfterValidator(_bounded_seconds), Field(gt=0)
]
"""Seconds, above 0."""
WholeDays = Annotated[Duration, AfterValidator(_whole_days)]
"""Seconds; a whole number of days."""
Size = Annotated[int, Unit.BYTES, BeforeValidator(_bytes), Field(ge=0, le=LARGEST_SIZE)]
"""Bytes."""
NonNegativeNumber = Annotated[float, AfterValidator(_finite), Field(ge=0)]
"""A number of at least 0, fractions allowed."""
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
RunnerCount = Annotated[Positive, AfterValidator(_below_limit)]
ScheduledMaximum = Annotated[int, AfterValidator(above_zero), Field(ge=1), AfterValidator(_below_limit)]
Port = Annotated[int, Field(ge=0, le=65535)]
Strings = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Numbers = Annotated[tuple[NonNegativeNumber, ...], BeforeValidator(_tuple)]
PathString = Annotated[str, AfterValidator(_path_string)]
"""A path on this host; empty has a special meaning."""
FilePath = Annotated[Path, BeforeValidator(_path)]
SocketPath = Annotated[str, AfterValidator(_socket)]
EngineUrl = Annotated[str, AfterValidator(_engine)]
EngineUrls = Annotated[tuple[EngineUrl, ...], BeforeValidator(_tuple)]
OptionalProxy = Annotated[ProxyUrl | None, BeforeValidator(_proxy)]
"""An empty string means None."""
WebUrl = Annotated[str, AfterValidator(_web)]
LogSize = Annotated[str, AfterValidator(_log_size)]
GroupName = Annotated[str, BeforeValidator(_group), AfterValidator(_group_name)]
Capabilities = Annotated[tuple[Annotated[str, AfterValidator(_capability)], ...], BeforeValidator(_tuple)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
Cron = Annotated[str, AfterValidator(cron_expression)]
TimeZone = Annotated[str, AfterValidator(time_zone)]
AppId = Annotated[str, AfterValidator(app_id)]
PrintableString = Annotated[str, AfterValidator(_printable)]
"""Not empty and printable."""
PrintableStrings = Annotated[tuple[PrintableString, ...], BeforeValidator(_tuple)]
OptionalSecret = Secret | None
SecretText = Annotated[Secret, BeforeValidator(_secret)]
"""A string, which becomes a `Secret`."""
VariableName = Annotated[str, AfterValidator(_variable_name)]

A_DURATION = 'a duration such as "90s", "10m" or "6h30m", or whole seconds'
A_SIZE = 'a size such as "10GiB" or "512MiB", or whole megabytes; 0: off'
A_POSITIVE_DURATION = 'a duration above 0 such as "90s", "10m" or "6h30m", or whole seconds'
AN_ENGINE = "a URL that begins with unix://, tcp:// or ssh://"
A_COUNT = "a whole number of at least 0"
A_NUMBER = "a number of at least 0"
STRING_OR_REFERENCE = "a string, env:NAME or file:PATH"
A_STRING = "a string"
A_BOOLEAN = "true or false"
STRINGS = "a list of strings"
A_TABLE = "a table of strings"
