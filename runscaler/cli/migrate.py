"""`runner migrate`: from what the Go tool installed to this program (docs/behaviour.md § 14.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runscaler.cli.service import level_options, manager_of

if TYPE_CHECKING:
    from runscaler.ops.service.manager import ServiceManager


@click.command(epilog="Example: sudo runner migrate. After a failure: repeat it.")
@click.option("--binary-path", metavar="PATH", help="Program of the new service; else this one.")
@level_options
def migrate(binary_path: str | None, is_user: bool, root: str) -> None:
    """Bring a legacy runscaler install to runner.

    Copies the configuration, writes the new service with the environment of the old one, stops the old one,
    starts the new one, waits until it is ready, and then removes what is old. If a step fails, the old
    service is started again. Harmless if there is nothing to migrate.
    """
    from runscaler import __version__
    from runscaler.cli.console import show_finding
    from runscaler.clock import SystemClock
    from runscaler.ops.service.host import remove_volume
    from runscaler.ops.service.manager import require_rights
    from runscaler.ops.service.migrate import Migration, Tools
    from runscaler.ops.service.program import program_words

    manager = manager_of(is_user=is_user, root=root)
    require_rights(manager.layout, "migrate")
    manager.check()
    tools = Tools(show_finding, remove_volume, SystemClock(), __version__)
    Migration(manager, program_words(binary_path), tools, _agents(manager)).run()


def _agents(manager: ServiceManager) -> ServiceManager | None:
    """The LaunchAgents of the user who called sudo; None without sudo."""
    import os

    from runscaler.ops.service.host import manager_for
    from runscaler.ops.service.layout import Layout

    account = os.environ.get("SUDO_USER", "")
    if manager.layout.is_user or account in {"", "root"}:
        return None
    try:
        return manager_for(Layout.of_account(account, root=manager.layout.root))
    except KeyError:
        return None
