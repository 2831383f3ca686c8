"""Can this scale set work with GitHub? Checked without changing anything there (validate, dry run)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.urls import InvalidUrl, parse_config_url
from runscaler.errors import ConfigError, GitHubError, HostError
from runscaler.findings import Finding, Level
from runscaler.github.client import connect
from runscaler.github.clock_skew import CLOCK_FIXES, clock_words
from runscaler.github.identity import Subsystem
from runscaler.github.renames import moved_fix, moved_words
from runscaler.github.token_expiry import TELLING_SECONDS, moment
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import ScaleSetService, Trouble
    from runscaler.github.identity import Identity
    from runscaler.github.pool import TransportPool

RETRY_SECONDS = 15.0


def check_github(
    settings: ScaleSetSettings,
    *,
    clock: Clock,
    pool: TransportPool,
    identity: Identity,
    interrupt: Interrupt | None = None,
) -> list[Finding]:
    """A finding for each check that passed, one for a wrong clock of this host, and one for the first check
    that failed, if any.

    Checks that GitHub answers, accepts the credential and has the runner group. Blocks for up to about a
    minute. Raises only `Interrupted`.
    """
    findings: list[Finding] = []

    def report(level: Level, line: str, *fixes: str) -> None:
        findings.append(Finding(level, line, fixes, settings.name))

    try:
        service = connect(settings, clock=clock, report=_ignore, pool=pool, identity=identity)
        try:
            _check(settings, service, pool, identity, interrupt or Interrupt(), clock, report)
        finally:
            if words := clock_words(service.clock_skew()):
                report(Level.WARNING, f"{words}: GitHub may refuse its runners", *CLOCK_FIXES)
            if moved := service.moved_to():
                report(Level.WARNING, moved_words(settings.url, moved), moved_fix(moved))
    except ConfigError as error:
        findings.extend(error.findings)
    except InvalidUrl as error:
        fixes = (error.hint,) if error.hint else ()
        report(Level.ERROR, f"url {settings.url} cannot be used: {error}", *fixes)
    except (GitHubError, HostError) as error:
        report(Level.ERROR, str(error), *error.fixes)
    return findings


def _check(
    settings: ScaleSetSettings,
    service: ScaleSetService,
    pool: TransportPool,
    identity: Identity,
    interrupt: Interrupt,
    clock: Clock,
    report: Callable[..., None],
) -> None:
    """Reports each check that passes; raises the error of the first that fails."""
    admin_tokens, _ = pool.for_scale_set(settings)
    url = parse_config_url(settings.url)
    admin_tokens.current(identity.user_agent(0, Subsystem.CHECK), interrupt, RETRY_SECONDS)
    credential = admin_tokens.credential
    report(Level.OK, f"GitHub answers and takes {credential.name} for the {url.kind} {url.text}")
    expires, now = credential.expires_at, clock.wall()
    if expires is not None and expires - now < TELLING_SECONDS:
        report(Level.WARNING, f"the token expires on {moment(expires)}", credential.how_to_replace)
    group = service.group_id(settings.runner_group, interrupt, RETRY_SECONDS)
    report(Level.OK, f"the runner group {settings.runner_group!r} exists")
    known = service.find_scale_set(settings.name, group, interrupt, RETRY_SECONDS)
    fate = "exists already" if known else "will be created"
    report(Level.OK, f"the scale set {settings.name!r} {fate}")


def _ignore(_trouble: Trouble | None) -> None:
    """A check reports the error in the end, not the retries before it."""
