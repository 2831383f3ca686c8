"""A diagnosis as lines for people, and as JSON (docs/behaviour.md § 14.5)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from runscaler.findings import Finding, Level
from runscaler.ops.doctor.doctor import REGISTRATION
from runscaler.ops.doctor.findings import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runscaler.ops.doctor.findings import Diagnosis, Found


def lines(diagnosis: Diagnosis) -> list[Finding]:
    """What is to be done stands once, below the last line that it is about."""
    found = [_line(one) for one in diagnosis.found if one.verdict is not Verdict.LIVE]
    problems = [Finding(Level.ERROR, one.message, one.fixes) for one in diagnosis.problems]
    notes = [Finding(Level.WARNING, one.message, one.fixes) for one in diagnosis.notes]
    return [*_living(diagnosis.found), *_once([*found, *problems, *notes]), *_summary(diagnosis)]


def as_json(diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "ok": diagnosis.is_clean,
        "found": [asdict(one) for one in diagnosis.found],
        "problems": [asdict(one) for one in diagnosis.problems],
        "notes": [asdict(one) for one in diagnosis.notes],
    }


def _living(found: Sequence[Found]) -> Iterator[Finding]:
    """A line for each reason to leave something alone."""
    counts = Counter((one.kind, one.where, one.reason) for one in found if one.verdict is Verdict.LIVE)
    for (kind, where, reason), count in counts.items():
        yield Finding(Level.OK, f"left alone on {where}: {count} × {kind}, as {reason}")


def _line(found: Found) -> Finding:
    what = f"{found.kind} {found.name} on {found.where}"
    if found.outcome is Outcome.REMOVED:
        return Finding(Level.OK, f"removed {what}")
    if found.outcome is Outcome.FAILED:
        return Finding(Level.ERROR, f"{what} could not be removed: {found.error}", _fixes(found))
    if found.verdict is Verdict.UNKNOWN and found.owner:
        what = f"{what} of owner {found.owner}"
    error = f" ({found.error})" if found.error else ""
    return Finding(Level.ERROR, f"{found.verdict} {what}: {found.reason}{error}", _fixes(found))


def _fixes(found: Found) -> tuple[str, ...]:
    if found.outcome is Outcome.FAILED:
        return ("try again: runner doctor --fix",)
    if found.verdict is Verdict.ORPHAN:
        return ("remove them: runner doctor --fix",)
    if found.verdict is Verdict.BUSY:
        return ("wait for its job, or remove it all the same: runner doctor --fix --force",)
    if found.kind == REGISTRATION:
        return (
            "give the configuration that has its scale set: runner doctor --config PATH",
            "remove it in the settings at GitHub: Actions, Runners",
        )
    if found.owner:
        return (f"if that daemon is dead, remove them: runner doctor --fix --owner {found.owner}",)
    return ("decide about the other owners first: runner doctor --fix --owner ID",)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Without a fix that a later line has too."""
    last = {fix: position for position, one in enumerate(findings) for fix in one.fixes}
    return [
        replace(one, fixes=tuple(fix for fix in one.fixes if last[fix] == position))
        for position, one in enumerate(findings)
    ]


def _summary(diagnosis: Diagnosis) -> Iterator[Finding]:
    if diagnosis.is_clean:
        yield Finding(Level.OK, "no resource and no registration of a dead daemon is left")
