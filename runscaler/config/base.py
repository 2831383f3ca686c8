"""The base of every settings type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen and strict; attribute names are the TOML keys with underscores."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        validate_default=False,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )
