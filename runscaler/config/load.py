"""`load_config`: flags, file, environment and defaults become one checked `Config` (docs/behaviour.md § 4)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.build import build
from runscaler.config.credentials import Credentials, warn_of_readers
from runscaler.config.engine import with_docker_host
from runscaler.config.flags import flag_layer, refuse_identity
from runscaler.config.inherit import global_part, inherit, override, set_part
from runscaler.config.layers import Layer, Layers, read_layers
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.problems import Given, Problems, Where
from runscaler.config.rules import Checked, check_set, check_unique
from runscaler.config.schema import SETS
from runscaler.config.secrets import expanded
from runscaler.config.sources import Document, Locations, find_document, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NAMELESS = "unnamed"


def load_config(
    path: Path | str | None = None,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    search: bool = True,
    locations: Locations | None = None,
) -> Config:
    """The configuration from `path`, else from the first place that has one, with `flags` over it.

    `flags` are those of `runscaler.config.flags`, by name, as text or typed; None is not given.
    `environ` is the process's unless given. `search = False` reads no file but `path`. Raises
    `ConfigError` with every finding at once (`UsageError` where a flag is among them); what was put
    up with is in `Config.warnings`.
    """
    environ = os.environ if environ is None else environ
    locations = locations or Locations.of(environ)
    problems = Problems()
    given = flag_layer(flags or {})
    document = _document(path, given, locations, problems, search=search)
    if document is None and problems.any_error:
        problems.raise_errors()
    config = _Loading(document, given, environ, locations, problems).run()
    problems.raise_errors()
    return config.model_copy(update={"warnings": problems.warnings})


def _document(
    path: Path | str | None, given: Layer, locations: Locations, problems: Problems, *, search: bool
) -> Document | None:
    if path is None:
        return find_document(locations, problems) if search else None
    try:
        named = expanded(str(path))
    except ValueError as error:
        problems.error(Where(str(path)), str(error), fixes=["correct the path"])
        return None
    if not named.exists() and ("url",) in given and ("name",) in given:
        problems.warn(Where(str(named)), "there is no such file: the flags alone are used")
        return None
    return read_document(named, locations, problems)


class _Loading:
    """One run of `load_config`, from layers to the model."""

    def __init__(
        self,
        document: Document | None,
        given: Layer,
        environ: Mapping[str, str],
        locations: Locations,
        problems: Problems,
    ) -> None:
        self._document = document
        self._environ = environ
        self._locations = locations
        self._problems = problems
        self._layers = Layers() if document is None else read_layers(document, problems)
        if document is not None:
            warn_of_readers((self._layers.top, *self._layers.sets), document.mode, problems)
        if self._layers.is_multi:
            refuse_identity(given, f"[[{SETS}]]", problems)
        self._layers.top = override(self._layers.top, given)
        folder = Path() if document is None else document.path.parent
        self._credentials = Credentials(environ, folder, problems, is_multi=self._layers.is_multi)

    def run(self) -> Config:
        sets = [self._scale_set(layer, place) for layer, place in self._set_layers()]
        self._credentials.finish()
        check_unique(sets, self._problems)
        return self._config([checked.settings for checked in sets])

    def _set_layers(self) -> list[tuple[Layer, Where]]:
        layers = self._layers
        if layers.is_multi:
            own = zip(layers.sets, layers.places, strict=True)
            return [(inherit(layers.top, layer), place) for layer, place in own]
        place = Where("") if self._document is None else self._document.where()
        return [(set_part(layers.top), place)]

    def _scale_set(self, layer: Layer, place: Where) -> Checked:
        problems = self._problems
        name = self._require(layer, place)
        layer = with_docker_host(layer, self._environ, problems)
        layer = self._credentials.resolve_all(layer, place, name)
        stand_ins: Layer = {("url",): Given("", place), ("name",): Given(_NAMELESS, place)}
        settings, refused = build(ScaleSetSettings, layer, problems, stand_ins=stand_ins, scale_set=name)
        checked = Checked(settings, layer, place, refused)
        check_set(checked, problems)
        return checked

    def _require(self, layer: Layer, place: Where) -> str:
        """Tells what a scale set cannot be without; returns its name for messages."""
        name = layer[("name",)].value if ("name",) in layer else ""
        shown = name if isinstance(name, str) else ""
        missing = [key for key in ("url", "name") if (key,) not in layer or layer[(key,)].value == ""]
        if missing and not layer and self._document is None:
            self._nothing(place)
        elif missing:
            verb = "is" if len(missing) == 1 else "are"
            flags = " and ".join(f"--{key}" for key in missing)
            fixes = [] if self._layers.is_multi else [f"write {' and '.join(missing)} there, or give {flags}"]
            if self._document is None:
                fixes = [f"give {flags}"]
            text = f"{' and '.join(missing)} {verb} missing"
            self._problems.error(place, text, fixes=fixes, scale_set=shown)
        for key in missing:
            layer.pop((key,), None)
        return shown

    def _nothing(self, place: Where) -> None:
        text = f"there is no configuration: neither flags nor any of {self._locations}"
        fixes = [
            "write url, name and token into ./config.toml",
            "give --url and --name, and the token in RUNNER_TOKEN",
        ]
        self._problems.error(place, text, fixes=fixes)

    def _config(self, sets: Sequence[ScaleSetSettings]) -> Config:
        path = None if self._document is None else self._document.path.absolute()
        extra: dict[str, object] = {"path": path, "scale_sets": tuple(sets)}
        config, _ = build(Config, global_part(self._layers.top), self._problems, extra=extra)
        if config.state_dir is None or path is None:
            return config
        return config.model_copy(update={"state_dir": path.parent / config.state_dir})
