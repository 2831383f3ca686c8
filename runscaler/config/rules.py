"""Rules that involve several keys of a scale set, or several scale sets."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from runscaler.config.model import BACKENDS
from runscaler.config.naming_rules import NAMING_RULES
from runscaler.config.problems import invalid, mask_user_info, nearest, shown
from runscaler.config.registries import hosts_given_twice
from runscaler.config.urls import InvalidUrl, Kind, parse_config_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.config.layers import Layer
    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.problems import Origin, Problems
    from runscaler.config.schema import TomlPath

ENTRY_POINTS = "runscaler.backends"
_VMS = ("tart", "orchard")


@dataclass(frozen=True, slots=True)
class Checked:
    """A scale set and the values it was built from. Keys in `rejected` were reported already."""

    settings: ScaleSetSettings
    layer: Layer
    start: Origin
    rejected: frozenset[TomlPath]

    def origin(self, *names: str) -> Origin:
        """Where a key was set, else where the scale set begins."""
        return self.layer[names].origin if names in self.layer else self.start

    def has(self, *names: str) -> bool:
        """Whether the key was set to a valid value."""
        return names in self.layer and names not in self.rejected


def check_set(checked: Checked, problems: Problems) -> None:
    for rule in (_url, _backend, _image, _limits, _schedule, *NAMING_RULES, _vm_limits, _tls, _registries):
        rule(checked, problems)


def check_unique(sets: Sequence[Checked], problems: Problems) -> None:
    """Report scale sets with equal url, runner-group and name: at GitHub they are the same scale set."""
    first: dict[object, Checked] = {}
    for checked in sets:
        if not (checked.has("url") and checked.has("name")):
            continue
        earlier = first.setdefault(checked.settings.key, checked)
        if earlier is not checked:
            name = checked.settings.name
            text = f"{name} has the url, runner-group and name of the scale set in line {earlier.start.line}"
            problems.error(checked.start, text, fixes=["rename one of them"], scale_set=name)


def _url(checked: Checked, problems: Problems) -> None:
    if not checked.has("url"):
        return
    settings, origin = checked.settings, checked.origin("url")
    try:
        url = parse_config_url(settings.url)
    except InvalidUrl as error:
        text = f"url: {shown(mask_user_info(settings.url))} is not valid: {error}"
        fixes = [error.hint] if error.hint else []
        problems.error(origin, text, fixes=fixes, scale_set=settings.name)
        return
    if url.warning:
        problems.warn(origin, f"url: {url.warning}", scale_set=settings.name)
    if url.kind is Kind.ENTERPRISE and settings.app is not None:
        text = "[app] with an enterprise URL: GitHub Apps cannot register runners for an enterprise"
        fixes = ["use a classic token with manage_runners:enterprise"]
        problems.error(checked.origin("app", "client-id"), text, fixes=fixes, scale_set=settings.name)


def _backend(checked: Checked, problems: Problems) -> None:
    backend = checked.settings.backend
    if backend in BACKENDS or entry_points(group=ENTRY_POINTS, name=backend):
        return
    guess = nearest(backend, BACKENDS)
    text = f"backend: {invalid(backend, ', '.join(BACKENDS))}"
    fixes = [f"did you mean {guess}?"] if guess else []
    problems.error(checked.origin("backend"), text, fixes=fixes, scale_set=checked.settings.name)


def _image(checked: Checked, problems: Problems) -> None:
    backend = checked.settings.backend
    if backend in _VMS and ("runner-image",) not in checked.layer:
        text = f"runner-image is missing: there is no default for {backend}"
        fixes = ['set it, for example runner-image = "ghcr.io/cirruslabs/macos-runner:sonoma"']
        problems.error(checked.origin("backend"), text, fixes=fixes, scale_set=checked.settings.name)


def _limits(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if settings.min_runners > settings.max_runners and ("max-runners",) not in checked.rejected:
        text = f"min-runners: {settings.min_runners} is above max-runners ({settings.max_runners})"
        problems.error(checked.origin("min-runners"), text, scale_set=settings.name)


def _schedule(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    for number, window in enumerate(settings.schedule, 1):
        origin = checked.layer["schedule",].origin_of(number - 1)
        least = settings.min_runners if window.min_runners is None else window.min_runners
        most = settings.max_runners if window.max_runners is None else window.max_runners
        if least > most:
            text = f"schedule, entry {number}: min-runners ({least}) is above max-runners ({most})"
            problems.error(origin, text, scale_set=settings.name)
        if window.min_runners is None and window.max_runners is None:
            text = f"schedule, entry {number}: it sets neither min-runners nor max-runners"
            problems.warn(origin, text, scale_set=settings.name)


def _vm_limits(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if settings.backend != "tart":
        return
    tart, most = settings.tart, f"[tart] max-vms ({settings.tart.max_vms})"
    largest = max([settings.max_runners, *(window.max_runners or 0 for window in settings.schedule)])
    if largest > tart.max_vms:
        text = f"max-runners ({largest}) is above {most}: this host never runs more VMs at once"
        problems.warn(checked.origin("max-runners"), text, scale_set=settings.name)
    if tart.pool_size > tart.max_vms:
        text = f"[tart] pool-size ({tart.pool_size}) is above {most}: no more VMs can be kept booted"
        problems.warn(checked.origin("tart", "pool-size"), text, scale_set=settings.name)


def _tls(checked: Checked, problems: Problems) -> None:
    docker = checked.settings.docker
    if bool(docker.tls_cert) != bool(docker.tls_key):
        given = "tls-cert" if docker.tls_cert else "tls-key"
        text = f"[docker] {given} is set alone: tls-cert and tls-key must be set together"
        problems.error(checked.origin("docker", given), text, scale_set=checked.settings.name)


def _registries(checked: Checked, problems: Problems) -> None:
    auth, name = checked.settings.docker.registry_auth, checked.settings.name
    table = ("docker", "registry-auth")
    wrong = {path[2] for path in checked.rejected if path[:2] == table and len(path) > 2}
    for host, credential in auth.items():
        if host not in wrong and not (credential.user and credential.password):
            given, lacks = ("user", "password") if credential.user else ("password", "user")
            origin = checked.origin(*table, host, given)
            text = f"[docker] registry-auth for {host} has no {lacks}: it needs user and password"
            problems.error(origin, text, scale_set=name)
    for earlier, host in hosts_given_twice(auth):
        text = f"[docker] registry-auth names one registry twice: {earlier} and {host}"
        origin = checked.origin(*table, host, "user")
        problems.error(origin, text, fixes=["remove one of them"], scale_set=name)
    if "@" in checked.settings.docker.registry_mirror:
        text = "[docker] registry-mirror holds a login, which is not used"
        fixes = ["give it in [docker.registry-auth] under the mirror's host"]
        origin = checked.origin("docker", "registry-mirror")
        problems.error(origin, text, fixes=fixes, scale_set=name)
