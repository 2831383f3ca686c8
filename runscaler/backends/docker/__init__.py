"""The Docker backend: runners as containers of one engine."""

from __future__ import annotations

from runscaler.backends.docker.kind import kind

__all__ = ["kind"]
