"""The facade: a configuration in, a running system out. For the command line and for embedders.

It installs no signal handler, prints nothing, never exits, and leaves other actors of the process
alone. The log is silent until the program says `logger.enable("runscaler")`.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import pykka
from loguru import logger

from runscaler import __version__
from runscaler.actors.context import ActorContext
from runscaler.actors.messages import Abandon, Ping, Ref, Shutdown
from runscaler.actors.root import RootActor
from runscaler.actors.workers import WorkerPool
from runscaler.backends.base import BackendContext
from runscaler.backends.registry import kind_of
from runscaler.clock import SystemClock
from runscaler.feed import Feed
from runscaler.github.client import connect
from runscaler.github.identity import Identity
from runscaler.github.pool import TransportPool
from runscaler.ops.memory import StateStore
from runscaler.ops.owner import machine_id, owner_without_state_dir
from runscaler.ops.state_dir import open_state_dir
from runscaler.ops.state_path import source_of
from runscaler.status import ScaleSetStatus, SetState, Status
from runscaler.web.app import WebApp
from runscaler.web.server import HealthServer, bind, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runscaler.backends.base import Backend
    from runscaler.clock import Clock
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.events import Event
    from runscaler.github.base import ScaleSetService, TroubleReport
    from runscaler.names import OwnerId
    from runscaler.ops.state_dir import StateDir

logger.disable("runscaler")

ALIVE_SECONDS = 2.0
"""In which the actor system has to answer `/livez` (docs/behaviour.md § 9.2)."""


class Board:
    """The latest snapshot; assignment of one reference is atomic, so readers need no lock."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def read(self) -> Status:
        return self._status

    def write(self, status: Status) -> None:
        self._status = status


