"""The table of faults (protocol.md 10): one row each; adding a fault is adding a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.faults.wire_rows import ROWS as WIRE

if TYPE_CHECKING:
    from runscaler.simulator.faults.row import Row

TABLE: dict[str, Row] = {row.name: row for row in (*WIRE,)}
