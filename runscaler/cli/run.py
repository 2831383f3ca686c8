"""`runner run`: the daemon in the foreground. Signals, log and exit codes are here, the work is not."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Protocol

import click

from runscaler.cli.options import ConfigCommand, configured
from runscaler.cli.signals import STOP_SIGNALS, News, heard_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runscaler.config.model import Config

SWITCH_SECONDS = 0.02
"""How long a thread keeps the interpreter while others wait. With Python's 5 ms, a thousand runner
actors that start at once spend half again as much processor on waking up to wait on."""


class System(Protocol):
    """What the foreground needs of the facade."""

    def start(self) -> None: ...
    def request_stop(self) -> None: ...
    def wait(self, timeout: float | None = None) -> str | None: ...


@click.command(
    cls=ConfigCommand,
    epilog="Stop it with SIGTERM or Ctrl-C: runners drain; a second one ends it at once, and the next start "
    "takes over what still runs.",
)
@click.option(
    "--config", type=click.Path(readable=False), metavar="PATH", help="Configuration file; flags win over it."
)
@click.pass_context
def run(ctx: click.Context, /, **given: object) -> None:
    """Start the autoscaler in the foreground.

    Needs url, name and a token, from the configuration or as flags; RUNNER_TOKEN keeps the token out of
    both. Log lines go to standard output.
    """
    config = configured(ctx, given)
    _refuse_unbuilt(config)
    if config.dry_run:
        ctx.exit(_dry_run(config))
    _serve(config)


def _refuse_unbuilt(config: Config) -> None:
    """A key whose feature does not exist is never ignored in silence (docs/behaviour.md § 4.4)."""
    from runscaler.config.features import missing_features
    from runscaler.errors import ConfigError
    from runscaler.ops.validate import is_ok

    missing = missing_features(config)
    if not is_ok(missing):
        raise ConfigError(missing)


def _dry_run(config: Config) -> int:
    from runscaler.cli.validate import examine, report

    return report(config, examine(config, offline=False), as_json=False)


def _start_log(config: Config) -> None:
    from runscaler.cli.logging import configure

    tokens = [one.token for one in config.scale_sets if one.token is not None]
    configure(config.log_level, config.log_format, secrets=tokens)


def _serve(config: Config) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    from loguru import logger

    from runscaler import __version__
    from runscaler.autoscaler import Autoscaler  # silences the log for embedders, so it comes first
    from runscaler.errors import HostError
    from runscaler.ops.notify import Notifier, keep_posted

    _start_log(config)
    sets = ", ".join(f"{one.name} ({one.backend})" for one in config.scale_sets)
    logger.info("runner {} starts: {}; {}", __version__, sets, _where_health_is(config))
    for warning in start_warnings(config):
        logger.warning("{}", warning)
    system, notifier = Autoscaler(config), Notifier()

    def heard(signal_: signal.Signals) -> None:
        logger.info("{}: {}", signal_.name, _answer(signal_, config))
        if signal_ in STOP_SIGNALS:
            notifier.stopping()

    def started() -> None:
        if notifier.wanted:
            threading.Thread(target=keep_posted, args=(notifier, system), name="systemd", daemon=True).start()

    reason = run_to_end(system, heard, started)
    if reason:
        raise HostError(reason)
    logger.info("runner stopped")


def _where_health_is(config: Config) -> str:
    if not config.health_port:
        return "health is off"
    host = f"[{config.health_host}]" if ":" in config.health_host else config.health_host
    return f"health on http://{host}:{config.health_port}/healthz"


def start_warnings(config: Config) -> Iterator[str]:
    """What is said once at the start: what the configuration got away with, and docs/behaviour.md § 11's dind line."""
    from runscaler.config.features import missing_features
    from runscaler.findings import with_fixes

    for finding in (*config.warnings, *missing_features(config)):
        place = f"[{finding.scale_set}] " if finding.scale_set else ""
        yield place + with_fixes(finding.message, finding.fixes)
    exposed = [one.name for one in config.scale_sets if one.backend == "docker" and one.docker.dind is True]
    if exposed:
        yield (
            f"dind = true: jobs of {', '.join(exposed)} have this host's Docker engine, which is as good as "
            "root on it (dind = false gives them none)"
        )


def run_to_end(
    system: System,
    heard: Callable[[signal.Signals], None],
    started: Callable[[], None] = lambda: None,
) -> str:
    """Start, and return why it ended: empty after a stop, else what all share and has given up.

    The first SIGTERM or SIGINT begins the graceful stop, after `heard` was told. `started` is called
    once the lock and the port are ours.
    """
    news = News()
    with heard_by(news):
        system.start()
        started()
        threading.Thread(target=lambda: news.put(system.wait() or ""), name="end", daemon=True).start()
        while isinstance(what := news.get(), signal.Signals):
            heard(what)
            if what in STOP_SIGNALS:
                system.request_stop()
    return what


def _answer(heard: signal.Signals, config: Config) -> str:
    from runscaler.units import format_duration

    if heard is signal.SIGHUP:
        return "nothing is read again: changes of the configuration take a restart"
    if config.on_exit == "keep":
        return "stopping; runners are kept for the next start"
    if not config.drain_timeout:
        return "stopping; busy runners are removed at once"
    patience = format_duration(config.drain_timeout)
    return f"stopping; busy runners have {patience}, a second signal ends it at once"
