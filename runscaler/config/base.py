"""What all settings types share: their base class, and the declaration that each of their fields carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen and strict. Attribute names are the TOML keys with underscores."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=False,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )


class Scope(StrEnum):
    """Where a key may be set, and whether scale sets inherit it (docs/behaviour.md § 4.2)."""

    GLOBAL = "global"
    """Only at the top of the file, or in a table there."""
    SET = "set"
    """At the top and in a scale set; a scale set inherits the value of the top."""
    IDENTITY = "identity"
    """With one scale set at the top, with several only in a scale set; never inherited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The declaration of a key. The reference, the flags and the error messages are generated from it.

    `help` is one sentence without a full stop. `flag` is the name of the flag of `run`, if there is one.
    `accepts` describes valid values. Keys inside a table have the scope of the table. Values of `secret` keys
    are masked; those of `indirect` keys may be written as env:NAME or file:PATH. `default` is the text that
    the reference shows instead of the default value.
    """

    help: str
    accepts: str
    flag: str = ""
    scope: Scope = Scope.SET
    secret: bool = False
    indirect: bool = False
    default: str = ""
