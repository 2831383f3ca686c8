"""`runner why`: one sentence a scale set about what waits, and for what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from runscaler.cli.admin import daemon_options
from runscaler.cli.suggestions import suggest_scale_sets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from runscaler.config.model import Config

WORDS = {
    "max_runners": "max-runners is reached",
    "host_guard": "this host is short of something",
    "host_cap": "the host's runners are all in use",
    "backoff": "starts failed, and the next one waits",
    "rate_limit": "GitHub limits the rate",
    "backend_down": "the backend does not answer",
    "vm_limit": "this host runs as many VMs as it may",
    "paused": "starts are paused",
}
"""What each reason of docs/behaviour.md § 6.6 means, for people."""


@click.command(short_help="Say why wanted runners do not start.", epilog="Example: runner why linux")
@click.argument("scale_set", shell_complete=suggest_scale_sets, required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@daemon_options
@click.pass_context
def why(
    ctx: click.Context, scale_set: str | None, as_json: bool, config: str | None, state_dir: str | None
) -> None:
    """Say why runners are wanted and not started, in SCALE_SET or in all."""
    from runscaler.cli.admin import admin_socket, scale_sets
    from runscaler.cli.console import printable, say, show_json
    from runscaler.cli.logging import silence
    from runscaler.cli.status_page import labels_of
    from runscaler.errors import HostError

    silence()
    socket = admin_socket(ctx, config, state_dir)
    sets = scale_sets(socket)
    meant = [one for one in sets if scale_set is None or str(one["name"]).lower() == scale_set.lower()]
    if not meant:
        there = ", ".join(str(one["name"]) for one in sets)
        raise HostError(f"there is no scale set {scale_set!r}; there are: {there}")
    frees = _clean_frees(meant, config or ctx.find_root().params.get("config"), socket.parent)
    if as_json:
        show_json({"scale_sets": [_as_json(one, frees) for one in meant]})
        return
    for one, label in zip(sets, labels_of(sets), strict=True):
        if one in meant:
            say(printable(f"{label}: {explanation(one, frees)}"))


def _as_json(one: Mapping[str, object], frees: int | None) -> dict[str, object]:
    short = any(map(_lacks_disk, _objects(one.get("unmet"))))
    why = explanation(one, frees)
    place = {key: one.get(key) for key in ("url", "runner_group")}
    return {"name": one["name"], **place, "why": why, "clean_bytes": frees if short else None}


def _clean_frees(sets: Sequence[Mapping[str, object]], path: str | None, state_dir: Path) -> int | None:
    """Bytes that `runner clean` would free on this host if it is short of disk; None if that is not so, or if
    it cannot be told soon."""
    from runscaler.clock import SystemClock
    from runscaler.ops.clean_forecast import bytes_to_free

    if not any(_lacks_disk(unmet) for one in sets for unmet in _objects(one.get("unmet"))):
        return None
    loaded = _configuration(path, state_dir)
    return None if loaded is None else bytes_to_free(loaded, SystemClock())


def _configuration(path: str | None, state_dir: Path) -> Config | None:
    """That of the daemon with this state directory: the one that is given, or that of the default places if
    its state lies there. None if it cannot be read."""
    from runscaler.config.load import load_config
    from runscaler.errors import RunscalerError
    from runscaler.ops.state_path import candidates

    try:
        loaded = load_config(path, unset_is_error=False)
    except (RunscalerError, OSError):
        return None
    places = [place.absolute() for place in candidates(loaded)]
    return loaded if path is not None or state_dir.absolute() in places else None


def explanation(one: Mapping[str, object], frees: int | None = None) -> str:
    """A sentence about a scale set, as the health report shows it. `frees`: the bytes that `runner clean`
    would free; 0 and None are not told."""
    unmet = [_unmet(each, frees) for each in _objects(one.get("unmet"))]
    parts = [_state(one), *unmet, _waiting(one) if unmet else ""]
    return "; ".join(part for part in parts if part) or _well(one)


def _state(one: Mapping[str, object]) -> str:
    """The state, unless it is well, with its reason and when what is in the way is tried again."""
    from runscaler.cli.status_page import how_long

    state, reason, seconds = str(one.get("state")), one.get("reason"), one.get("retry_seconds")
    if not reason:
        return "" if state == "ok" else state
    then = f", next try in {max(1.0, seconds):.0f} s" if isinstance(seconds, int | float) else ""
    if state == "ok":
        return f"{reason}{then}"
    so_long = how_long(one.get("state_seconds"))
    return f"{state}{f' for {so_long}' if so_long else ''}: {reason}{then}"


def _waiting(one: Mapping[str, object]) -> str:
    """Since when jobs wait, which is not always the same ones."""
    from runscaler.cli.status_page import how_long

    so_long = how_long(one.get("waiting_seconds"))
    return f"jobs have waited for {so_long}" if so_long else ""


def _lacks_disk(unmet: Mapping[str, object]) -> bool:
    return unmet.get("reason") == "host_guard" and "free disk" in str(unmet.get("detail"))


def _unmet(unmet: Mapping[str, object], frees: int | None) -> str:
    from runscaler.cli.status_page import next_look
    from runscaler.units import format_bytes

    count, reason, detail = unmet.get("count"), str(unmet.get("reason")), str(unmet.get("detail") or "")
    runners = "1 more runner is" if count == 1 else f"{count} more runners are"
    if reason == "host_guard" and detail:
        clean = f"; `runner clean` would free {format_bytes(frees)}" if frees and _lacks_disk(unmet) else ""
        return f"{runners} wanted and not started: {detail}{next_look(unmet)}{clean}"
    words = WORDS.get(reason, reason)
    return f"{runners} wanted and not started, as {words}{f' ({detail})' if detail else ''}"


def _well(one: Mapping[str, object]) -> str:
    metrics = one.get("metrics")
    jobs = metrics.get("assigned_jobs", 0) if isinstance(metrics, dict) else 0
    assigned = "no job is assigned" if not jobs else f"{jobs} job{'s are' if jobs != 1 else ' is'} assigned"
    counts = ", ".join(
        f"{one.get(state)} {state}" for state in ("busy", "idle", "starting") if one.get(state)
    )
    return f"nothing waits: {assigned}, {counts or 'no runner is needed'}"


def _objects(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
