"""`runner simulate`: GitHub's side of the wire on this machine (docs/behaviour.md § 10.1, 10.4)."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from runscaler.cli.addresses import is_web_address
from runscaler.cli.signals import STOP_SIGNALS, News

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from runscaler.simulator.options import Options
    from runscaler.simulator.scenarios.plan import Scenario
    from runscaler.simulator.scenarios.player import ScenarioEvent
    from runscaler.simulator.scenarios.result import ScenarioResult
    from runscaler.simulator.server import SimulatorServer

SHOWN_VIOLATIONS = 5
FEWEST_THREADS = 9
"""A session and a runner hold one each while they wait; eight are for what comes meanwhile."""


def list_scenarios(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """An eager option: prints and ends."""
    if not wanted or ctx.resilient_parsing:
        return
    from runscaler.simulator.scenarios.catalogue import SCENARIOS

    for one in SCENARIOS:
        click.echo(one.name)
        click.echo(f"    {one.about}")
    ctx.exit()


def web_address(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Checks what is handed out to others: a mistake in it would be seen at their end only."""
    if value and not is_web_address(value):
        raise click.BadParameter(f"{value!r} is no URL such as http://192.0.2.1:9001")
    return value


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=9001,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--public-url",
    default="",
    metavar="URL",
    callback=web_address,
    help="Hand out this URL instead of the request's.",
)
@click.option(
    "--agent-url",
    default="",
    metavar="URL",
    callback=web_address,
    help="URL under which runners reach the simulator.",
)
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
@click.option(
    "--threads",
    type=click.IntRange(min=FEWEST_THREADS),
    metavar="N",
    default=256,
    show_default=True,
    help="Requests answered at once: more than sessions and runners together, as each holds one.",
)
@click.option("--scenario", default="", metavar="NAME", help="Play this bad day once a client is there.")
@click.option(
    "--jobs",
    type=click.IntRange(0, 10_000),
    metavar="N",
    default=0,
    help="With --scenario: queue so many jobs during that day.",
)
@click.option("--seed", type=int, metavar="N", help="With --scenario: other moments for its blows.")
@click.option(
    "--list-scenarios",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=list_scenarios,
    help="List the scenarios and exit.",
)
@click.pass_context
def simulate(
    ctx: click.Context,
    /,
    port: int,
    host: str,
    threads: int,
    scenario: str,
    jobs: int,
    seed: int | None,
    **chosen: object,
) -> None:
    """Simulate GitHub's side, for any client of it.

    Jobs are queued and faults set by the control API, which needs the header "X-Sim-Control: 1";
    docs/simulator.md shows how.

    A scenario is a bad day to test a fleet against. Each event is told, then how the jobs fared; if
    a job failed or waits, or a rule was broken, the exit code is 1.
    """
    from runscaler.simulator.server import SimulatorServer

    options = read_options(chosen)
    day = read_scenario(scenario, jobs, seed)
    if day is not None:
        options = day.adapt(options)
    server = SimulatorServer(options, host=host, port=port, threads=threads, seed=seed or 0)
    results = rehearse(server, day, jobs, seed) if day is not None else []
    serve(server, day)
    if server.player is not None:
        last = server.player.result()
        if last not in results:
            conclude(results, last)
        ctx.exit(0 if last.good else 1)


def serve(server: SimulatorServer, day: Scenario | None) -> None:
    """Until a signal comes."""
    with told_to_end() as wait:
        server.start()
        try:
            introduce(server, day)
            wait()
        finally:
            server.stop()


def read_scenario(name: str, jobs: int, seed: int | None) -> Scenario | None:
    from runscaler.simulator.scenarios.catalogue import UnknownScenario, find_scenario

    if not name:
        if jobs or seed is not None:
            raise click.UsageError("--jobs and --seed go with --scenario")
        return None
    try:
        return find_scenario(name)
    except UnknownScenario as error:
        raise click.BadParameter(str(error), param_hint="'--scenario'") from None


def rehearse(server: SimulatorServer, day: Scenario, jobs: int, seed: int | None) -> list[ScenarioResult]:
    """Have the scenario played and told; the list has the result once it is over."""
    from runscaler.cli.console import printable, say

    results: list[ScenarioResult] = []

    def told(event: ScenarioEvent) -> None:
        minutes, seconds = divmod(int(event.at), 60)
        say(f"{minutes:02}:{seconds:02} {day.name}: {printable(event.text)}")

    server.load_scenario(
        day, jobs=jobs, seed=seed, on_event=told, on_result=lambda result: conclude(results, result)
    )
    return results


def introduce(server: SimulatorServer, day: Scenario | None) -> None:
    click.echo(f"config url   {server.url}/my-org")
    click.echo(f"control url  {server.url}/_sim/control/v1  (header X-Sim-Control: 1)")
    if day is not None:
        click.echo(f"bad day      {day.about}")
        click.echo(f"look for     {day.look_for}")


def conclude(results: list[ScenarioResult], result: ScenarioResult) -> None:
    """The last lines: one of what became of the jobs, then what is wrong."""
    from runscaler.cli.console import printable, say

    results.append(result)
    sign, colour = ("✓", "green") if result.good else ("✗", "red")
    say(f"{sign} {result}", colour=colour)
    for one in result.violations[:SHOWN_VIOLATIONS]:
        say(f"  {printable(str(one))}")
    for text in result.pending:
        say(f"  never came to it: {text}")


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


@contextmanager
def told_to_end() -> Iterator[Callable[[], object]]:
    """What it yields returns on SIGINT or SIGTERM, also on one that came before: both are an orderly end."""
    news = News()

    def end(number: int, _frame: FrameType | None) -> None:
        news.put(signal.Signals(number))

    before = {number: signal.signal(number, end) for number in STOP_SIGNALS}
    try:
        with news:
            yield news.get
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
