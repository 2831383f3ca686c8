"""`runner run`: the daemon in the foreground, with its signals, log and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

import click

from runscaler.cli.options import ConfigCommand, load_configuration
from runscaler.cli.signals import STOP_SIGNALS, SignalQueue, has_terminal, queue_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from runscaler.autoscaler import Autoscaler
    from runscaler.clock import Clock
    from runscaler.config.model import Config
    from runscaler.config.secrets import Secret
    from runscaler.metrics.metrics import Metrics

SWITCH_SECONDS = 0.02
"""Python's thread switch interval. With the default of 5 ms, a thousand runner actors that start at the same
time need 50 % more processor time, as they are woken only to wait again."""


class System(Protocol):
    """The part of `Autoscaler` that this module uses."""

    def start(self) -> None: ...
    def request_stop(self) -> None: ...
    def wait(self, timeout: float | None = None) -> str | None: ...


@click.command(
    cls=ConfigCommand,
    epilog="""SIGTERM or Ctrl-C stops it gracefully, and so does closing its terminal: busy runners get
    --drain-timeout to finish. A second signal ends it at once; the next start adopts the runners that
    still run.

    \b
    Examples:
      runner run
      runner run --url https://github.com/my-org --name linux --token file:token
      runner run --backend process --labels linux,big --labels gpu""",
)
@click.option(
    "--config", type=click.Path(readable=False), metavar="PATH", help="Configuration file; flags override it."
)
@click.pass_context
def run(ctx: click.Context, /, **given: object) -> None:
    """Start the autoscaler in the foreground.

    It needs url, name and a token, from the configuration file or from flags. The token can also be in
    the variable RUNNER_TOKEN. The log goes to standard output.
    """

    def read(known: Config | None = None) -> Config:
        """Keys of features that this version lacks are errors (docs/behaviour.md § 4.4)."""
        from runscaler.config.features import refuse_missing

        config = load_configuration(ctx, given, known=known)
        refuse_missing(config)
        return config

    config = read()
    if config.dry_run:
        ctx.exit(_dry_run(config))
    _serve(config, lambda: read(config))


def _dry_run(config: Config) -> int:
    from runscaler.cli.validate import examine, report

    return report(config, examine(config, offline=False), as_json=False)


def start_log(config: Config, hidden: dict[Secret, None]) -> None:
    """`hidden` are the secrets that are masked, those of earlier configurations included: a scale set that
    leaves, or one whose new settings are refused, goes on with them."""
    from runscaler.cli.logging import configure
    from runscaler.config.masked import secrets_of
    from runscaler.config.proxy_url import passwords_in_environment

    hidden |= dict.fromkeys((*secrets_of(config), *passwords_in_environment(os.environ)))
    configure(config.log_level, config.log_format, secrets=hidden, shared_names=_shared_names(config))


def _shared_names(config: Config) -> set[str]:
    """The names that more than one scale set has."""
    counts = Counter(one.name for one in config.scale_sets)
    return {name for name, count in counts.items() if count > 1}


def _scale_sets(config: Config) -> str:
    """Their names and backends, with the url where two share a name."""
    shared = _shared_names(config)
    names = (
        (f"{one.name} of {one.url}" if one.name in shared else one.name, one) for one in config.scale_sets
    )
    return ", ".join(f"{name} ({one.backend})" for name, one in names)


def _read_again(read: Callable[[], Config], hidden: dict[Secret, None]) -> Config:
    """For a reload: the log is made as configured, before anything in it may show a new secret."""
    from loguru import logger

    config = read()
    start_log(config, hidden)
    for warning in configuration_warnings(config):
        logger.warning("{}", warning)
    return config


def _serve(config: Config, read: Callable[[], Config]) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    from loguru import logger

    from runscaler import __version__
    from runscaler.autoscaler import Autoscaler  # disables the log, so it is imported first
    from runscaler.errors import HostError
    from runscaler.ops.notify import Notifier, report_to_systemd
    from runscaler.threads import keep_running, start_thread

    hidden: dict[Secret, None] = {}
    start_log(config, hidden)
    sets = _scale_sets(config)
    file = f"configuration {config.path}" if config.path else "no configuration file"
    logger.info("runner {} starts: {}; {}; {}", __version__, sets, file, _health_address(config))
    for warning in start_warnings(config, is_launch_daemon=runs_as_launch_daemon()):
        logger.warning("{}", warning)
    system, notifier = Autoscaler(config, read=lambda: _read_again(read, hidden)), Notifier()
    stops = (*STOP_SIGNALS, signal.SIGHUP) if has_terminal() else STOP_SIGNALS

    def on_signal(signal_: signal.Signals) -> None:
        logger.info("{}: {}", signal_.name, _reaction(signal_, stops, config))
        if signal_ in stops:
            notifier.stopping()
        else:
            _reload(system)

    def on_started() -> None:
        if config.update_check:
            look = partial(look_for_release, system.metrics)
            start_thread(look, "update-check", lambda _: None)  # it is logged
        if notifier.wanted:
            keep_running(lambda: report_to_systemd(notifier, system), "systemd")

    reason = run_to_end(system, on_signal, on_started, stops)
    if reason:
        raise HostError(reason)
    logger.info("runner stopped")


def _reload(system: Autoscaler) -> None:
    from runscaler.errors import RunscalerError

    with suppress(RunscalerError):  # it is logged
        system.reload()


def look_for_release(metrics: Metrics) -> None:
    """On a thread of its own, so that nothing waits for it, not even for its imports."""
    from runscaler import __version__
    from runscaler.metrics.own import UPDATE_AVAILABLE
    from runscaler.ops.update.announcement import announce_newer_release

    newer = announce_newer_release(__version__)
    if newer is not None:
        metrics.publish(UPDATE_AVAILABLE, {(): int(newer)})


def _health_address(config: Config) -> str:
    if not config.health_port:
        return "no health server"
    host = f"[{config.health_host}]" if ":" in config.health_host else config.health_host
    return f"dashboard on http://{host}:{config.health_port}/"


def runs_as_launch_daemon() -> bool:
    """Did launchd start this process as a daemon of root (docs/behaviour.md § 14.4)?"""
    return sys.platform == "darwin" and os.getppid() == 1 and os.geteuid() == 0


def configuration_warnings(config: Config) -> Iterator[str]:
    from runscaler.findings import with_fixes

    for finding in config.warnings:
        place = f"[{finding.scale_set}] " if finding.scale_set else ""
        yield place + with_fixes(finding.message, finding.fixes)


def start_warnings(config: Config, *, is_launch_daemon: bool = False) -> Iterator[str]:
    """Warnings to log at the start: of the configuration, about dind = true (docs/behaviour.md § 11), and
    about Tart in a daemon of root."""
    yield from configuration_warnings(config)
    exposed = [one.name for one in config.scale_sets if one.backend == "docker" and one.docker.dind is True]
    if exposed:
        yield (
            f"dind = true: jobs of {', '.join(exposed)} can use this host's Docker engine, which gives them "
            "root access to this host (dind = false prevents that)"
        )
    tart = [one.name for one in config.scale_sets if one.backend == "tart"]
    if tart and is_launch_daemon:
        yield (
            f"started by launchd as root: VMs of {', '.join(tart)} need the unlocked keychain of a user who "
            "is logged in, so they may not start (runner migrate makes a LaunchAgent of this service)"
        )


def run_to_end(
    system: System,
    on_signal: Callable[[signal.Signals], None],
    on_started: Callable[[], None] = lambda: None,
    stops: Collection[signal.Signals] = STOP_SIGNALS,
    clock: Clock | None = None,
) -> str:
    """Start the system and wait for its end; returns an empty string after a stop, else why it gave up.

    The first signal of `stops` starts a graceful stop; before that, `on_signal` is called with each signal.
    `on_started` is called once the state directory is locked and the health port is bound.
    """
    from runscaler.threads import first_line, start_thread

    queue = SignalQueue()
    with queue_signals(queue, stops, clock):
        system.start()
        on_started()
        start_thread(
            lambda: queue.put(system.wait() or ""), "end", lambda error: queue.put(first_line(error))
        )
        while isinstance(item := queue.get(), signal.Signals):
            on_signal(item)
            if item in stops:
                system.request_stop()
    return item


def _reaction(received: signal.Signals, stops: Collection[signal.Signals], config: Config) -> str:
    from runscaler.units import format_duration

    if received not in stops:
        return "reading the configuration again"
    why = "the terminal is gone; " if received is signal.SIGHUP else ""
    if config.on_exit == "keep":
        return f"{why}stopping; runners are kept for the next start"
    if not config.drain_timeout:
        return f"{why}stopping; busy runners are removed at once"
    timeout = format_duration(config.drain_timeout)
    return f"{why}stopping; busy runners have {timeout} to finish, a second signal exits at once"
