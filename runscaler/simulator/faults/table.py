"""The fault table (docs/protocol.md § 10). To add a fault, add a row to one of the `*_rows` modules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.faults import (
    auth_rows,
    event_rows,
    message_rows,
    runner_rows,
    session_rows,
    set_rows,
    wire_rows,
)

if TYPE_CHECKING:
    from runscaler.simulator.faults.row import Row

PARTS = (wire_rows, auth_rows, session_rows, message_rows, event_rows, set_rows, runner_rows)
TABLE: dict[str, Row] = {row.name: row for part in PARTS for row in part.ROWS}
