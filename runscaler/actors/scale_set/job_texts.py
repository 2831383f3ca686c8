"""GitHub's texts about a job, made harmless for logs and pages: printable and short (fault F50)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.status import JobOrigin

if TYPE_CHECKING:
    from runscaler.github.messages import JobMessage

_SHOWN = 80
_SHOWN_PATH = 200
"""A workflow's path and branch are longer than other names, and useless without their end."""


def plain(text: str, most: int = _SHOWN) -> str:
    shown = "".join(letter if letter.isprintable() else "�" for letter in text[: most + 1])
    return shown if len(shown) <= most else shown[:most] + "…"


def origin_of(job: JobMessage) -> JobOrigin:
    """Where the job comes from."""
    repository = f"{job.owner}/{job.repository}" if job.owner and job.repository else job.repository
    return JobOrigin(plain(repository), plain(job.workflow_ref, _SHOWN_PATH), job.run_id)


def described(name: str, origin: JobOrigin) -> str:
    """A job in words: "build of my-org/app (run 42)". `name` is its name, or its id."""
    place = f" of {origin.repository}" if origin.repository else ""
    run = f" (run {origin.workflow_run_id})" if origin.workflow_run_id else ""
    return f"{name}{place}{run}"


def seconds_between(begin: float | None, end: float | None) -> float | None:
    """None if GitHub did not tell both times, or told them in the wrong order."""
    if begin is None or end is None or end < begin:
        return None
    return round(end - begin, 3)
