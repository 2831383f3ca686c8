"""Installs and removes our service (docs/behaviour.md § 14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.problems import Problems
from runscaler.config.sources import find_document
from runscaler.errors import HostError
from runscaler.findings import Finding, Level
from runscaler.ops.service.file_changes import FileChanges
from runscaler.ops.service.host import locations
from runscaler.ops.service.needs import missing_variables, read_needs
from runscaler.ops.service.spec import ServiceSpec
from runscaler.ops.service.systemd import SystemdManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runscaler.ops.service.layout import Layout
    from runscaler.ops.service.manager import ServiceManager
    from runscaler.ops.service.spec import Needs

    Tell = Callable[[Finding], None]


def find_config(layout: Layout) -> Path:
    """The configuration that `run` would find. Raises `ConfigError` or `HostError`."""
    problems, places = Problems(), locations(layout)
    document = find_document(places, problems)
    problems.raise_errors()
    if document is None:
        fixes = ("make one: runner init", "name it: --config-path PATH")
        raise HostError(f"there is no configuration (looked at {places})", fixes=fixes)
    return document.path.absolute()


def install(
    manager: ServiceManager, program: tuple[str, ...], config: Path, tell: Tell, *, start: bool = True
) -> None:
    """Write the definition, enable it, start it. Raises `HostError` or `ConfigError`; then, unless only the
    start failed, nothing is left."""
    layout, flag = manager.layout, _flag(manager.layout)
    _reject_installed(manager)
    needs = read_needs(config, _environ(layout), locations(layout))
    reject_daemon_with_tart(layout, needs)
    _write(manager, ServiceSpec(program, config, needs, is_user=layout.is_user, log=layout.launchd_log))
    tell(_ok(f"wrote {manager.file_of(manager.id)} for {config}"))
    for finding in _advice(manager, needs, config):
        tell(finding)
    if start:
        manager.start(manager.id)
        tell(_ok(f"started; see it: runner service status{flag}, runner service logs{flag} -f"))
    else:
        tell(_ok(f"enabled, not started: runner service start{flag}"))


def uninstall(manager: ServiceManager, tell: Tell) -> None:
    """Stop, disable and remove our service. Harmless if there is none. Raises `HostError`."""
    file = manager.file_of(manager.id)
    found = manager.definition(manager.id)
    if found is None:
        tell(_ok(f"nothing to remove: there is no {file}"))
        return
    if not found.is_ours:
        raise _of_the_go_tool(manager, file)
    manager.stop(manager.id)
    manager.disable(manager.id)
    try:
        file.unlink()
    except OSError as error:
        raise HostError(f"cannot remove {file}: {error.strerror}") from error
    manager.reload()
    tell(_ok(f"stopped and removed {file}; configuration, state and log stay"))
    if found.drop_ins:
        tell(Finding(Level.WARNING, f"drop-ins stay: {file}.d", (f"rm -r {file}.d",)))


def require_installed(manager: ServiceManager) -> None:
    """Raises `HostError` if our service is not installed."""
    if manager.definition(manager.id) is None:
        fix = f"runner service install{_flag(manager.layout)}"
        raise HostError(
            f"the service is not installed: there is no {manager.file_of(manager.id)}", fixes=(fix,)
        )


def reject_daemon_with_tart(layout: Layout, needs: Needs) -> None:
    """Raises `HostError` for a daemon of the host with a set on Tart."""
    if needs.tart and not layout.is_user:
        raise HostError(
            "a scale set on Tart needs a LaunchAgent of the logged-in user: VMs need that user's unlocked "
            "keychain, which a daemon of root does not have",
            fixes=("as that user, without sudo: runner service install --user",),
        )


def advice_on_variables(needs: Needs, environ: dict[str, str], manager: ServiceManager) -> list[Finding]:
    """Warnings about variables that the configuration reads and the service will not have."""
    if isinstance(manager, SystemdManager):
        user = " --user" if manager.layout.is_user else ""
        how = f"systemctl{user} edit runner: [Service], Environment={{name}}=…"
    else:
        how = f"{manager.file_of(manager.id)}: EnvironmentVariables, {{name}}"
    return [
        Finding(
            Level.WARNING,
            f"the configuration reads {name} from the environment, which the service will not have",
            (how.format(name=name), f'write it to a file of mode 0600: "file:PATH" instead of "env:{name}"'),
        )
        for name in missing_variables(needs, environ)
    ]


def _reject_installed(manager: ServiceManager) -> None:
    flag = _flag(manager.layout)
    for service in manager.old_services():
        found = manager.definition(service)
        if found is not None and not found.is_ours:
            raise _of_the_go_tool(manager, found.file)
    if manager.definition(manager.id) is not None:
        fixes = (
            f"to apply a changed configuration: runner service restart{flag}",
            f"to install anew: runner service uninstall{flag}",
        )
        raise HostError(f"already installed: {manager.file_of(manager.id)}", fixes=fixes)


def _of_the_go_tool(manager: ServiceManager, file: Path) -> HostError:
    fix = "runner migrate --user" if manager.layout.is_user else "sudo runner migrate"
    return HostError(f"{file} is a service of the Go tool", fixes=(fix,))


def _write(manager: ServiceManager, spec: ServiceSpec) -> None:
    changes = FileChanges(manager.layout)
    try:
        if spec.log is not None and not isinstance(manager, SystemdManager):
            manager.layout.make_folder(spec.log.parent)
        for path, content in manager.files(spec).items():
            changes.write(path, content, spec.file_mode)
        manager.reload()
        manager.enable(manager.id)
    except OSError as error:
        changes.take_back()
        raise HostError(f"cannot write {error.filename}: {error.strerror}") from error
    except HostError:
        changes.take_back()
        raise


def _advice(manager: ServiceManager, needs: Needs, config: Path) -> list[Finding]:
    installed = manager.definition(manager.id)
    known = {**_environ(manager.layout), **(installed.variables if installed else {})}
    found = advice_on_variables(needs, known, manager)
    if config.resolve() == manager.layout.legacy_config.resolve():
        found.append(Finding(Level.WARNING, f"{config} is where the Go tool has it", ("runner migrate",)))
    if manager.layout.is_user and isinstance(manager, SystemdManager) and not manager.lingers():
        text = f"it stops when {manager.layout.account} logs out, and does not start with the host"
        found.append(Finding(Level.WARNING, text, (f"sudo loginctl enable-linger {manager.layout.account}",)))
    return found


def _environ(layout: Layout) -> dict[str, str]:
    """What a service has: none of the variables of the shell that installs it."""
    return {"HOME": str(layout.home)}


def _flag(layout: Layout) -> str:
    return " --user" if layout.is_user else ""


def _ok(text: str) -> Finding:
    return Finding(Level.OK, text)
