"""Changes from outside that the control API and faults make: by hand, by other clients, by GitHub itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.simulator.http_messages import BadBody
from runscaler.simulator.records import SessionState
from runscaler.simulator.scale_sets import ScaleSetSpec

if TYPE_CHECKING:
    from runscaler.simulator.machine import Machine
    from runscaler.simulator.records import Runner, ScaleSet, Session

OTHER_CLIENT = "another-host"


def change_scale_set(machine: Machine, scale_set: ScaleSet, action: str, value: str) -> None:
    """`value` is the new name, the name of the new group, or the new labels separated by commas; after a `+`
    they are added to the old ones."""
    if action == "delete":
        machine.scale_sets.end(scale_set)
    elif action == "rename":
        machine.scale_sets.update(scale_set, ScaleSetSpec(name=value))
    elif action == "move":
        machine.scale_sets.update(scale_set, ScaleSetSpec(group_id=group_id(machine, value)))
    elif action == "relabel":
        names = value.removeprefix("+").split(",")
        labels = tuple((label.strip(), "System") for label in names if label.strip())
        kept = scale_set.labels if value.startswith("+") else ()
        machine.scale_sets.update(scale_set, ScaleSetSpec(labels=(*kept, *labels)))
    else:
        raise BadBody(f"action {action} is none of delete, rename, move, relabel")


def change_session(machine: Machine, session: Session, action: str) -> None:
    if action == "expire":
        machine.sessions.end(session, SessionState.EXPIRED)
    elif action == "expire-token":
        machine.sessions.expire_token(session)
    elif action == "steal":
        steal(machine, session.scale_set)
    elif action == "mute":
        session.mute = True
    else:
        raise BadBody(f"action {action} is none of expire, expire-token, steal, mute")


def steal(machine: Machine, scale_set: ScaleSet) -> Session:
    """Let another client end the live session, if there is one, and open its own."""
    if scale_set.session is not None:
        machine.sessions.end(scale_set.session, SessionState.DELETED)
    return machine.sessions.create(scale_set, OTHER_CLIENT)


def change_runner(machine: Machine, runner: Runner, action: str) -> None:
    """`vanish` removes the registration and leaves a ghost, `deregister` also tells the agent, `offline`
    keeps the registration."""
    if action == "vanish":
        machine.agents.vanish(runner)
    elif action == "offline":
        machine.agents.go_offline(runner)
    elif action == "deregister":
        machine.runners.deregister(runner)
    else:
        raise BadBody(f"action {action} is none of vanish, offline, deregister")


def group_id(machine: Machine, name: str) -> int:
    for number, each in machine.store.groups.items():
        if each.lower() == name.lower():
            return number
    raise BadBody(f"no runner group {name}")
