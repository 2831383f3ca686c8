"""The facade for the command line and for programs that embed runscaler.

It installs no signal handlers, prints nothing, never exits the process, and does not touch Pykka actors
of the host program. Logging is disabled until the program calls `logger.enable("runscaler")`.
"""

from __future__ import annotations

import platform
import socket
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Self

import pykka
from loguru import logger

from runscaler import __version__
from runscaler.actors.context import ActorContext, Configuration
from runscaler.actors.messages import Abandon, Ping, Ref, Reload, Reloaded, SetDrain, Shutdown
from runscaler.actors.root import RootActor
from runscaler.actors.workers import WorkerPool
from runscaler.backends.base import BackendContext
from runscaler.backends.registry import factory_for
from runscaler.build_facts import commit_and_date
from runscaler.clock import SystemClock
from runscaler.config.changes import change_lines
from runscaler.config.features import refuse_missing
from runscaler.config.load import load_config
from runscaler.config.secret_forms import masked_output
from runscaler.config.urls import InvalidUrl, parse_config_url
from runscaler.errors import ConfigError, HostError, RunscalerError
from runscaler.feed import EventFeed
from runscaler.findings import with_fixes
from runscaler.github.client import connect
from runscaler.github.identity import Identity
from runscaler.github.pool import TransportPool
from runscaler.interrupt import Interrupt
from runscaler.metrics import own
from runscaler.metrics.metrics import Metrics
from runscaler.metrics.options import MetricsOptions, Scope
from runscaler.ops.doctor.owners import is_dead
from runscaler.ops.host_measure import HostMeasure
from runscaler.ops.owner import machine_id, owner_without_state_dir
from runscaler.ops.state_dir import open_state_dir
from runscaler.ops.state_path import ADMIN_SOCKET, config_identity
from runscaler.ops.state_store import StateStore
from runscaler.platform_names import architecture, system
from runscaler.status import ScaleSetStatus, SetState, Status
from runscaler.web.admin import AdminApp
from runscaler.web.app import WebApp
from runscaler.web.live import Live
from runscaler.web.server import Servers, bind, bind_admin, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from wsgiref.types import WSGIApplication

    from runscaler.backends.base import Backend
    from runscaler.clock import Clock
    from runscaler.config.model import Config, ScaleSetSettings
    from runscaler.events import Event
    from runscaler.github.base import ScaleSetService, TroubleReport
    from runscaler.names import OwnerId
    from runscaler.ops.state_dir import StateDir
    from runscaler.policy.host_guard import Measurement

logger.disable("runscaler")

ALIVE_SECONDS = 2.0
"""Time limit for the actor system's answer to `/livez` (docs/behaviour.md § 9.2)."""
RELOAD_SECONDS = 20.0
NOT_RUNNING = "the daemon is stopping, or does not answer"
NOTHING_CHANGED = "nothing in the configuration has changed"


def metrics_of(config: Config) -> Metrics:
    """The metrics of one process, as configured, with what does not change in them."""
    options = MetricsOptions(**config.metrics.model_dump())
    metrics = Metrics(options, scope_of=_scope_of)
    where = f"{system()}/{architecture()}"
    made = __version__, commit_and_date()[0], platform.python_version(), where
    metrics.publish(own.BUILD_INFO, {made: 1})
    return metrics


def _scope_of(url: str) -> Scope:
    """What a config URL names; nothing where it cannot be read, which other places report."""
    try:
        place = parse_config_url(url)
    except InvalidUrl:
        return Scope()
    return Scope(place.host, place.enterprise, place.organisation, place.repository)


