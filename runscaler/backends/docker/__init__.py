"""The Docker backend: runners as containers of one engine."""

from __future__ import annotations

from runscaler.backends.docker.factory import factory

__all__ = ["factory"]
