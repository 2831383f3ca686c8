"""`runner simulate`: GitHub's side of the protocol on this machine (docs/behaviour.md § 10.1, 10.4)."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import click

from runscaler.cli.exit_codes import drop_lost_terminal
from runscaler.cli.options import is_web_address
from runscaler.cli.signals import SignalQueue, all_stop_signals, signal_handler
from runscaler.cli.suggestions import suggest_scenarios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from runscaler.simulator.apps import App, Installation
    from runscaler.simulator.options import Options
    from runscaler.simulator.replay.player import ReplayResult
    from runscaler.simulator.replay.recording import Recording
    from runscaler.simulator.scenarios.plan import Scenario
    from runscaler.simulator.scenarios.player import ScenarioEvent
    from runscaler.simulator.scenarios.result import ScenarioResult
    from runscaler.simulator.server import SimulatorServer

SHOWN_VIOLATIONS = 5
MIN_THREADS = 9
"""Each waiting session or runner holds one thread; eight more are for other requests."""


def list_scenarios(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Callback of the eager option `--list-scenarios`: prints the list and exits."""
    if not wanted or ctx.resilient_parsing:
        return
    from runscaler.simulator.scenarios.catalogue import SCENARIOS

    for one in SCENARIOS:
        click.echo(one.name)
        click.echo(f"    {one.about}")
    ctx.exit()


