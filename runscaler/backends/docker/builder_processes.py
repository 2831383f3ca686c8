"""Whether a builder of buildx builds something, from the processes in its container.

Only a proof that it does not counts: what cannot be told, or looks unlike a builder at rest, is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError
from requests.exceptions import JSONDecodeError

from runscaler.backends.docker import answers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runscaler.backends.docker.api import EngineApi, InspectedContainer

BUILDKITD = "buildkitd"
PID, PARENT = "PID", "PPID"
INIT = ("docker-init", "tini", "catatonit")


def is_idle(api: EngineApi, container: InspectedContainer) -> bool:
    """Is it proved that it builds nothing? So it is if it does not run, and if only its daemon runs in it."""
    state = answers.table(container["State"], "the state of a container")
    if state.get("Running") is not True:
        return state.get("Restarting") is not True
    if container.get("ExecIDs"):
        return False
    try:
        answer = api.top(container["Id"])
    except (APIError, JSONDecodeError):
        return False
    rows = answers.tables(
        [dict(zip(answer.get("Titles") or [], row, strict=False)) for row in answer["Processes"] or []],
        "the list of processes",
    )
    return only_its_daemon(rows, str(state.get("Pid")))


def only_its_daemon(rows: Sequence[Mapping[str, object]], main: str) -> bool:
    """`rows` are the processes in the container, by the titles of `ps`; `main` is the id of its first one.

    Allowed are that one, the only child of an init, and below them what is called buildkitd: rootlesskit has
    its steps in between. An exec has a parent outside, a step of a build another name.
    """
    by_id = {str(row.get(PID)): row for row in rows}
    if main not in by_id:
        return False
    children = [row for pid, row in by_id.items() if pid != main and row.get(PARENT) == main]
    under_init = children if _program(by_id[main]) in INIT and len(children) == 1 else []
    others = [row for pid, row in by_id.items() if pid != main and row not in under_init]
    return all(row.get(PARENT) in by_id and BUILDKITD in _words(row) for row in others)


def _words(row: Mapping[str, object]) -> list[str]:
    """The names of the files in its command line."""
    command = row.get("CMD") or row.get("COMMAND") or ""
    return [word.rpartition("/")[2] for word in str(command).split()]


def _program(row: Mapping[str, object]) -> str:
    return next(iter(_words(row)), "")
