"""`runner service`: the daemon as a supervised service of systemd or launchd (docs/behaviour.md § 14.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runscaler.ops.service.manager import ServiceManager

LOG_LINES = 100


@click.group(
    epilog="Example: sudo runner service install --config-path /etc/runner/config.toml",
)
def service() -> None:
    """Install and manage the daemon as a service.

    It uses systemd on Linux and launchd on macOS. Without --user a command is about the service of the
    whole host, which only root may change.
    """


def level_options(function: Callable[..., None]) -> Callable[..., None]:
    """--user, and --root for tests: a folder in place of /."""
    function = click.option("--root", hidden=True, default="/", metavar="DIR")(function)
    return click.option("--user", "is_user", is_flag=True, help="The service of this user.")(function)


def manager_of(*, is_user: bool, root: str) -> ServiceManager:
    from pathlib import Path

    from runscaler.ops.service.host import manager_for
    from runscaler.ops.service.layout import Layout

    return manager_for(Layout.of_this_process(is_user=is_user, root=Path(root)))


def _command(name: str, example: str) -> Callable[[Callable[..., None]], click.Command]:
    def made(function: Callable[..., None]) -> click.Command:
        return service.command(name, epilog=f"Example: {example}")(level_options(function))

    return made


@service.command("install", epilog="Example: runner service install --user --config-path ./config.toml")
@click.option("--config-path", metavar="PATH", help="Configuration file; else the one that `run` would find.")
@click.option("--binary-path", metavar="PATH", help="Program to start; else this one.")
@click.option("--no-start", is_flag=True, help="Enable the service, but do not start it now.")
@level_options
@click.pass_context
def install(
    ctx: click.Context,
    config_path: str | None,
    binary_path: str | None,
    no_start: bool,
    is_user: bool,
    root: str,
) -> None:
    """Install, enable and start the service.

    Its definition follows from the configuration: how long a stop may take, and whether it needs Docker's
    service. Environment variables of this shell do not go along.
    """
    from runscaler.cli.console import show_finding
    from runscaler.ops.service.install import install as install_service
    from runscaler.ops.service.manager import require_rights
    from runscaler.ops.service.program import program_words

    manager = manager_of(is_user=is_user, root=root)
    require_rights(manager.layout, "service install")
    manager.check()
    config = _config_path(config_path or ctx.find_root().params.get("config"), manager)
    install_service(manager, program_words(binary_path), config, show_finding, start=not no_start)


@_command("uninstall", "sudo runner service uninstall")
def uninstall(is_user: bool, root: str) -> None:
    """Stop the service and remove it.

    Configuration, state and log stay. Running jobs get drain-timeout to finish.
    """
    from runscaler.cli.console import show_finding
    from runscaler.ops.service.install import uninstall as uninstall_service
    from runscaler.ops.service.manager import require_rights

    manager = manager_of(is_user=is_user, root=root)
    require_rights(manager.layout, "service uninstall")
    manager.check()
    uninstall_service(manager, show_finding)


@_command("start", "sudo runner service start")
def start(is_user: bool, root: str) -> None:
    """Start the service. Harmless if it runs."""
    manager = _installed("start", is_user=is_user, root=root)
    manager.start(manager.id)
    _say_state(manager, "started")


@_command("stop", "runner service stop --user")
def stop(is_user: bool, root: str) -> None:
    """Stop the service. Running jobs get drain-timeout to finish."""
    manager = _installed("stop", is_user=is_user, root=root)
    manager.stop(manager.id)
    _say_state(manager, "stopped")


@_command("restart", "sudo runner service restart")
def restart(is_user: bool, root: str) -> None:
    """Stop and start the service.

    The configuration is read anew.
    """
    manager = _installed("restart", is_user=is_user, root=root)
    manager.restart(manager.id)
    _say_state(manager, "restarted")


@service.command("status", epilog="Example: runner service status --json")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@level_options
@click.pass_context
def status(ctx: click.Context, as_json: bool, is_user: bool, root: str) -> None:
    """Show whether the service is installed and runs.

    Exits with 0 if it runs, else with 1. What the daemon does: runner status.
    """
    from runscaler.cli.console import show_json

    facts = _facts(manager_of(is_user=is_user, root=root))
    if as_json:
        show_json(facts)
    else:
        _show_facts(facts)
    ctx.exit(0 if facts["running"] else 1)


@service.command("logs", epilog="Example: runner service logs -f -n 20")
@click.option("-f", "--follow", is_flag=True, help="Wait for more.")
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=LOG_LINES, show_default=True, help="Number of lines."
)
@level_options
def logs(follow: bool, lines: int, is_user: bool, root: str) -> None:
    """Show the log of the service.

    On Linux it is in the journal, on macOS in /var/log/runner.log or ~/Library/Logs/runner.log.
    """
    import os
    import shutil

    from runscaler.errors import HostError
    from runscaler.ops.service.install import require_installed

    manager = manager_of(is_user=is_user, root=root)
    require_installed(manager)
    words = manager.log_command(follow=follow, lines=lines)
    program = shutil.which(words[0])
    if program is None:
        raise HostError(f"{words[0]} is not on the PATH")
    os.execv(program, words)  # noqa: S606


def _config_path(given: str | None, manager: ServiceManager) -> Path:
    from pathlib import Path

    from runscaler.ops.service.install import find_config

    return Path(given).expanduser().absolute() if given else find_config(manager.layout)


def _installed(verb: str, *, is_user: bool, root: str) -> ServiceManager:
    """The manager of an installed service that this user may change."""
    from runscaler.ops.service.install import require_installed
    from runscaler.ops.service.manager import require_rights

    manager = manager_of(is_user=is_user, root=root)
    require_rights(manager.layout, f"service {verb}")
    manager.check()
    require_installed(manager)
    return manager


def _say_state(manager: ServiceManager, done: str) -> None:
    from runscaler.cli.console import show_finding
    from runscaler.findings import Finding, Level

    state = manager.state(manager.id)
    pid = f", pid {state.pid}" if state.pid else ""
    show_finding(Finding(Level.OK, f"{done} {manager.id}: {state.state}{pid}"))


def _facts(manager: ServiceManager) -> dict[str, Any]:
    """The answer of `service status --json`. All keys are always there."""
    manager.check()
    definition = manager.definition(manager.id)
    state = manager.state(manager.id)
    return {
        "manager": manager.name,
        "level": "user" if manager.layout.is_user else "system",
        "service": manager.id,
        "file": str(manager.file_of(manager.id)),
        "installed": definition is not None,
        "of_the_go_tool": definition is not None and not definition.is_ours,
        "config": str(definition.config) if definition and definition.config else None,
        "enabled": state.is_enabled,
        "running": state.is_running,
        "state": state.state,
        "pid": state.pid or None,
        "detail": state.detail,
    }


def _show_facts(facts: dict[str, Any]) -> None:
    from runscaler.cli.console import show_finding
    from runscaler.findings import Finding, Level

    user = " --user" if facts["level"] == "user" else ""
    if not facts["installed"]:
        fix = f"runner service install{user}"
        show_finding(Finding(Level.ERROR, f"not installed: there is no {facts['file']}", (fix,)))
        return
    pid = f", pid {facts['pid']}" if facts["pid"] else ""
    level = Level.OK if facts["running"] else Level.ERROR
    show_finding(Finding(level, f"{facts['service']}: {facts['state']}{pid}"))
    if facts["detail"]:
        show_finding(Finding(level, facts["detail"]))
    show_finding(Finding(Level.OK, f"{facts['file']} for {facts['config']}"))
    if not facts["enabled"]:
        fix = f"runner service uninstall{user}, then install"
        show_finding(Finding(Level.WARNING, "not enabled: it does not start with the host", (fix,)))
    if facts["of_the_go_tool"]:
        fix = f"runner migrate{user}"
        show_finding(Finding(Level.WARNING, "this is the service of the Go tool", (fix,)))