def web_address(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Callback that validates a URL which the simulator hands out to its clients."""
    if value and not is_web_address(value):
        raise click.BadParameter(f"{value!r} is not a URL such as http://192.0.2.1:9001")
    return value


def header_value(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Callback that validates a word which clients send as the value of a header."""
    if value and not re.fullmatch(r"[!-~]+", value):
        raise click.BadParameter("it must be printable ASCII without spaces")
    return value


def apps(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[App, ...]:
    """Callback that reads the keys of GitHub Apps."""
    if not values:
        return ()
    from pathlib import Path

    from runscaler.config.inputs import read_input
    from runscaler.simulator.apps import App, public_key_of

    found = []
    for value in values:
        ids, equals, path = value.partition("=")
        if not (ids and equals and path):
            raise click.BadParameter(f"{value!r} is not like Iv1.0a1b2c3d=app.pem")
        try:
            key = public_key_of(read_input(Path(path))[0].decode())
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no key in PEM form"
            raise click.BadParameter(f"the key in {path} cannot be used: {why}") from error
        found.append(App(tuple(one.strip() for one in ids.split(",")), key))
    return tuple(found)


def installations(
    _ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[Installation, ...]:
    """Callback that reads where GitHub Apps are installed."""
    if not values:
        return ()
    from runscaler.simulator.apps import Installation

    found: dict[int, Installation] = {}
    for value in values:
        number, equals, where = value.partition("=")
        if not (equals and number.isdecimal() and int(number) and where.count("/") < 2):
            raise click.BadParameter(f"{value!r} is not like 7=my-org or 7=my-org/my-repo")
        owner, _, repository = where.partition("/")
        known = found.get(int(number), Installation(int(number), owner))
        chosen = (*known.repositories, where) if repository else known.repositories
        found[known.id] = Installation(known.id, owner, chosen)
    return tuple(found.values())


@click.command(epilog="Example: runner simulate --fast --scenario session-stolen --jobs 10")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=9001,
    show_default=True,
    help="Port to listen on; 0: any free port.",
)
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--public-url",
    default="",
    metavar="URL",
    callback=web_address,
    help="URL to hand out to clients; default: the one of the request.",
)
@click.option(
    "--agent-url",
    default="",
    metavar="URL",
    callback=web_address,
    help="URL at which runners reach the simulator.",
)
@click.option("--fast", is_flag=True, help="Short timers, for demos and tests.")
@click.option(
    "--flavour",
    type=click.Choice(["assign", "acquire"]),
    default="assign",
    show_default=True,
    help="Assign jobs as github.com does, or offer them as GitHub Enterprise Server does.",
)
@click.option("--lenient", is_flag=True, help="Record violations of the protocol, but accept the call.")
@click.option(
    "--jit-reuse", is_flag=True, help="Let a runner that stopped before it had a job register again."
)
@click.option("--spread", is_flag=True, help="Give jobs to the scale set with the fewest, not to the oldest.")
@click.option(
    "--capacity-trap/--no-capacity-trap",
    default=True,
    show_default=True,
    help="A scale set never gets jobs that were queued while its capacity was 0.",
)
@click.option(
    "--labels-mutable", is_flag=True, help="Let clients change the labels of a scale set that is there."
)
@click.option(
    "--token", "tokens", multiple=True, metavar="TOKEN", help="Accept only this access token (repeatable)."
)
@click.option(
    "--token-lifetime",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=0.0,
    help="Access tokens expire so long after the start; default: never.",
)
@click.option(
    "--app",
    "apps",
    multiple=True,
    metavar="ID[,ID]=KEY.pem",
    callback=apps,
    help="Accept only this GitHub App: its client id, application id or both, and the file with its private "
    "or public key (repeatable).",
)
@click.option(
    "--installation",
    "installations",
    multiple=True,
    metavar="ID=ACCOUNT",
    callback=installations,
    help="The App is installed only for this organisation or user, or owner/repo (repeatable); default: "
    "for all.",
)
@click.option(
    "--control-token",
    default="",
    metavar="TOKEN",
    callback=header_value,
    help="Token that calls of the control API must bring; default: one made at random.",
)
@click.option("--groups", default="", metavar="NAME,…", help="Runner groups in addition to Default.")
@click.option(
    "--threads",
    type=click.IntRange(min=MIN_THREADS),
    metavar="N",
    default=256,
    show_default=True,
    help="Parallel requests; each waiting session and runner needs one.",
)
@click.option(
    "--scenario",
    default="",
    metavar="NAME",
    shell_complete=suggest_scenarios,
    help="Play this scenario once a client has connected.",
)
@click.option(
    "--jobs",
    type=click.IntRange(0, 10_000),
    metavar="N",
    default=0,
    help="With --scenario: number of jobs to queue during it.",
)
@click.option("--seed", type=int, metavar="N", help="With --scenario: seed for the times of its faults.")
@click.option(
    "--replay",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Play the messages of an archive of runner report, or of a journal, again.",
)
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
    control_token: str,
    replay: str | None,
    **chosen: object,
) -> None:
    """Simulate GitHub, as a server for any client.

    Use the control API to queue jobs and to inject faults. It needs the header "X-Sim-Control: TOKEN"
    with the token that is printed at the start, as jobs run shell commands; see docs/simulator.md.

    A scenario is a series of faults to test a fleet with. Each fault is printed, then what became of
    the jobs. The exit code is 1 if a job failed or still waits, or if a client violated the protocol.

    A replay sends recorded messages again, with their counts and with pauses of at most 1 s, to the
    client that listens for the scale set of the recorded name. The exit code is 1 if the client did not
    take all of them, or violated the protocol.
    """
    from runscaler.simulator.options import Flavour
    from runscaler.simulator.server import SimulatorServer

    options = read_options(chosen)
    day = read_scenario(scenario, jobs, seed)
    recordings = read_replay(replay, scenario)
    if day is not None:
        options = day.adapt(options)
    if any(one.offers for one in recordings):
        options = replace(options, flavour=Flavour.ACQUIRE)
    server = SimulatorServer(
        options, host=host, port=port, threads=threads, seed=seed or 0, control_token=control_token
    )
    results = play_scenario(server, day, jobs, seed) if day is not None else []
    play_replays(server, recordings)
    serve(server, day)
    if server.player is not None:
        last = server.player.result()
        if last not in results:
            print_result(results, last)
        ctx.exit(0 if last.good else 1)
    if recordings:
        ctx.exit(end_replays(server))


def serve(server: SimulatorServer, day: Scenario | None) -> None:
    """Serve until SIGINT, SIGTERM, or SIGHUP: its terminal is gone."""
    with stop_signal() as wait:
        server.start()
        try:
            print_addresses(server, day)
            wait()
        finally:
            server.stop()


def read_scenario(name: str, jobs: int, seed: int | None) -> Scenario | None:
    from runscaler.simulator.scenarios.catalogue import UnknownScenario, find_scenario

    if not name:
        if jobs or seed is not None:
            raise click.UsageError("--jobs and --seed need --scenario")
        return None
    try:
        return find_scenario(name)
    except UnknownScenario as error:
        raise click.BadParameter(str(error), param_hint="'--scenario'") from None


def play_scenario(
    server: SimulatorServer, day: Scenario, jobs: int, seed: int | None
) -> list[ScenarioResult]:
    """Let the server play the scenario and print its faults; the list holds the result once it is over."""
    from runscaler.cli.console import printable, say

    results: list[ScenarioResult] = []

    def told(event: ScenarioEvent) -> None:
        minutes, seconds = divmod(int(event.at), 60)
        say(f"{minutes:02}:{seconds:02} {day.name}: {printable(event.text)}")

    server.load_scenario(
        day, jobs=jobs, seed=seed, on_event=told, on_result=lambda result: print_result(results, result)
    )
    return results


