"""SIGTERM before a removal by force, so that a runner can cancel its job (docs/behaviour.md § 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError

from runscaler.backends.docker.errors import is_read_timeout, status
from runscaler.errors import BackendError
from runscaler.net.admission import Turn

if TYPE_CHECKING:
    from runscaler.backends.docker.engine import Engine
    from runscaler.interrupt import Interrupt


def terminate(engine: Engine, container: str, doing: str, seconds: float, interrupt: Interrupt) -> None:
    """Send SIGTERM to the container's main process, and return when that has ended, after `seconds` at most.

    At once where nothing runs. The wait holds none of the places of calls with a turn. Raises `BackendError`
    if the engine does not answer, and `Interrupted`.
    """
    with engine.call(doing, interrupt, turn=Turn.LATER) as api:
        try:
            api.kill(container, signal="SIGTERM")
        except APIError:
            return  # it is gone or does not run; whatever else it is, the removal will meet it too
    try:
        with engine.call(doing, interrupt, seconds=seconds) as api:
            api.wait(container)
    except BackendError as error:
        refused = status(error) != 0  # it is gone
        if not (refused or is_read_timeout(error)):
            raise
