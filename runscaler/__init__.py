"""Auto-scaling GitHub Actions runners on machines you own."""

from __future__ import annotations

__version__ = "0.1.0"
