"""`dind = "sidecar"`: an engine in a container of its own for each runner (docs/behaviour.md § 7.1).

The runner's container is created first, with three volumes without a name: its work, the programs that it
gives to job containers (`externals`), and /var/run with the socket. The sidecar mounts them at the same
paths, so that what a job mounts into its containers is the same on both sides, and the runner joins the
sidecar's network, so that ports which a job publishes are at localhost. The runner starts when the sidecar's
engine answers.

A sidecar cannot be created without its runner's container and is removed before it: one whose runner's
container does not exist belongs to nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docker.errors import APIError
from loguru import logger

from runscaler.backends.docker import answers
from runscaler.backends.docker.container import ENGINE_SOCKET, sidecar_body
from runscaler.backends.docker.containers import discard, is_gone, state_of
from runscaler.backends.docker.errors import lacks_program
from runscaler.backends.docker.labels import (
    HELPER,
    OWNER,
    RUNNER_NAME,
    SIDECAR,
    SIDECAR_HELPER,
    labels_of,
    own_filter,
    sidecar_labels,
    sidecar_name,
)
from runscaler.backends.docker.volume import RUNNER_GID, RUNNER_UID, directory_archive
from runscaler.backends.marks import RUNNER
from runscaler.errors import BackendError, StartFailed
from runscaler.untrusted import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from contextlib import AbstractContextManager

    from runscaler.backends.base import BackendContext, RunnerOrder
    from runscaler.backends.docker.api import EngineApi, Inspection
    from runscaler.backends.docker.engine import Engine
    from runscaler.backends.docker.facts import EngineFacts
    from runscaler.interrupt import Interrupt
    from runscaler.names import OwnerId

    Call = Callable[[str], AbstractContextManager[EngineApi]]

WORK = "home/runner/_work"
DEAD_SIDECAR = "the engine of the runner's own has ended"
LIVE = ("running", "paused", "restarting")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.5
"""Between two questions whether an engine answers, in seconds."""
QUESTION_SECONDS = 2.0
"""What a question and its answer take at most, if the engine that runs the sidecar is well."""
QUESTION = ("docker", "--host", f"unix://{ENGINE_SOCKET}", "version")
NO_COMMAND = (126, 127)
"""Exit codes with which an engine says that a command is not there."""
LAST_WORDS = 2000
CALL_SECONDS = 10.0


class Sidecars:
    """Those of one owner on one engine. Thread-safe."""

    def __init__(self, engine: Engine, context: BackendContext) -> None:
        self._engine = engine
        self._context = context

    def start(
        self, order: RunnerOrder, container: str, facts: EngineFacts, call: Call, interrupt: Interrupt
    ) -> None:
        """Start the sidecar of a runner's container that was created; return when its engine answers.

        `call` makes calls of the start, up to its deadline. What was made stays if that fails, also when the
        reply with its id is missing: `remove_sidecars` finds it. Raises `StartFailed` with the last line that
        the sidecar printed, `Interrupted`, and what `call` raises.
        """
        docker = order.settings.docker
        what = f"the engine of {order.runner} (image {docker.sidecar_image})"
        body = sidecar_body(order.settings, container, sidecar_labels(order, self._context), facts)
        with call(f"create {what}") as api:
            api.put_archive(container, "/", directory_archive(WORK, RUNNER_UID, RUNNER_GID))
            made = api.create_container_from_config(body, sidecar_name(order.runner), docker.platform or None)
            sidecar = answers.identifier(made["Id"], "the id of a new container")
            api.start(sidecar)
        try:
            self._await(sidecar, what, order.deadline, call, interrupt)
        except StartFailed as error:
            said = self._last_line(sidecar)
            raise StartFailed(f"{error}{said and f'; it said: {said}'}", fixes=error.fixes) from error

    def sweep(self, listed: Iterable[Inspection]) -> None:
        """Remove those among the containers in the engine's list whose runner has none."""
        for sidecar, runner in orphans(listed):
            try:
                with self._engine.call(f"remove the engine that {runner} left") as api:
                    if is_gone(api, runner):
                        logger.warning("removing the engine of {}, whose container is gone", runner)
                        discard(api, sidecar)
            except BackendError as error:
                logger.warning("{}; the next inventory finds it", error)

    def _await(self, sidecar: str, what: str, deadline: float, call: Call, interrupt: Interrupt) -> None:
        """A call that the deadline cuts would look like an outer engine that does not answer."""
        pause, question = FIRST_PAUSE, ""
        while deadline - self._context.clock.monotonic() > QUESTION_SECONDS:
            with call(f"wait for {what}") as api:
                question = question or _ask(api, sidecar, what)
                answer = _answer(api, question)
            if answer == 0:
                return
            if answer in NO_COMMAND:
                raise _no_docker(what)
            if answer is not None:
                question = ""
            self._context.clock.pause(pause, interrupt)
            pause = min(pause * 2, LONGEST_PAUSE)
        raise StartFailed(f"{what} does not answer, and its start-timeout has passed")

    def _last_line(self, sidecar: str) -> str:
        try:
            with self._engine.call("read what it said", seconds=CALL_SECONDS) as api:
                output = b"".join(api.logs(sidecar, stream=True, follow=False, tail=20))[-LAST_WORDS:]
        except BackendError:
            return ""
        lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
        return in_one_line(lines[-1], 300) if lines else ""


