"""The demo's jobs: their steps and when they are queued. The same seed gives the same jobs.

The steps are shell scripts that use only the tools in the demo image (`demo_rootfs.SHELL_TOOLS`).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SHORTEST, LONGEST = 0.05, 0.25
"""Range of a `{tick}` in seconds. Steps wait a few ticks, so that a job takes about a second."""

CHECKOUT = (
    "checkout",
    """test ! -e app.txt || { echo "this runner is not fresh"; exit 1; }
for line in $(seq 1 40); do echo "line $line of the program"; done > app.txt
ls""",
)
COMPILE = (
    "compile",
    'for part in core web cli; do echo "compiling $part"; sleep {tick}; done; cat app.txt > app.bin',
)
TEST = (
    "test",
    """test "$(tail -n 1 app.txt)" = "line 40 of the program"
for case in $(seq 1 6); do echo "test $case of 6: ok"; sleep {tick}; done""",
)
PACKAGE = ("package", 'cat app.bin app.txt > app.pack && echo "packed on $(date)" && sleep {tick}')
LINT = ("lint", 'for file in *.txt; do echo "$file: no findings"; sleep {tick}; done')
RENDER = (
    "render",
    'printf "# Manual\\n" > manual.md; for page in 1 2 3; do echo "page $page"; sleep {tick}; done',
)

JOB_KINDS = (
    ("build", (CHECKOUT, COMPILE, PACKAGE)),
    ("test", (CHECKOUT, TEST)),
    ("lint", (CHECKOUT, LINT)),
    ("docs", (RENDER,)),
)


@dataclass(frozen=True, slots=True)
class DemoJob:
    """A job that is queued `at` seconds after the first. Each step is a name and a script."""

    at: float
    name: str
    steps: tuple[tuple[str, str], ...]


def make_jobs(count: int, seed: int) -> list[DemoJob]:
    """The jobs in order: half of them at once, the rest in small groups."""
    random = Random(seed)
    times = [0.0] * (count - count // 2)
    while len(times) < count:
        times += [times[-1] + random.uniform(0.2, 0.6)] * random.randint(1, 4)
    return [_job(at, number, random) for number, at in enumerate(times[:count], start=1)]


def _job(at: float, number: int, random: Random) -> DemoJob:
    kind, steps = JOB_KINDS[(number - 1) % len(JOB_KINDS)]
    tick = f"{random.uniform(SHORTEST, LONGEST):.2f}"
    return DemoJob(
        at, f"{kind} {number}", tuple((name, script.replace("{tick}", tick)) for name, script in steps)
    )
