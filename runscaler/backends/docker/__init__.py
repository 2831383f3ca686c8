"""The Docker backend: each runner is a container."""

from __future__ import annotations

from runscaler.backends.docker.factory import factory

__all__ = ["factory"]
