"""`runner simulate`: GitHub's side of the wire on this machine (spec.md 10.1)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from runscaler.cli.signals import STOP_SIGNALS, News

if TYPE_CHECKING:
    from types import FrameType

    from runscaler.simulator.options import Options


@click.command()
@click.option("--port", default=9001, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--public-url", default="", metavar="URL", help="Hand out this URL instead of the request's.")
@click.option("--agent-url", default="", metavar="URL", help="URL under which runners reach the simulator.")
@click.option("--fast", is_flag=True, help="Short timers, for demos and tests.")
@click.option(
    "--flavour",
    type=click.Choice(["assign", "acquire"]),
    default="assign",
    show_default=True,
    help="Assign jobs as github.com does, or offer them as GitHub Enterprise Server does.",
)
@click.option("--lenient", is_flag=True, help="Record violations of the protocol without refusing the call.")
@click.option("--jit-reuse", is_flag=True, help="Let a runner that stopped before a job register again.")
@click.option("--spread", is_flag=True, help="Give jobs to the set with the fewest, not to the oldest.")
@click.option("--capacity-trap", is_flag=True, help="Jobs queued against capacity 0 are lost to that set.")
@click.option("--token", "tokens", multiple=True, metavar="TOKEN", help="Accept this PAT only (repeatable).")
@click.option("--groups", default="", metavar="NAME,…", help="Runner groups besides Default.")
@click.option("--threads", default=256, show_default=True, help="More than sessions and runners together.")
def simulate(port: int, host: str, threads: int, **chosen: object) -> None:
    """Simulate GitHub's side, for any client of it.

    Jobs are queued and faults set by the control API, which needs the header "X-Sim-Control: 1".
    """
    from runscaler.simulator.server import SimulatorServer

    server = SimulatorServer(read_options(chosen), host=host, port=port, threads=threads)
    server.start()
    click.echo(f"config url   {server.url}/my-org")
    click.echo(f"control url  {server.url}/_sim/control/v1  (header X-Sim-Control: 1)")
    try:
        wait_for_signal()
    finally:
        server.stop()


def read_options(chosen: dict[str, object]) -> Options:
    from runscaler.simulator.options import Flavour, Options
    from runscaler.simulator.timers import FAST, GITHUB

    tokens = chosen["tokens"]
    return Options(
        timers=FAST if chosen["fast"] else GITHUB,
        flavour=Flavour(str(chosen["flavour"])),
        lenient=bool(chosen["lenient"]),
        jit_reuse=bool(chosen["jit_reuse"]),
        spread=bool(chosen["spread"]),
        capacity_trap=bool(chosen["capacity_trap"]),
        groups=tuple(name.strip() for name in str(chosen["groups"]).split(",") if name.strip()),
        tokens=tuple(map(str, tokens)) if isinstance(tokens, tuple) else (),
        public_url=str(chosen["public_url"]),
        agent_url=str(chosen["agent_url"]),
    )


def wait_for_signal() -> None:
    """Returns on SIGINT or SIGTERM; both are an orderly end."""
    news = News()

    def end(number: int, _frame: FrameType | None) -> None:
        news.put(signal.Signals(number))

    before = {number: signal.signal(number, end) for number in STOP_SIGNALS}
    try:
        with news:
            news.get()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
