"""Brings what the Go tool installed to this program (docs/behaviour.md § 14.4).

Until the old service is removed, every failure takes back what was done, in reverse order, and starts the old
service last. A process that is killed on the way leaves files that the next run understands.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runscaler.errors import HostError, RunscalerError
from runscaler.files import replace_file
from runscaler.findings import Finding, Level
from runscaler.interrupt import Interrupt
from runscaler.ops.service import health
from runscaler.ops.service.file_changes import FileChanges, restore_backups
from runscaler.ops.service.host import locations
from runscaler.ops.service.install import advice_on_variables
from runscaler.ops.service.manager import flag_value
from runscaler.ops.service.needs import read_needs
from runscaler.ops.service.spec import ServiceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.ops.service.manager import Definition, ServiceManager, ServiceState
    from runscaler.ops.service.spec import Needs

LEGACY_VOLUME = "runscaler-shared"
READY_SECONDS = 180.0
OLD_SECONDS = 60.0
"""How long the old service may take on the way back."""
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Tools:
    """What a migration uses besides service managers. `remove_volume(engine_url, name)` tells whether there
    was one; it raises `BackendError`."""

    report: Callable[[Finding], None]
    remove_volume: Callable[[str, str], bool]
    clock: Clock
    version: str
    """Of the program that the new service starts."""


class Migration:
    """One run. `agents` is the manager of the logged-in user's LaunchAgents, which takes over a daemon of the
    host that has a scale set on Tart."""

    def __init__(
        self,
        manager: ServiceManager,
        program: tuple[str, ...],
        tools: Tools,
        agents: ServiceManager | None = None,
    ) -> None:
        self._old_manager = self._manager = manager
        self._agents = agents
        self._program = program
        self._tools = tools
        self._undo: list[tuple[str, Callable[[], None]]] = []
        self._restart: list[tuple[str, Callable[[], None]]] = []
        """Done last on the way back."""
        self._copied = False
        self._address = ""
        """Of the health server, both the old service's and the new one's."""

    def run(self) -> None:
        """Raises `HostError` that says what failed and how it stands now; can be repeated then."""
        self._take_back_interrupted()
        olds = self._find_old()
        if not olds:
            self._finish_earlier()
            return
        try:
            needs, changes = self._switch(olds)
            self._remove_old(olds)
        except (RunscalerError, OSError, KeyboardInterrupt, SystemExit) as error:
            raise self._rolled_back(error) from error
        changes.keep()
        self._clean_up(needs, copied=self._copied or self._is_copy())

    # -- finding -------------------------------------------------------------------------------------

    def _take_back_interrupted(self) -> None:
        file = self._manager.file_of(self._manager.id)
        try:
            restored = restore_backups([file.parent, file.with_name(f"{file.name}.d")])
        except OSError as error:
            raise HostError(f"cannot restore {error.filename}: {error.strerror}") from error
        if restored:
            self._manager.reload()
            names = ", ".join(map(str, restored))
            self._say(Level.WARNING, f"an earlier migration was interrupted; restored {names}")

    def _find_old(self) -> list[Definition]:
        """The Go tool's services, the one that runs first."""
        manager = self._old_manager
        found = [one for id_ in manager.old_services() if (one := manager.definition(id_)) is not None]
        olds = [one for one in found if not one.is_ours]
        return sorted(olds, key=lambda one: not manager.state(one.id).is_running)

    def _finish_earlier(self) -> None:
        """Nothing of the Go tool's services is left: remove what an earlier run could not."""
        legacy = self._old_manager.layout.legacy_config
        manager = next((one for one in self._candidates() if one.definition(one.id) is not None), None)
        if manager is None:
            hint = f"; its configuration {legacy} is read as it is" if legacy.exists() else ""
            fixes = ("runner service install",) if legacy.exists() else ()
            text = f"there is no service of the Go tool to migrate{hint}"
            self._tools.report(Finding(Level.OK, text, fixes))
            return
        self._manager = manager
        definition = manager.definition(manager.id)
        config = definition.config if definition else None
        if config is None:
            self._say(Level.OK, "migrated already")
            return
        needs = read_needs(config, definition.variables if definition else {}, locations(manager.layout))
        self._wait_ready(needs.health)
        self._clean_up(needs, copied=self._is_copy())

    def _candidates(self) -> list[ServiceManager]:
        return [self._old_manager, *([self._agents] if self._agents else [])]

    # -- steps ---------------------------------------------------------------------------------------

    def _switch(self, olds: Sequence[Definition]) -> tuple[Needs, FileChanges]:
        """From the running old service to the running new one."""
        old = olds[0]
        self._say(Level.OK, f"found {old.file}")
        source = self._old_config(old)
        needs = self._read_needs(source, old)
        self._manager = self._manager_for(needs)
        config = self._copy_config(source)
        if config != source:
            needs = self._read_needs(config, old)
        for finding in advice_on_variables(needs, dict(old.variables), self._manager):
            self._tools.report(finding)
        self._address = _health_address(needs, old)
        changes = self._write_service(old, config, needs)
        self._stop_old(olds)
        self._start_new()
        self._wait_ready(self._address)
        return needs, changes

    def _old_config(self, old: Definition) -> Path:
        config, legacy = old.config, self._old_manager.layout.legacy_config
        if config is None and legacy.exists():
            return legacy
        if config is None:
            raise HostError(
                f"the command of {old.file} names no configuration, and there is no {legacy}",
                fixes=("install a service with a configuration: runner service install --config-path PATH",),
            )
        return config

    def _read_needs(self, config: Path, old: Definition) -> Needs:
        """Also checks the configuration as the new service will read it. Raises `ConfigError`."""
        environ = {"HOME": str(self._manager.layout.home), **old.variables}
        return read_needs(config, environ, locations(self._manager.layout))

    def _manager_for(self, needs: Needs) -> ServiceManager:
        """The manager of the new service: the same, but for a daemon of the host with a set on Tart."""
        manager = self._old_manager
        if manager.name != "launchd" or manager.layout.is_user or not needs.tart:
            return manager
        if self._agents is None:
            raise HostError(
                "a scale set on Tart needs a LaunchAgent of a logged-in user, and sudo names none",
                fixes=("as that user: sudo runner migrate",),
            )
        self._agents.check()
        account = self._agents.layout.account
        self._say(Level.OK, f"a scale set on Tart: the new service is a LaunchAgent of {account}")
        return self._agents

    def _copy_config(self, source: Path) -> Path:
        """The new service's configuration; a copy only if the old one was at the Go tool's default place."""
        layout = self._manager.layout
        if source.resolve() != layout.legacy_config.resolve():
            return self._readable(source)
        target, content = layout.config, source.read_bytes()
        if target.exists():
            same = target.read_bytes() == content
            text = f"{target} exists with other content and is used as it is; {source} stays"
            self._say(*((Level.OK, f"{target} is a copy of {source}") if same else (Level.WARNING, text)))
            return target
        made = layout.make_folder(target.parent)
        self._undo.append((f"remove {target}", lambda: _remove(target, made)))
        replace_file(target, content, durable=True)
        layout.give(target)
        self._copied = True
        self._say(Level.OK, f"copied {source} to {target}")
        return target

    def _readable(self, source: Path) -> Path:
        layout = self._manager.layout
        moves = self._manager is not self._old_manager
        if moves and source.stat().st_uid != layout.uid and not source.stat().st_mode & 0o004:
            raise HostError(
                f"{layout.account} cannot read {source}", fixes=(f"chown {layout.account} {source}",)
            )
        self._say(Level.OK, f"the configuration stays at {source}")
        return source

    def _write_service(self, old: Definition, config: Path, needs: Needs) -> FileChanges:
        manager, layout = self._manager, self._manager.layout
        is_plist = manager.name == "launchd"
        spec = ServiceSpec(
            self._program,
            config,
            needs,
            arguments=old.arguments,
            is_user=layout.is_user,
            log=layout.launchd_log if is_plist else None,
            kept=old.kept,
            variables=old.variables if is_plist else {},
        )
        changes = FileChanges(layout)
        self._undo.append(("restore the service files", lambda: _restore(changes, manager)))
        if spec.log is not None:
            layout.make_folder(spec.log.parent)
        for path, content in manager.files(spec, old).items():
            changes.write(path, content, spec.file_mode)
        manager.reload()
        if not manager.state(manager.id).is_enabled:
            self._undo.append((f"disable {manager.id}", lambda: manager.disable(manager.id)))
        manager.enable(manager.id)
        kept = len(old.kept) + len(spec.variables)
        along = f", with {kept} settings and {len(old.drop_ins)} drop-ins of the old one"
        self._say(Level.OK, f"wrote {manager.file_of(manager.id)}{along if kept or old.drop_ins else ''}")
        return changes

    def _replaces(self, old: Definition) -> bool:
        return old.file == self._manager.file_of(self._manager.id)

    def _stop_old(self, olds: Sequence[Definition]) -> None:
        manager = self._old_manager
        for old in olds:
            state = manager.state(old.id)
            if state.is_running or state.is_enabled:
                self._restart.append((f"start {old.id}", self._starter(manager, old.id)))
            manager.stop(old.id)
            self._say(Level.OK, f"stopped the old service {old.id}")

    def _start_new(self) -> None:
        manager = self._manager
        self._undo.append((f"stop {manager.id}", lambda: manager.stop(manager.id)))
        manager.stop(manager.id)  # of an interrupted migration, with older settings
        manager.start(manager.id)
        self._say(Level.OK, f"started {manager.id}")

    def _wait_ready(self, address: str) -> None:
        """Wait until the new service's own process answers, as the old one has the same port."""
        clock, manager = self._tools.clock, self._manager
        deadline = clock.monotonic() + READY_SECONDS
        while True:
            state = manager.state(manager.id)
            answer = health.ask(address) if address else None
            if self._is_ready(state, answer, address):
                break
            if state.has_failed:
                raise HostError(f"the new service ended: {state.state} {state.detail}".rstrip(), fixes=_WHY)
            if clock.monotonic() > deadline:
                raise HostError(f"the new service is not ready: {_seen(state, answer, address)}", fixes=_WHY)
            clock.pause(POLL_SECONDS, Interrupt())
        self._say(Level.OK, f"runner {self._tools.version} (pid {state.pid}) is ready")

    def _is_ready(self, state: ServiceState, answer: health.HealthAnswer | None, address: str) -> bool:
        if not address:
            return state.is_running
        return (
            answer is not None
            and answer.is_ready
            and answer.version == self._tools.version
            and health.belongs_to(answer.pid, state.pid)
        )

    def _remove_old(self, olds: Sequence[Definition]) -> None:
        manager = self._old_manager
        for old in olds:
            if self._replaces(old):
                continue
            content, mode = old.file.read_bytes(), old.file.stat().st_mode & 0o777
            self._undo.append((f"restore {old.file}", _restorer(manager, old, content, mode)))
            manager.disable(old.id)
            old.file.unlink()
            _remove_drop_ins(old)
            manager.reload()
            self._say(Level.OK, f"removed {old.file}")

    # -- the way back --------------------------------------------------------------------------------

    def _rolled_back(self, cause: BaseException) -> BaseException:
        """Take back every step; returns an error about the cause and how the old service is now."""
        problems = []
        for doing, take_back in (*reversed(self._undo), *self._restart):
            try:
                take_back()
            except (RunscalerError, OSError) as error:
                problems.append(f"could not {doing}: {_reason(error)}")
        if isinstance(cause, KeyboardInterrupt | SystemExit):
            return cause
        return _failure(cause, problems, had_stopped=bool(self._restart))

    def _starter(self, manager: ServiceManager, service: str) -> Callable[[], None]:
        """Starts the old service and waits until its health server answers, as far as it has one."""

        def start() -> None:
            clock = self._tools.clock
            manager.start(service)
            deadline = clock.monotonic() + OLD_SECONDS
            while self._address and health.ask(self._address) is None:
                state = manager.state(service)
                if state.has_failed or clock.monotonic() > deadline:
                    raise HostError(f"{state.state} {state.detail}".rstrip())
                clock.pause(POLL_SECONDS, Interrupt())

        return start

    # -- after the switch ----------------------------------------------------------------------------

    def _is_copy(self) -> bool:
        """Whether the configuration at the new place has the content of the Go tool's."""
        layout = self._old_manager.layout
        with suppress(OSError):
            return self._manager.layout.config.read_bytes() == layout.legacy_config.read_bytes()
        return False

    def _clean_up(self, needs: Needs, *, copied: bool) -> None:
        """Remove the old configuration and volume. Raises `HostError` if something could not be removed."""
        problems = []
        if copied and not self._old_manager.layout.is_user:
            problems += self._remove_config()
        for url in needs.engines:
            if url.startswith("unix://"):  # the Go tool knew no other engines
                problems += self._remove_volume(url)
        if problems:
            raise HostError(
                f"the new service runs, but not all of the old is gone: {'; '.join(problems)}",
                fixes=("then repeat: runner migrate",),
            )
        self._say(Level.OK, "done: runner service status")

    def _remove_config(self) -> list[str]:
        legacy = self._old_manager.layout.legacy_config
        if not self._is_copy():
            return []
        try:
            legacy.unlink()
        except OSError as error:
            return [f"cannot remove {legacy}: {error.strerror}"]
        with suppress(OSError):
            legacy.parent.rmdir()  # unless something else is there
        self._say(Level.OK, f"removed {legacy}")
        return []

    def _remove_volume(self, url: str) -> list[str]:
        try:
            if self._tools.remove_volume(url, LEGACY_VOLUME):
                self._say(Level.OK, f"removed volume {LEGACY_VOLUME} from {url}")
        except RunscalerError as error:
            return [str(error)]
        return []

    def _say(self, level: Level, text: str) -> None:
        self._tools.report(Finding(level, text))