def read_replay(file: str | None, scenario: str) -> tuple[Recording, ...]:
    from pathlib import Path

    from runscaler.simulator.replay.recording import BadRecording, read_recordings

    if file is None:
        return ()
    if scenario:
        raise click.UsageError("--replay cannot be used with --scenario")
    try:
        return read_recordings(Path(file))
    except BadRecording as error:
        raise click.BadParameter(str(error), param_hint="'--replay'") from None


def play_replays(server: SimulatorServer, recordings: tuple[Recording, ...]) -> None:
    """Let the server play the recordings; print where each begins, and its result."""
    from runscaler.cli.console import printable, say

    for one in recordings:
        skipped = f" ({one.skipped} lines cannot be read)" if one.skipped else ""
        name, count = printable(one.scale_set), len(one.messages)
        say(f"replay       {count} messages, once a client listens for {name}{skipped}")
    server.load_replays(
        recordings,
        on_begin=lambda one: say(f"{printable(one.scale_set)} is listening: the replay begins"),
        on_result=print_replay,
    )


def end_replays(server: SimulatorServer) -> int:
    """Print the results that have not been printed; returns the exit code."""
    results = [one.result() for one in server.replays]
    for replayed, result in zip(server.replays, results, strict=True):
        if not replayed.finished:
            print_replay(result)
    return 0 if all(result.good for result in results) else 1


def print_replay(result: ReplayResult) -> None:
    from runscaler.cli.console import printable, say

    sign, colour = ("✓", "green") if result.good else ("✗", "red")
    say(f"{sign} {printable(str(result))}", colour=colour)
    for one in result.violations[:SHOWN_VIOLATIONS]:
        say(f"  {printable(str(one))}")


def print_addresses(server: SimulatorServer, day: Scenario | None) -> None:
    url, elsewhere = usable_urls(server.url)
    click.echo(f"config url   {url}/my-org")
    if elsewhere:
        click.echo(f"elsewhere    {elsewhere}/my-org  (containers, other hosts)")
    click.echo(f"control url  {url}/_sim/control/v1  (header X-Sim-Control: {server.control_token})")
    if day is not None:
        click.echo(f"scenario     {day.about}")
        click.echo(f"look for     {day.look_for}")


def usable_urls(url: str) -> tuple[str, str]:
    """The URL for this host, and the one for containers and other hosts: it is empty unless the simulator
    listens on all interfaces, where the address that it listens on is none to connect to."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.hostname not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return url, ""
    loopback = "127.0.0.1" if parts.hostname == "0.0.0.0" else "[::1]"  # noqa: S104
    own = own_address()
    return f"http://{loopback}:{parts.port}", f"http://{own}:{parts.port}" if own else ""


def own_address() -> str:
    """The IPv4 address that this host has towards its default route; empty if it has none."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the address is for documentation only
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def print_result(results: list[ScenarioResult], result: ScenarioResult) -> None:
    """Print the last lines: what became of the jobs, then the problems."""
    from runscaler.cli.console import printable, say

    results.append(result)
    sign, colour = ("✓", "green") if result.good else ("✗", "red")
    say(f"{sign} {result}", colour=colour)
    for one in result.violations[:SHOWN_VIOLATIONS]:
        say(f"  {printable(str(one))}")
    for text in result.pending:
        say(f"  not reached: {text}")


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
        labels_mutable=bool(chosen["labels_mutable"]),
        groups=tuple(name.strip() for name in str(chosen["groups"]).split(",") if name.strip()),
        tokens=tuple(map(str, tokens)) if isinstance(tokens, tuple) else (),
        token_lifetime=cast("float", chosen["token_lifetime"]),
        apps=cast("tuple[App, ...]", chosen["apps"]),
        installations=cast("tuple[Installation, ...]", chosen["installations"]),
        public_url=str(chosen["public_url"]),
        agent_url=str(chosen["agent_url"]),
    )


@contextmanager
def stop_signal() -> Iterator[Callable[[], object]]:
    """Yields a function that waits for a signal to stop; it returns at once if one has arrived before."""
    queue = SignalQueue()

    def handle(number: int, _frame: FrameType | None) -> None:
        drop_lost_terminal()
        queue.put(signal.Signals(number))

    with signal_handler(handle, *all_stop_signals()), queue:
        yield queue.get