class Autoscaler:
    """One system; several may live in one process, and one may be started again after its stop.

    `connect` and `open_backend` replace GitHub and the backends, for tests and benchmarks.
    All methods may be called from any thread.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        connect: Callable[[ScaleSetSettings, TroubleReport], ScaleSetService] | None = None,
        open_backend: Callable[[ScaleSetSettings, BackendContext], Backend] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._connect, self._open_backend = connect, open_backend
        self._feed = Feed()
        self._board = Board(self._blank())
        self._root: Ref | None = None
        self._ended = threading.Event()
        self._reason = ""
        self._held: list[Callable[[], None]] = []
        self._listener: socket.socket | None = None
        self._letting_go = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def health_port(self) -> int | None:
        """The port that health is served on, None while it is off."""
        return None if self._listener is None else int(self._listener.getsockname()[1])

    # -- starting -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the state-dir's lock and the health port, then start the actors; returns at once.

        `HostError` when either is taken: then nothing has been started. GitHub or an engine that is
        away is no error: the scale sets say so and go on trying.
        """
        if self._root is not None and not self._ended.is_set():
            return
        self._let_go()
        self._ended.clear()
        self._reason = ""
        self._board.write(self._blank())
        try:
            self._root = RootActor.start(self._build(), self._on_end)
        except BaseException:
            self._let_go()
            raise

    def _build(self) -> ActorContext:
        state_dir = self._take_state_dir()
        owner = state_dir.owner if state_dir else self._owner_without_state_dir()
        context = BackendContext(owner, state_dir.path if state_dir else None, self._clock)
        serve = self._take_port()
        return ActorContext(
            config=self._config,
            clock=self._clock,
            state_store=StateStore(state_dir),
            board=self._board,
            host_name=socket.gethostname(),
            connect=self._connect or self._github(),
            backend_id_of=lambda settings: kind_of(settings.backend).thing(settings),
            open_backend=lambda settings: self._open(settings, context),
            emit=self._feed.emit,
            make_worker_pool=WorkerPool,
            serve=serve,
        )

    def _open(self, settings: ScaleSetSettings, context: BackendContext) -> Backend:
        if self._open_backend is not None:
            return self._open_backend(settings, context)
        return kind_of(settings.backend).open(settings, context)

    def _take_state_dir(self) -> StateDir | None:
        state_dir, findings = open_state_dir(self._config, self._clock)
        if state_dir is not None:
            self._held.append(state_dir.close)
        for finding in findings:
            logger.warning("{}", finding.message)
        return state_dir

    def _owner_without_state_dir(self) -> OwnerId:
        return owner_without_state_dir(machine_id(), source_of(self._config))

    def _take_port(self) -> Callable[[], HealthServer] | None:
        if not self._config.health_port:
            return None
        listener = self._listener = bind(self._config.health_host, self._config.health_port)
        self._held.append(listener.close)
        app = WebApp(self.status, self.alive, self._clock, loopback_only=is_loopback(listener))

        def serve() -> HealthServer:
            server = HealthServer(listener, app)
            server.start()
            return server

        return serve

    def _github(self) -> Callable[[ScaleSetSettings, TroubleReport], ScaleSetService]:
        pool = TransportPool(self._clock)
        self._held.append(pool.close)
        identity = Identity(__version__)

        def made(settings: ScaleSetSettings, report: TroubleReport) -> ScaleSetService:
            return connect(settings, clock=self._clock, report=report, pool=pool, identity=identity)

        return made

    def _blank(self) -> Status:
        """Every set as it is before its first snapshot: all keys are always there (docs/behaviour.md § 9.1)."""
        return Status(
            __version__,
            self._clock.wall(),
            tuple(
                ScaleSetStatus(
                    name=one.name,
                    url=one.url,
                    runner_group=one.runner_group,
                    backend=one.backend,
                    state=SetState.STARTING,
                    max=one.max_runners,
                    min=one.min_runners,
                )
                for one in self._config.scale_sets
            ),
        )

    # -- watching -----------------------------------------------------------------------------------

    def status(self) -> Status:
        """The latest snapshot; costs nothing."""
        return self._board.read()

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event, on a thread of ours; returns what ends the subscription."""
        return self._feed.subscribe(callback)

    def alive(self) -> bool:
        """Does the actor system answer within 2 s?"""
        root = self._root
        if root is None:
            return False
        try:
            return bool(root.ask(Ping(), timeout=ALIVE_SECONDS))
        except (pykka.ActorDeadError, pykka.Timeout):
            return False

    def wait_ready(self, timeout: float) -> bool:
        """True once every scale set serves, stands by, or has said why it does not; False after
        `timeout` seconds, or when the system has ended."""
        ready = threading.Event()
        end = self.subscribe(lambda _: ready.set())
        deadline = self._clock.monotonic() + timeout
        try:
            while not self._is_ready():
                left = deadline - self._clock.monotonic()
                if left <= 0 or self._ended.is_set():
                    return False
                ready.wait(min(left, 0.1))
                ready.clear()
        finally:
            end()
        return True

    def _is_ready(self) -> bool:
        sets = self.status().scale_sets
        return all(one.state not in (SetState.STARTING, SetState.STOPPED) for one in sets)

    # -- ending -------------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Begin the orderly stop (docs/behaviour.md § 8.3); returns at once."""
        root = self._root
        if root is None:
            return
        with suppress(pykka.ActorDeadError):
            root.tell(Shutdown())

    def wait(self, timeout: float | None = None) -> str | None:
        """Block until the system has ended: empty after a stop, else why it gave up. None: not yet."""
        if self._root is None:
            return self._reason
        if not self._ended.wait(timeout):
            return None
        self._let_go()
        return self._reason

    def stop(self, *, hurry: bool = False) -> None:
        """Stop in order and return when all is down; harmless when repeated or before `start`.

        `hurry` leaves runners and scale sets as they are, for the next start to adopt.
        """
        root = self._root
        if root is None:
            return
        if hurry:
            with suppress(pykka.ActorDeadError):
                root.tell(Abandon())
        else:
            self.request_stop()
        self.wait()

    def _on_end(self, reason: str) -> None:
        """On the root actor's thread, as its last deed."""
        self._reason = reason
        self._ended.set()

    def _let_go(self) -> None:
        with self._letting_go:
            self._root = None
            while self._held:
                self._held.pop()()
            self._listener = None
            self._feed.close()
