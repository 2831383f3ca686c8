"""Would this scale set get along with GitHub? Asked without changing anything there (validate, dry run)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.config.urls import InvalidUrl, parse_config_url
from runscaler.errors import ConfigError, GitHubError, HostError
from runscaler.findings import Finding, Level
from runscaler.github.client import connect
from runscaler.github.identity import Subsystem
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.config.model import ScaleSetSettings
    from runscaler.github.base import Trouble
    from runscaler.github.identity import Identity
    from runscaler.github.pool import TransportPool

PATIENCE = 15.0


def check_github(
    settings: ScaleSetSettings,
    *,
    clock: Clock,
    pool: TransportPool,
    identity: Identity,
    interrupt: Interrupt | None = None,
) -> list[Finding]:
    """What is well and the first thing that is not: GitHub answers, takes the credential, has the group.

    Blocks up to about a minute; raises `Interrupted` only.
    """
    findings: list[Finding] = []

    def passed(line: str) -> None:
        findings.append(Finding(Level.OK, line, scale_set=settings.name))

    try:
        _look(settings, clock, pool, identity, interrupt or Interrupt(), passed)
    except ConfigError as error:
        findings.extend(error.findings)
    except InvalidUrl as error:
        fixes = (error.hint,) if error.hint else ()
        what = f"url {settings.url} cannot be used: {error}"
        findings.append(Finding(Level.ERROR, what, fixes, settings.name))
    except (GitHubError, HostError) as error:
        findings.append(Finding(Level.ERROR, str(error), error.fixes, settings.name))
    return findings


def _look(
    settings: ScaleSetSettings,
    clock: Clock,
    pool: TransportPool,
    identity: Identity,
    interrupt: Interrupt,
    passed: Callable[[str], None],
) -> None:
    """Step by step; raises at the first that fails."""
    service = connect(settings, clock=clock, report=_ignored, pool=pool, identity=identity)
    admin_tokens, _ = pool.for_scale_set(settings)
    url = parse_config_url(settings.url)
    admin_tokens.current(identity.user_agent(0, Subsystem.CHECK), interrupt, PATIENCE)
    passed(f"GitHub answers and takes the token for the {url.kind} {url.text}")
    group = service.group_id(settings.runner_group, interrupt, PATIENCE)
    passed(f"the runner group {settings.runner_group!r} exists")
    known = service.find_scale_set(settings.name, group, interrupt, PATIENCE)
    passed(f"the scale set {settings.name!r} " + ("exists already" if known else "will be created"))


def _ignored(_trouble: Trouble | None) -> None:
    """A check says in the end what went wrong, not on the way."""
