"""`runner status`: shows what the health endpoint of a running daemon reports. Needs no configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from runscaler.cli.options import is_web_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

REFRESH_SECONDS = 1.0
"""Time between two requests with `--watch`."""
TIMEOUT = 5.0
DEFAULT_PORT = 8080
MIN_WIDTH = 80
"""Width of the table in columns; a narrower terminal wraps its lines, so nothing is cut off."""

Json = dict[str, object]


@click.command(epilog="Example: runner status --watch")
@click.option("--config", metavar="PATH", help="Configuration file to read the port from.")
@click.option(
    "--health-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help="Health port of a daemon on this host.",
)
@click.option("--url", metavar="URL", help="Address of the daemon, such as http://build-1:8080.")
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the health endpoint's answer as JSON.")
@click.pass_context
def status(
    ctx: click.Context,
    config: str | None,
    health_port: int | None,
    url: str | None,
    watch: bool,
    as_json: bool,
) -> None:
    """Show the scale sets of a running daemon.

    Without --health-port and --url, the port is read from the configuration; the default is 8080.
    """
    if url is not None:
        address = _given_address(url)
    elif health_port:
        address = f"http://127.0.0.1:{health_port}"
    else:
        address = _configured_address(config or ctx.find_root().params.get("config"))
    if watch:
        _watch(address, as_json=as_json)
    else:
        _show(_ask(address), as_json=as_json)


def _given_address(url: str) -> str:
    address = url if "://" in url else f"http://{url}"
    if not is_web_address(address) or not address.isprintable() or " " in address:
        raise click.BadParameter(
            f"{url!r} is not an address such as http://build-1:8080", param_hint="'--url'"
        )
    return address


def _configured_address(config: str | None) -> str:
    """The health address in the configuration that `run` would use, as far as it can be read.

    If a file given with --config cannot be read, print why, as the answer may come from another daemon.
    """
    import os
    from pathlib import Path

    from runscaler.cli.console import show_finding
    from runscaler.config.problems import Problems
    from runscaler.config.sources import Locations, find_document, read_document
    from runscaler.errors import HostError
    from runscaler.findings import Finding, Level
    from runscaler.ops.service.health import health_address

    where, found = Locations.of(os.environ), Problems()
    document = read_document(Path(config), where, found) if config else find_document(where, found)
    if config and document is None:
        for error in found.errors:
            text = f"{error.message}; trying port {DEFAULT_PORT}"
            show_finding(Finding(Level.WARNING, text), err=True)
    data = document.data if document is not None else {}
    if data.get("health-port") == 0 and document is not None:
        fixes = ("give its port: runner status --health-port PORT",)
        raise HostError(f"{document.path} has health-port = 0: its daemon has no health server", fixes=fixes)
    host, port = str(data.get("health-host", "")), str(data.get("health-port", ""))
    usable = port.isdecimal() and 0 < int(port) < 65536
    return health_address(host, int(port) if usable else DEFAULT_PORT)


def _ask(address: str) -> Json:
    """Request `/healthz`. Raises `HostError` if no daemon answers."""
    from http.client import HTTPException

    from runscaler.errors import HostError
    from runscaler.ops.service.health import fetch
    from runscaler.untrusted import parse_json

    fixes = ("start the daemon: runner run", "give its port: runner status --health-port PORT")
    try:
        url = address.rstrip("/").removesuffix("/healthz") + "/healthz"
        answer = parse_json(_within(TIMEOUT, lambda: fetch(url, TIMEOUT)[1]))  # 503 has the same body
    except (OSError, HTTPException) as error:
        raise HostError(f"no runner daemon answers at {address}: {_reason(error)}", fixes=fixes) from error
    except ValueError as error:
        raise HostError(
            f"the program that answers at {address} is not a runner daemon", fixes=fixes[1:]
        ) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("scale_sets"), list):
        raise HostError(f"the program that answers at {address} is not a runner daemon", fixes=fixes[1:])
    return answer


def _within(seconds: float, call: Callable[[], bytes]) -> bytes:
    """What `call` returns or raises; TimeoutError if that takes longer, wherever it hangs: in the name, the
    connection or a reply that drips. Its thread is left to the end of the program."""
    import queue

    from runscaler.threads import start_thread

    done: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put(call())
        except Exception as error:
            done.put(error)

    start_thread(run, "status", lambda error: done.put(OSError(error)))
    try:
        result = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no complete answer within {seconds:.0f} s") from None
    if isinstance(result, Exception):
        raise result
    return result


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return str(getattr(inner, "strerror", None) or inner or type(inner).__name__).lower()


def _show(answer: Json, *, as_json: bool) -> None:
    from runscaler.cli.console import console, show_json
    from runscaler.cli.status_page import page

    if as_json:
        show_json(answer)
    else:
        console(least=MIN_WIDTH).print(page(answer))


def _watch(address: str, *, as_json: bool) -> None:
    from rich.live import Live

    from runscaler.cli.console import console
    from runscaler.cli.status_page import page
    from runscaler.clock import SystemClock
    from runscaler.interrupt import Interrupt

    clock, never, screen = SystemClock(), Interrupt(), console()
    if as_json or not screen.is_terminal:
        while True:
            answer = _ask(address)
            screen.print(json.dumps(answer) if as_json else page(answer))
            clock.pause(REFRESH_SECONDS, never)
    with Live(console=screen, auto_refresh=False) as live:
        while True:
            live.update(_page_or_error(address, screen), refresh=True)
            clock.pause(REFRESH_SECONDS, never)


def _page_or_error(address: str, screen: Console) -> RenderableType:
    """The page, fitted to the screen, or the error: `--watch` continues while a daemon restarts."""
    from runscaler.cli.console import printable
    from runscaler.cli.status_page import fitted_page
    from runscaler.errors import HostError

    try:
        return fitted_page(_ask(address), screen.size.width, screen.size.height - 1)
    except HostError as error:
        return printable(f"✗ {error}; trying again")
