"""`runner demo`: the whole system on this machine; leaves nothing behind (docs/behaviour.md § 10.2)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runscaler.backends.base import Progress
    from runscaler.cli.demo_session import DemoSession
    from runscaler.cli.demo_view import DemoSnapshot
    from runscaler.ops.demo import DemoTarget

LOG_LINES = 20
RUNNER_KINDS = {"docker": "containers", "process": "processes", "tart": "VMs, one for each job"}


@click.command(epilog="Example: runner demo --backend process --jobs 50")
@click.option(
    "--jobs",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=20,
    show_default=True,
    help="Number of jobs.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "docker", "process", "tart"]),
    default="auto",
    show_default=True,
    help="Where the runners live; auto: Docker if an engine answers, else process.",
)
@click.option(
    "--max-runners",
    type=click.IntRange(1, 200),
    metavar="N",
    default=5,
    show_default=True,
    help="Maximum number of runners; with tart at most 2.",
)
@click.option(
    "--runner-image", default="", metavar="IMAGE", help="With --backend tart: image for a real tart."
)
@click.option("--fake-tart", is_flag=True, help="With --backend tart: never use a real tart.")
@click.option(
    "--seed",
    type=int,
    metavar="N",
    default=1,
    show_default=True,
    help="Seed for the random parts of the jobs.",
)
@click.option("--only-image", is_flag=True, help="Build the demo's Docker image, print its name and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, nothing else.")
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
    """Run the whole system here, without a GitHub account.

    Starts a simulated GitHub, a daemon and a number of jobs. Each job runs on a runner of its own: a
    fresh container, a process in a fresh directory, or a fresh VM (of a fake tart where there is no
    real one). Everything is removed at the end, and the demo fails if something is left.
    """
    if (runner_image or fake_tart) and backend != "tart":
        raise click.UsageError("--runner-image and --fake-tart need --backend tart", ctx)
    if runner_image and fake_tart:
        raise click.UsageError("--runner-image is for a real tart and cannot be used with --fake-tart", ctx)
    from runscaler.ops.demo import find_target, make_image
    from runscaler.ops.demo_jobs import make_jobs

    if only_image:
        click.echo(make_image(_progress(quiet=as_json)))
        return
    # Imported before `_captured_log`, as importing the facade disables the log.
    from runscaler.cli.demo_session import DemoSession
    from runscaler.cli.signals import ExitOnSignals

    log = _captured_log()
    with ExitOnSignals() as signals:
        progress = _progress(quiet=as_json)
        left_earlier = _remove_earlier(quiet=as_json)
        target = find_target(backend, progress, image=runner_image, fake_tart=fake_tart)
        session = DemoSession(
            target,
            make_jobs(jobs, seed),
            progress,
            max_runners=max_runners,
            seed=seed,
            uninterrupted=signals.uninterrupted,
        )
        if not as_json:
            _print_intro(target, session)
        last = _play(session, log, as_json=as_json)
    ctx.exit(_summarize(target, session, last, log, left_earlier, as_json=as_json))


def _remove_earlier(*, quiet: bool) -> list[str]:
    """Remove what killed demos left, and say so; returns what could not be removed."""
    from runscaler.cli.console import printable, say
    from runscaler.cli.demo_setup import stop_fake_mac
    from runscaler.ops.demo_folder import remove_earlier_demos

    removed, left = remove_earlier_demos(stop_fake_mac)
    if not quiet:
        for one in removed:
            say(printable(f"removed what an earlier demo left: {one}"))
    return left


def _play(session: DemoSession, log: io.StringIO, *, as_json: bool) -> DemoSnapshot:
    """Play the demo; returns its last snapshot. If it ends early, report leftovers and raise the reason."""
    from runscaler.cli.console import say
    from runscaler.cli.demo_view import display
    from runscaler.errors import HostError

    last: DemoSnapshot | None = None
    try:
        with session, display(as_json=as_json) as show:
            last = session.play(show)
    except HostError:
        _report_problems({"job": session.failures}, log)
        raise
    finally:
        if last is None:  # no check for leftovers at GitHub: the simulated one is gone
            _report_problems({"left behind": session.left_on_host})
            if not session.left_on_host:
                say("ended early; everything was removed", err=True)
    return last


def _print_intro(target: DemoTarget, session: DemoSession) -> None:
    from runscaler.cli.console import printable, say
    from runscaler.ops.demo import ALL_INTERFACES, LOOPBACK

    if target.is_fake_tart:
        why = f"no usable tart ({target.fallback_reason})" if target.fallback_reason else "as requested"
        say(printable(f"{why}: using a fake tart, whose VMs are processes"))
    elif target.fallback_reason:
        say(printable(f"no Docker: {target.fallback_reason}"))
    say(f"GitHub is simulated; runners are {RUNNER_KINDS[target.backend]}")
    if target.listen == ALL_INTERFACES:
        say(f"the simulated GitHub listens on all interfaces; VMs reach it at {target.agent_host}")
    elif target.listen != LOOPBACK:
        say(f"the simulated GitHub listens on {target.listen}, where the engine's containers reach it")
    kept = " but the image" if target.backend == "docker" else ""
    say(f"nothing is installed; Ctrl-C ends the demo, and removes everything{kept}")
    say(f"dashboard: http://127.0.0.1:{session.port}/")


def _summarize(
    target: DemoTarget,
    session: DemoSession,
    last: DemoSnapshot,
    log: io.StringIO,
    left_earlier: Sequence[str],
    *,
    as_json: bool,
) -> int:
    """Print the results; returns the exit code."""
    from runscaler.cli.console import say, show_json

    left = [*left_earlier, *session.left_on_host, *session.left_at_github]
    bad = bool(last.failed or left or session.violations)
    if bad:
        _report_problems({"left behind": left, "protocol": session.violations, "job": session.failures}, log)
    first = session.first_job_seconds
    if as_json:
        show_json(
            {
                "jobs_queued": last.queued,
                "jobs_done": last.done,
                "jobs_failed": last.failed,
                "runners_started": session.runners_started,
                "leftovers": len(left),
                "seconds": round(last.seconds, 2),
                "violations": len(session.violations),
                "first_job_seconds": None if first is None else round(first, 2),
                "backend": target.backend,
                "fake_tart": target.is_fake_tart,
            }
        )
        return int(bad)
    say("")
    say(f"{'✗' if last.failed else '✓'} {last.done} of {last.queued} jobs done in {last.seconds:.1f} s")
    if first is not None:
        say(f"✓ first job done after {first:.1f} s; {session.runners_started} runners started")
    if not session.violations:
        say("✓ no violation of GitHub's protocol")
    if not left:
        say("✓ nothing is left: no runner, no registration, no session, no file")
    if target.backend == "docker":
        say(f"· the image {target.image} stays for the next demo; to remove it: docker rmi {target.image}")
    return int(bad)


def _report_problems(problems: Mapping[str, Sequence[str]], log: io.StringIO | None = None) -> None:
    """Print problems and the last lines of the log to standard error."""
    from runscaler.cli.console import printable, say

    for what, lines in problems.items():
        for line in lines:
            say(printable(f"✗ {what}: {line}"), colour="red", err=True)
    for line in log.getvalue().splitlines()[-LOG_LINES:] if log else ():
        say(printable(f"  {line}"), err=True)


def _progress(*, quiet: bool) -> Progress:
    """A callback that prints each slow step once, such as building the image."""
    printed: set[str] = set()

    def show(what: str, _done: int, _total: int, /) -> None:
        if what not in printed and not quiet:
            click.echo(f"{what} …", err=True)
        printed.add(what)

    return show


def _captured_log() -> io.StringIO:
    """Collect warnings and errors, to be printed only if the demo fails."""
    from runscaler.cli.logging import configure

    log = io.StringIO()
    configure("warn", "text", stream=log)
    return log
