"""What must hold between the keys of one scale set, and between scale sets."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from runscaler.config.model import BACKENDS
from runscaler.config.problems import mask_user_info, nearest, shown
from runscaler.config.urls import InvalidUrl, Kind, parse_config_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runscaler.config.layers import Layer
    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.problems import Problems, Where
    from runscaler.config.schema import TomlPath

ENTRY_POINTS = "runscaler.backends"
_VMS = ("tart", "orchard")


@dataclass(frozen=True, slots=True)
class Checked:
    """A scale set as built, with the values it was built from. Nothing is said about `refused` keys twice."""

    settings: ScaleSetSettings
    layer: Layer
    place: Where
    refused: frozenset[TomlPath]

    def where(self, *names: str) -> Where:
        """Where a key was given, else where the scale set begins."""
        return self.layer[names].where if names in self.layer else self.place

    def knows(self, *names: str) -> bool:
        """The key was given and its value taken."""
        return names in self.layer and names not in self.refused


def check_set(checked: Checked, problems: Problems) -> None:
    for rule in (_url, _backend, _image, _limits, _schedule, _labels, _places, _tls):
        rule(checked, problems)


def check_unique(sets: Sequence[Checked], problems: Problems) -> None:
    """Two scale sets with the same (url, runner-group, name) are one at GitHub."""
    first: dict[object, Checked] = {}
    for checked in sets:
        if not (checked.knows("url") and checked.knows("name")):
            continue
        earlier = first.setdefault(checked.settings.key, checked)
        if earlier is not checked:
            name = checked.settings.name
            again = f"the scale set of line {earlier.place.line} again"
            text = f"{name} is {again}: url, runner-group and name agree"
            problems.error(checked.place, text, fixes=["rename one of them"], scale_set=name)


def _url(checked: Checked, problems: Problems) -> None:
    if not checked.knows("url"):
        return
    settings, where = checked.settings, checked.where("url")
    try:
        url = parse_config_url(settings.url)
    except InvalidUrl as error:
        text = f"url: {shown(mask_user_info(settings.url))} is not accepted: {error}"
        fixes = [error.hint] if error.hint else []
        problems.error(where, text, fixes=fixes, scale_set=settings.name)
        return
    if url.warning:
        problems.warn(where, f"url: {url.warning}", scale_set=settings.name)
    if url.kind is Kind.ENTERPRISE and settings.app is not None:
        text = "[app] with an enterprise URL: GitHub lets no App register runners for an enterprise"
        fixes = ["use a classic token with manage_runners:enterprise"]
        problems.error(checked.where("app", "client-id"), text, fixes=fixes, scale_set=settings.name)


def _backend(checked: Checked, problems: Problems) -> None:
    backend = checked.settings.backend
    if backend in BACKENDS or entry_points(group=ENTRY_POINTS, name=backend):
        return
    guess = nearest(backend, BACKENDS)
    text = f"backend: {shown(backend)} is not accepted, only {', '.join(BACKENDS)}"
    fixes = [f"did you mean {guess}?"] if guess else []
    problems.error(checked.where("backend"), text, fixes=fixes, scale_set=checked.settings.name)


def _image(checked: Checked, problems: Problems) -> None:
    backend = checked.settings.backend
    if backend in _VMS and ("runner-image",) not in checked.layer:
        text = f"runner-image is missing: {backend} has no default for it"
        fixes = ['write runner-image = "ghcr.io/cirruslabs/macos-runner:sonoma" or your own']
        problems.error(checked.where("backend"), text, fixes=fixes, scale_set=checked.settings.name)


def _limits(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if settings.min_runners > settings.max_runners and ("max-runners",) not in checked.refused:
        text = f"min-runners: {settings.min_runners} is above max-runners ({settings.max_runners})"
        problems.error(checked.where("min-runners"), text, scale_set=settings.name)


def _schedule(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    for number, window in enumerate(settings.schedule, 1):
        least = settings.min_runners if window.min_runners is None else window.min_runners
        most = settings.max_runners if window.max_runners is None else window.max_runners
        if least > most:
            text = f"schedule, entry {number}: min-runners ({least}) is above max-runners ({most})"
            problems.error(checked.where("schedule"), text, scale_set=settings.name)


def _labels(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if not checked.knows("labels") or not checked.knows("name"):
        return
    labels = [label.lower() for label in settings.labels]
    if settings.name.lower() not in labels:
        wanted = ", ".join(settings.labels)
        text = f"labels do not hold the name: jobs come with runs-on [{wanted}], not with {settings.name}"
        problems.warn(checked.where("labels"), text, scale_set=settings.name)


def _places(checked: Checked, problems: Problems) -> None:
    settings = checked.settings
    if settings.backend != "tart":
        return
    tart, most = settings.tart, f"[tart] max-vms ({settings.tart.max_vms})"
    if settings.max_runners > tart.max_vms:
        text = f"max-runners ({settings.max_runners}) is above {most}: no more than that many run at once"
        problems.warn(checked.where("max-runners"), f"{text} on this host", scale_set=settings.name)
    if tart.pool_size > tart.max_vms:
        text = f"[tart] pool-size ({tart.pool_size}) is above {most}: no more VMs than that can wait"
        problems.warn(checked.where("tart", "pool-size"), text, scale_set=settings.name)


def _tls(checked: Checked, problems: Problems) -> None:
    docker = checked.settings.docker
    if bool(docker.tls_cert) != bool(docker.tls_key):
        given = "tls-cert" if docker.tls_cert else "tls-key"
        text = f"[docker] {given}: tls-cert and tls-key go together"
        problems.error(checked.where("docker", given), text, scale_set=checked.settings.name)