_WHY = ("see why: runner service logs", "check the configuration: runner validate")


def _failure(cause: BaseException, problems: Sequence[str], *, had_stopped: bool) -> HostError:
    if problems:
        text = f"migration failed: {_reason(cause)}; and on the way back: {'; '.join(problems)}"
        return HostError(text, fixes=("put that right, then repeat: runner migrate",))
    now = "the old service runs again" if had_stopped else "the old service was not touched"
    fixes = (*getattr(cause, "fixes", ()), "then repeat: runner migrate")
    return HostError(f"migration failed, {now}: {_reason(cause)}", fixes=fixes)


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _seen(state: ServiceState, answer: health.HealthAnswer | None, address: str) -> str:
    if answer is None:
        return f"nothing answers at {address} ({state.state})" if address else state.state
    if answer.is_ready:
        who = f"pid {answer.pid}, version {answer.version or '?'}"
        return f"another program answers at {address}: {who}; the service's pid is {state.pid}"
    return f"a scale set has no session yet ({state.state})"


def _health_address(needs: Needs, old: Definition) -> str:
    """A flag of the old command goes along, and wins over the configuration."""
    port = flag_value(old.arguments, "--health-port")
    host = flag_value(old.arguments, "--health-host")
    if not port.isdecimal():
        return needs.health
    return health.health_address(host, int(port)) if int(port) else ""


def _remove(file: Path, folders: Sequence[Path]) -> None:
    with suppress(NotADirectoryError):
        file.unlink(missing_ok=True)
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()  # unless something else is there


def _restore(changes: FileChanges, manager: ServiceManager) -> None:
    changes.take_back()
    manager.reload()


def _restorer(manager: ServiceManager, old: Definition, content: bytes, mode: int) -> Callable[[], None]:
    def restore() -> None:
        replace_file(old.file, content, mode=mode, durable=True)
        folder = old.file.with_name(f"{old.file.name}.d")
        for name, text in old.drop_ins.items():
            folder.mkdir(exist_ok=True)
            if not (folder / name).exists():
                replace_file(folder / name, text.encode(), mode=mode)
        manager.reload()
        manager.enable(old.id)

    return restore


def _remove_drop_ins(old: Definition) -> None:
    folder = old.file.with_name(f"{old.file.name}.d")
    for name in old.drop_ins:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