def _ask(api: EngineApi, sidecar: str, what: str) -> str:
    """Start to ask its engine for its version, from within it; returns the id of the question, "" if it has
    to be asked again. Raises `StartFailed` if the sidecar does not run."""
    try:
        question = answers.identifier(api.exec_create(sidecar, QUESTION)["Id"], "the id of a command")
        api.exec_start(question, detach=True)
    except APIError as error:
        if lacks_program(error):
            raise _no_docker(what) from error
        state = state_of(api, sidecar)
        if state is None or state.get("Running") is not True:
            raise StartFailed(f"{what} ended before it answered") from error
        raise
    return question


def _answer(api: EngineApi, question: str) -> int | None:
    """The exit code of the question; None while it runs."""
    found = api.exec_inspect(question)
    return None if found.get("Running") else answers.exit_code(found.get("ExitCode"))


def _no_docker(what: str) -> StartFailed:
    return StartFailed(
        f"{what} has no docker command, which is asked whether the engine answers",
        fixes=("set [docker] sidecar-image to an image with dockerd and docker, as docker:dind has",),
    )


def remove_sidecars(api: EngineApi, owner: OwnerId, runner: str) -> None:
    """Remove all sidecars of a runner, in any state, with their volumes that nobody else mounts."""
    marks = [f"{HELPER}={SIDECAR_HELPER}", f"{RUNNER_NAME}={runner}"]
    filters = {"label": [*own_filter(owner), *marks]}
    for listed in answers.tables(api.containers(all=True, filters=filters), "the list"):
        if labels_of(listed).get(OWNER) == owner and runner_of(listed) == runner:
            discard(api, answers.identifier(listed.get("Id"), "the id of a container"))


def runner_of(listed: Inspection) -> str:
    """The runner whose sidecar this is; empty if it is none."""
    labels = labels_of(listed)
    runner = labels.get(RUNNER_NAME)
    is_one = labels.get(HELPER) == SIDECAR_HELPER and isinstance(runner, str) and RUNNER.match(runner)
    return str(runner) if is_one else ""


def orphans(listed: Iterable[Inspection]) -> list[tuple[str, str]]:
    """Ids of sidecars and the names of their runners, which are not listed."""
    containers = list(listed)
    runners = {labels_of(one).get(RUNNER_NAME) for one in containers if HELPER not in labels_of(one)}
    return [
        (answers.identifier(one.get("Id"), "the id of a container"), runner)
        for one in containers
        if (runner := runner_of(one)) and runner not in runners
    ]


def without_companions(listed: Iterable[Inspection]) -> list[Inspection]:
    """The listed containers but for sidecars whose runner is listed too, and goes with it."""
    containers = list(listed)
    alone = {sidecar for sidecar, _ in orphans(containers)}
    return [one for one in containers if not runner_of(one) or one.get("Id") in alone]


def without_engine(listed: Iterable[Inspection], ended: Collection[str]) -> set[str]:
    """Ids of the running runners among the listed containers whose sidecar does not run, or is in `ended`."""
    containers = list(listed)
    running = (one for one in containers if one.get("State") in LIVE and one.get("Id") not in ended)
    served = {runner_of(one) for one in running}
    return {
        str(one.get("Id")) for one in _with_sidecar(containers) if labels_of(one)[RUNNER_NAME] not in served
    }


def _with_sidecar(listed: Iterable[Inspection]) -> Iterator[Inspection]:
    for one in listed:
        labels = labels_of(one)
        if one.get("State") in LIVE and HELPER not in labels and {SIDECAR, RUNNER_NAME} <= labels.keys():
            yield one
