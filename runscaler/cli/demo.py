"""`runner demo`: the whole system on this machine, and nothing left of it (docs/behaviour.md § 10.2)."""

from __future__ import annotations

import io
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

    from runscaler.backends.base import Progress
    from runscaler.cli.demo_session import Stage
    from runscaler.cli.demo_view import Scene
    from runscaler.ops.demo import Ground

LOG_LINES = 20
RUNNERS_ARE = {"docker": "containers", "process": "processes", "tart": "VMs, one for each job"}


@click.command()
@click.option(
    "--jobs",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=20,
    show_default=True,
    help="How many jobs.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "docker", "process", "tart"]),
    default="auto",
    show_default=True,
    help="Where the runners live; auto: Docker if an engine answers.",
)
@click.option(
    "--max-runners",
    type=click.IntRange(1, 200),
    metavar="N",
    default=5,
    show_default=True,
    help="Most runners at once; on Tart two at most.",
)
@click.option("--runner-image", default="", metavar="IMAGE", help="What a real tart makes VMs of.")
@click.option("--fake-tart", is_flag=True, help="With --backend tart: leave a real one alone.")
@click.option(
    "--seed",
    type=int,
    metavar="N",
    default=1,
    show_default=True,
    help="Another number, another stream of jobs.",
)
@click.option("--only-image", is_flag=True, help="Make the demo's Docker image, print its name, no more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, nothing else.")
@click.pass_context
def demo(
    ctx: click.Context,
    /,
    jobs: int,
    backend: str,
    max_runners: int,
    runner_image: str,
    fake_tart: bool,
    seed: int,
    only_image: bool,
    as_json: bool,
) -> None:
    """Show the whole system, without an account.

    A simulated GitHub, a daemon and real jobs, each on a runner of its own: a fresh container, a
    process in a fresh directory, or a fresh VM; a fake tart stands in where there is no real one. At
    the end everything is removed, and that is checked.
    """
    if (runner_image or fake_tart) and backend != "tart":
        raise click.UsageError("--runner-image and --fake-tart go with --backend tart", ctx)
    if runner_image and fake_tart:
        raise click.UsageError("--runner-image is for a real tart: not with --fake-tart", ctx)
    from runscaler.ops.demo import find_ground, make_image
    from runscaler.ops.demo_jobs import stream

    if only_image:
        click.echo(make_image(_progress(quiet=as_json)))
        return
    from runscaler.cli.demo_session import (
        Stage,  # brings the facade, which silences the log: before `_kept_log`
    )

    with _until_told(), _kept_log() as log:
        progress = _progress(quiet=as_json)
        ground = find_ground(backend, progress, image=runner_image, pretend=fake_tart)
        stage = Stage(ground, stream(jobs, seed), progress, max_runners=max_runners, seed=seed)
        if not as_json:
            _introduce(ground, stage)
        last = _play(stage, log, as_json=as_json)
    ctx.exit(_sum_up(ground, stage, last, log, as_json=as_json))


def _play(stage: Stage, log: io.StringIO, *, as_json: bool) -> Scene:
    """Raises what ended it early, after everything was taken down."""
    from runscaler.cli.console import say
    from runscaler.cli.demo_view import shown
    from runscaler.errors import HostError

    last: Scene | None = None
    try:
        with stage, shown(as_json=as_json) as show:
            last = stage.play(show)
    except HostError:
        _complain({"job": stage.failures}, log)
        raise
    finally:
        if last is None:  # the simulated GitHub is gone in any case
            _complain({"left behind": stage.left_here})
            if not stage.left_here:
                say("ended early; everything was removed", err=True)
    return last


def _introduce(ground: Ground, stage: Stage) -> None:
    from runscaler.cli.console import printable, say
    from runscaler.ops.demo import EVERYWHERE

    if ground.is_pretended:
        why, reason = "as was asked for", ""
        if ground.instead_of:
            why, reason = "no tart here", f" ({ground.instead_of})"
        say(printable(f"{why}: a fake tart stands in, VMs are processes{reason}"))
    elif ground.instead_of:
        say(printable(f"no Docker: {ground.instead_of}"))
    say(f"GitHub is simulated; runners are {RUNNERS_ARE[ground.backend]}")
    if ground.listen == EVERYWHERE:
        say(f"it listens on all interfaces: VMs reach this Mac as {ground.agent_host}")
    say(f"health: http://127.0.0.1:{stage.port}/healthz")


def _sum_up(ground: Ground, stage: Stage, last: Scene, log: io.StringIO, *, as_json: bool) -> int:
    """Show the figures; returns the exit code."""
    from runscaler.cli.console import say, show_json

    left = [*stage.left_here, *stage.left_at_github]
    bad = bool(last.failed or left or stage.violations)
    if bad:
        _complain({"left behind": left, "protocol": stage.violations, "job": stage.failures}, log)
    first = stage.first_job_seconds
    if as_json:
        show_json(
            {
                "jobs_queued": last.queued,
                "jobs_done": last.done,
                "jobs_failed": last.failed,
                "runners_started": stage.runners_started,
                "leftovers": len(left),
                "seconds": round(last.seconds, 2),
                "violations": len(stage.violations),
                "first_job_seconds": None if first is None else round(first, 2),
                "backend": ground.backend,
                "fake_tart": ground.is_pretended,
            }
        )
        return int(bad)
    say("")
    say(f"{'✗' if last.failed else '✓'} {last.done} of {last.queued} jobs done in {last.seconds:.1f} s")
    if first is not None:
        say(f"✓ the first one after {first:.1f} s; {stage.runners_started} runners started")
    if not stage.violations:
        say("✓ no rule of GitHub's protocol was broken")
    if not left:
        say("✓ nothing is left: no runner, no registration, no session, no file")
    return int(bad)


def _complain(wrong: Mapping[str, Sequence[str]], log: io.StringIO | None = None) -> None:
    """On standard error: what is not as it should be, and the last words of the log."""
    from runscaler.cli.console import printable, say

    for what, lines in wrong.items():
        for line in lines:
            say(printable(f"✗ {what}: {line}"), colour="red", err=True)
    for line in log.getvalue().splitlines()[-LOG_LINES:] if log else ():
        say(printable(f"  {line}"), err=True)


def _progress(*, quiet: bool) -> Progress:
    """Says once what takes its time (the image)."""
    told: set[str] = set()

    def tell(what: str, _done: int, _total: int, /) -> None:
        if what not in told and not quiet:
            click.echo(f"{what} …", err=True)
        told.add(what)

    return tell


@contextmanager
def _kept_log() -> Iterator[io.StringIO]:
    """Warnings and errors are kept, and shown if the demo fails; the show itself needs no log."""
    from runscaler.cli.logging import configure

    kept = io.StringIO()
    configure("warn", "text", stream=kept)
    yield kept


@contextmanager
def _until_told() -> Iterator[None]:
    """SIGTERM takes everything down as Ctrl-C does."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
