"""The health actor: the health server and the board with the latest snapshots (docs/behaviour.md § 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from runscaler.actors import messages as m
from runscaler.actors.base import SupervisedActor
from runscaler.status import SetState

if TYPE_CHECKING:
    from runscaler.actors.context import ActorContext
    from runscaler.backends.base import Stoppable
    from runscaler.names import ScaleSetKey
    from runscaler.status import ScaleSetStatus


class HealthServerCrashed(Exception):
    """The thread of the server has ended with an error."""


class HealthActor(SupervisedActor[m.HealthMessage]):
    """The only writer of the board; the server's threads read it.

    A restart of this actor loses neither the board, which belongs to the context, nor the port: `serve` only
    takes a duplicate of the listening socket.
    """

    def __init__(self, parent: m.Ref, context: ActorContext) -> None:
        super().__init__("health", parent, context.clock)
        self._context = context
        self._server: Stoppable | None = None

    def started(self) -> None:
        if self._context.serve is not None:
            self._server = self._context.serve(
                lambda error: self.send(self.actor_ref, m.ServerCrashed(error))
            )

    def clean_up(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def receive(self, message: m.HealthMessage) -> None:
        board = self._context.board
        match message:
            case m.SnapshotTaken(key, status):
                board.write(replace(board.read(), scale_sets=self._with(key, status)))
            case m.RestartsCounted(shared, given_up):
                board.write(replace(board.read(), restarts=dict(shared), given_up=given_up))
            case m.ServerCrashed(error):
                raise HealthServerCrashed(error)
            case m.StopHealth():
                self.end(m.SharedStopped(self.name))
            case _:
                assert_never(message)

    def _with(self, key: ScaleSetKey, status: ScaleSetStatus) -> tuple[ScaleSetStatus, ...]:
        """The statuses with this one in its place. One of a scale set that is not configured any more comes
        last, and is left out when that has stopped."""
        shown = {one.key: one for one in self._context.board.read().scale_sets}
        configured = [one.key for one in self._context.config.scale_sets]
        if key in configured or status.state is not SetState.STOPPED:
            shown[key] = _dated(status, shown.get(key), self.clock.wall())
        else:
            shown.pop(key, None)
        in_order = {one: shown.pop(one) for one in configured if one in shown}
        return (*in_order.values(), *shown.values())


def _dated(status: ScaleSetStatus, before: ScaleSetStatus | None, now: float) -> ScaleSetStatus:
    """With the times since when it is as it is, which only who knows the last snapshot can tell."""
    same = before is not None and before.state is status.state
    waited = None if before is None else before.waiting_since
    return replace(
        status,
        state_since=(before.state_since if before is not None and same else None) or now,
        waiting_since=(waited or now) if status.jobs_wait else None,
    )
