"""`load_config`: a validated `Config` from flags, file, environment and defaults (docs/behaviour.md § 4)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.build import build
from runscaler.config.credentials import Credentials, warn_if_readable_by_others
from runscaler.config.flags import flag_layer, refuse_identity
from runscaler.config.housekeeping import different_ttls, ttl_without_volume
from runscaler.config.layers import Layer, Layers, read_layers
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.config.precedence import global_part, inherit, override, scale_set_part, with_docker_host
from runscaler.config.problems import ConfigValue, Origin, Problems
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
    unset_is_error: bool = True,
) -> Config:
    """Load the configuration from `path`, else from the first default location with a file.

    `flags` override the file: those of `runscaler.config.flags`, by name, as text or typed; None means not
    given. `environ` defaults to the process's environment. With `search=False` no file but `path` is read,
    which must be there.
    With `unset_is_error=False` the unset variable of an `env:NAME` is a warning, for checks on another host.
    Raises `ConfigError` with all errors (`UsageError` if one is about a flag). Warnings are in
    `Config.warnings`.
    """
    environ = os.environ if environ is None else environ
    locations = locations or Locations.of(environ)
    problems = Problems()
    given = flag_layer(flags or {})
    document = _document(path, given, locations, problems, search=search)
    if document is None and problems.any_error:
        problems.raise_errors()
    loading = _Loading(document, given, environ, locations, problems, unset_is_error=unset_is_error)
    config = loading.run()
    problems.raise_errors()
    sets = config.scale_sets
    warnings = [*problems.warnings, *different_ttls(sets), *ttl_without_volume(sets)]
    return config.model_copy(update={"warnings": tuple(warnings)})


def _document(
    path: Path | str | None, given: Layer, locations: Locations, problems: Problems, *, search: bool
) -> Document | None:
    if path is None:
        return find_document(locations, problems) if search else None
    try:
        named = expanded(str(path))
    except ValueError as error:
        problems.error(Origin(str(path)), str(error), fixes=["correct the path"])
        return None
    if search and not named.exists() and ("url",) in given and ("name",) in given:
        problems.warn(Origin(str(named)), "there is no such file; using only the flags")
        return None
    return read_document(named, locations, problems)


class _Loading:
    """One call of `load_config`, from the layers to the model."""

    def __init__(
        self,
        document: Document | None,
        given: Layer,
        environ: Mapping[str, str],
        locations: Locations,
        problems: Problems,
        *,
        unset_is_error: bool,
    ) -> None:
        self._document = document
        self._environ = environ
        self._locations = locations
        self._problems = problems
        self._layers = Layers() if document is None else read_layers(document, problems)
        if document is not None:
            warn_if_readable_by_others((self._layers.top, *self._layers.sets), document.mode, problems)
        if self._layers.is_multi:
            refuse_identity(given, f"[[{SETS}]]", problems)
        self._layers.top = override(self._layers.top, given)
        self._folder = Path() if document is None else document.path.parent
        self._credentials = Credentials(
            environ, self._folder, problems, is_multi=self._layers.is_multi, unset_is_error=unset_is_error
        )

    def run(self) -> Config:
        sets = [self._scale_set(layer, start) for layer, start in self._set_layers()]
        self._credentials.finish()
        check_unique(sets, self._problems)
        return self._config([checked.settings for checked in sets])

    def _set_layers(self) -> list[tuple[Layer, Origin]]:
        layers = self._layers
        if layers.is_multi:
            own = zip(layers.sets, layers.origins, strict=True)
            return [(inherit(layers.top, layer), start) for layer, start in own]
        start = Origin("") if self._document is None else self._document.origin()
        return [(scale_set_part(layers.top), start)]

    def _scale_set(self, layer: Layer, start: Origin) -> Checked:
        problems = self._problems
        is_nothing = not layer and self._document is None  # then a missing token is not worth a line
        name = self._check_required(layer, start)
        layer = with_docker_host(layer, self._environ, problems)
        if not is_nothing:
            layer = self._credentials.resolve_all(layer, start, name)
        placeholders: Layer = {("url",): ConfigValue("", start), ("name",): ConfigValue(_NAMELESS, start)}
        settings, refused = build(
            ScaleSetSettings, layer, problems, placeholders=placeholders, scale_set=name
        )
        if settings.ca:
            ca = (self._folder / expanded(settings.ca)).absolute()
            settings = settings.model_copy(update={"ca": str(ca)})
        checked = Checked(settings, layer, start, refused)
        check_set(checked, problems)
        return checked

    def _check_required(self, layer: Layer, start: Origin) -> str:
        """Report missing required keys; returns the scale set's name for messages."""
        name = layer[("name",)].value if ("name",) in layer else ""
        shown = name if isinstance(name, str) else ""
        missing = [key for key in ("url", "name") if (key,) not in layer or layer[(key,)].value == ""]
        if missing and not layer and self._document is None:
            self._report_no_configuration(start)
        elif missing:
            verb = "is" if len(missing) == 1 else "are"
            flags = " and ".join(f"--{key}" for key in missing)
            fixes = [] if self._layers.is_multi else [f"set {' and '.join(missing)} there, or use {flags}"]
            if self._document is None:
                fixes = [f"use {flags}"]
            text = f"{' and '.join(missing)} {verb} missing"
            self._problems.error(start, text, fixes=fixes, scale_set=shown)
        for key in missing:
            layer.pop((key,), None)
        return shown

    def _report_no_configuration(self, start: Origin) -> None:
        text = f"there is no configuration: neither flags nor any of {self._locations}"
        fixes = [
            "write one: runner init",
            "write url, name and token into ./config.toml",
            "use --url and --name, and put the token into the variable RUNNER_TOKEN",
        ]
        self._problems.error(start, text, fixes=fixes)

    def _config(self, sets: Sequence[ScaleSetSettings]) -> Config:
        path = None if self._document is None else self._document.path.absolute()
        extra: dict[str, object] = {"path": path, "scale_sets": tuple(sets)}
        config, _ = build(Config, global_part(self._layers.top), self._problems, extra=extra)
        if config.state_dir is None or path is None:
            return config
        return config.model_copy(update={"state_dir": path.parent / config.state_dir})