class StatusBoard:
    """Holds the latest snapshot. Assigning one reference is atomic, so readers need no lock."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def read(self) -> Status:
        return self._status

    def write(self, status: Status) -> None:
        self._status = status


class Autoscaler:
    """One running system. A process may hold several, and each can be started again after a stop.

    `read` reads the configuration again, for `reload`; without it the file of `config` is read. `connect`,
    `open_backend` and `measure_host` replace GitHub, the backends and what is measured on this host in tests
    and benchmarks. All methods may be called from any thread.
    """

    def __init__(
        self,
        config: Config,
        *,
        read: Callable[[], Config] | None = None,
        clock: Clock | None = None,
        connect: Callable[[ScaleSetSettings, TroubleReport], ScaleSetService] | None = None,
        open_backend: Callable[[ScaleSetSettings, BackendContext], Backend] | None = None,
        measure_host: Callable[[], Measurement] | None = None,
    ) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._read = read or self._read_file
        self._connect, self._open_backend, self._measure_host = connect, open_backend, measure_host
        self._feed = EventFeed()
        self._board = StatusBoard(self._initial_status())
        self._metrics = metrics_of(config)
        self._root: Ref | None = None
        self._ended = threading.Event()
        self._reason = ""
        self._releases: list[Callable[[], None]] = []
        """Release what `start` acquired; run in reverse order."""
        self._backends: list[Backend] = []
        self._listener: socket.socket | None = None
        self._trust: Callable[[str], None] = lambda _: None
        self._release_lock = threading.Lock()
        self._reload_lock = threading.Lock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def health_port(self) -> int | None:
        """The port of the health server; None while it is off."""
        return None if self._listener is None else int(self._listener.getsockname()[1])

    # -- starting -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Lock the state directory, bind the health port and start the actors; returns at once.

        Raises `HostError` if the lock or the port is taken, or the certificates of `ca` cannot be read;
        nothing has been started then. An unreachable GitHub or engine is not an error: the scale set reports
        it and keeps trying.
        """
        if self._root is not None and not self._ended.is_set():
            return
        self._release()
        self._ended.clear()
        self._reason = ""
        self._board.write(self._initial_status())
        try:
            self._root = RootActor.start(self._build(), self._on_end)
        except BaseException:
            self._release()
            raise

    def _build(self) -> ActorContext:
        state_dir = self._open_state_dir()
        owner = state_dir.owner if state_dir else self._owner_without_state_dir()
        context = BackendContext(owner, state_dir.path if state_dir else None, self._clock, is_dead)
        serve, configuration = self._bind(state_dir), Configuration(self._config)
        return ActorContext(
            configuration=configuration,
            clock=self._clock,
            state_store=StateStore(state_dir),
            board=self._board,
            host_name=socket.gethostname(),
            connect=self._connect or self._github(),
            backend_id_of=lambda settings: factory_for(settings.backend).location(settings),
            open_backend=lambda settings: self._open(settings, context),
            emit=self._feed.emit,
            make_worker_pool=WorkerPool,
            measure_host=self._measure_host
            or HostMeasure(lambda: configuration.config.host, context, self._backends),
            serve=serve,
            metrics=self._metrics,
        )

    def _open(self, settings: ScaleSetSettings, context: BackendContext) -> Backend:
        if self._open_backend is not None:
            made = self._open_backend(settings, context)
        else:
            made = factory_for(settings.backend).create(settings, context)
        self._backends.append(made)
        return made

    def _open_state_dir(self) -> StateDir | None:
        state_dir, findings = open_state_dir(self._config, self._clock)
        if state_dir is not None:
            self._releases.append(state_dir.close)
        for finding in findings:
            logger.warning("{}", finding.message)
        return state_dir

    def _owner_without_state_dir(self) -> OwnerId:
        return owner_without_state_dir(machine_id(), config_identity(self._config))

    def _bind(self, state_dir: StateDir | None) -> Callable[[Callable[[str], None]], Servers] | None:
        """Bind the health port and the admin socket; the result starts their servers."""
        apps: list[tuple[socket.socket, WSGIApplication]] = []
        if self._config.health_port:
            listener = self._listener = bind(self._config.health_host, self._config.health_port)
            local = is_loopback(listener)
            apps.append((listener, self._web_app(state_dir, loopback_only=local)))
        path = None if state_dir is None else state_dir.path / ADMIN_SOCKET
        admin = None if path is None else bind_admin(path)
        if path is not None and admin is not None:
            self._releases.append(partial(path.unlink, missing_ok=True))
            apps.append((admin, AdminApp(self, self._clock.wall)))
        for listener, _ in apps:
            self._releases.append(listener.close)
        return (lambda crashed: Servers(apps, crashed)) if apps else None

    def _web_app(self, state_dir: StateDir | None, *, loopback_only: bool) -> WebApp:
        folder = None if state_dir is None else state_dir.path
        live = Live(self.status, self._clock, folder, lambda: self._config.host)
        self._releases += [live.close, self.subscribe(live.hear)]
        live.start()
        return WebApp(
            self.status, self.alive, self._clock, live, loopback_only=loopback_only, metrics=self._metrics
        )

    def _github(self) -> Callable[[ScaleSetSettings, TroubleReport], ScaleSetService]:
        pool = TransportPool(self._clock, metrics=self._metrics)
        self._releases.append(pool.close)
        self._trust = pool.trust
        self._trust_all(self._config)
        identity = Identity(__version__)

        def made(settings: ScaleSetSettings, report: TroubleReport) -> ScaleSetService:
            return connect(settings, clock=self._clock, report=report, pool=pool, identity=identity)

        return made

    def _trust_all(self, config: Config) -> None:
        """Read the certificates that it names. Raises `HostError` if one cannot be read."""
        for ca in {settings.ca for settings in config.scale_sets}:
            self._trust(ca)

    def _initial_status(self) -> Status:
        """The status before the first snapshot. It has all keys already (docs/behaviour.md § 9.1)."""
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
        """The latest snapshot. Never blocks."""
        return self._board.read()

    @property
    def metrics(self) -> Metrics:
        """What has been counted (docs/metrics.md)."""
        return self._metrics

    def subscribe(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event, on a thread of ours. Call the result to unsubscribe."""
        return self._feed.subscribe(callback)

    def alive(self) -> bool:
        """Whether the actor system answers within 2 s."""
        return bool(self._ask_root(Ping(), ALIVE_SECONDS))

    def wait_ready(self, timeout: float) -> bool:
        """Wait until every scale set serves, is on standby, or reports why it does neither.

        Returns False after `timeout` seconds, or when the system has ended.
        """
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

    # -- changing -----------------------------------------------------------------------------------

    def drain(self, scale_set: str = "") -> tuple[str, ...]:
        """Take no new jobs in the scale sets of that name, all of them without one, until `resume`: their
        sessions are closed, idle runners go, busy ones finish.

        Returns their names. Raises `LookupError` if there is none, or nothing runs.
        """
        return self._set_drain(scale_set, drain=True)

    def resume(self, scale_set: str = "") -> tuple[str, ...]:
        """Take jobs again; the opposite of `drain`."""
        return self._set_drain(scale_set, drain=False)

    def reload(self, config: Config | None = None) -> tuple[str, ...]:
        """Put another configuration in force, without one the file as it is now (docs/behaviour.md § 4.5).
        No busy runner is touched.

        Returns what is different and what that does, a line each, which is logged, too. Raises `ConfigError`
        if it cannot be used, and `HostError` if nothing runs; then nothing has changed.
        """
        with self._reload_lock:
            try:
                wanted = config or self._read()
                self._trust_all(wanted)
            except RunscalerError as error:
                self._metrics.config_read(None)
                _log_refused_reload(error)
                raise
            reloaded = self._ask_root(Reload(wanted), RELOAD_SECONDS)
            if not isinstance(reloaded, Reloaded):
                logger.warning("the configuration stays as it was: {}", NOT_RUNNING)
                raise HostError(NOT_RUNNING)
            self._config = wanted
            self._metrics.config_read(self._clock.wall())
        lines = tuple(change_lines(reloaded.changes, reloaded.moving, reloaded.returning))
        for line in lines or (NOTHING_CHANGED,):
            logger.info("reloaded: {}", line)
        return lines

    def _read_file(self) -> Config:
        if self._config.path is None:
            raise HostError("this program's configuration comes from no file")
        config = load_config(self._config.path)
        refuse_missing(config)
        return config

    def _ask_root(self, question: object, seconds: float) -> object:
        """None if nothing runs, or it does not answer."""
        root = self._root
        try:
            return None if root is None else root.ask(question, timeout=seconds)
        except (pykka.ActorDeadError, pykka.Timeout):
            return None

    def _set_drain(self, scale_set: str, *, drain: bool) -> tuple[str, ...]:
        sets = self._config.scale_sets
        meant = [one for one in sets if not scale_set or one.name.lower() == scale_set.lower()]
        if not meant:
            there = ", ".join(one.name for one in sets)
            raise LookupError(f"there is no scale set {scale_set!r}; there are: {there}")
        keys = tuple(one.key for one in meant)
        if not self._ask_root(SetDrain(keys, drain), ALIVE_SECONDS):
            raise LookupError(NOT_RUNNING)
        return tuple(one.name for one in meant)

    def runner_output(self, runner: str, tail: int) -> bytes | None:
        """The last `tail` bytes of a runner's output; None if no backend has such a runner of ours.

        JIT configurations and tokens in it are masked. Blocks for some seconds. Raises
        `BackendError` if the engine cannot be asked.
        """
        for backend in tuple(self._backends):
            for one in backend.inventory():
                if one.runner == runner:
                    return masked_output(backend.logs(one, tail, Interrupt()))
        return None

    # -- ending -------------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """Start a graceful stop (docs/behaviour.md § 8.3); returns at once."""
        root = self._root
        if root is None:
            return
        with suppress(pykka.ActorDeadError):
            root.tell(Shutdown())

    def wait(self, timeout: float | None = None) -> str | None:
        """Wait until the system has ended.

        Returns an empty string after a stop, the reason if it gave up, None if `timeout` seconds passed.
        """
        if self._root is None:
            return self._reason
        if not self._ended.wait(timeout):
            return None
        self._release()
        return self._reason

    def stop(self, *, hurry: bool = False) -> None:
        """Stop gracefully and return when everything has ended. Harmless if repeated or not started.

        `hurry` leaves runners and scale sets as they are; the next start adopts them.
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
        """Called on the root actor's thread as the last thing it does."""
        self._reason = reason
        self._ended.set()

    def _release(self) -> None:
        with self._release_lock:
            self._root = None
            while self._releases:
                self._releases.pop()()
            self._backends.clear()
            self._listener = None
            self._feed.close()


def _log_refused_reload(error: RunscalerError) -> None:
    logger.error("the configuration stays as it was, as the new one is not usable")
    if isinstance(error, ConfigError):
        for finding in error.findings:
            place = f"[{finding.scale_set}] " if finding.scale_set else ""
            logger.error("{}", place + with_fixes(finding.message, finding.fixes))
    else:
        logger.error("{}", with_fixes(str(error), error.fixes))
