"""What is known about a configuration key beside its type: each field of the model carries one `Key`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """Where a key may stand and who takes it from whom (docs/behaviour.md § 4.2)."""

    GLOBAL = "global"
    """Only at the top of the file (or in a table there)."""
    SET = "set"
    """At the top and in a scale set, which inherits what it does not give itself."""
    IDENTITY = "identity"
    """At the top in single mode, else only in a scale set: never inherited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The declaration of one key: what the reference, the flags and the error lines are made from.

    `help` is one sentence without its full stop; `flag` the name of `run`'s flag, if it has one;
    `accepts` completes "accepted is …"; `scope` is that of the enclosing table inside a table.
    `secret` values are masked; `indirect` ones may be env:NAME or file:PATH.
    `default` is what the reference shows where the field's own default does not say it.
    """

    help: str
    accepts: str
    flag: str = ""
    scope: Scope = Scope.SET
    secret: bool = False
    indirect: bool = False
    default: str = ""
