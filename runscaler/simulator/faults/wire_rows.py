"""Faults on the wire (protocol.md 10.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runscaler.simulator.faults.row import Row

ROWS: tuple[Row, ...] = ()
