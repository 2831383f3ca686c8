"""What `runner init` takes for [app], checked as far as this host can tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.private_keys import UnusableKey, as_reference, usable_key
from runscaler.config.secrets import Unresolved, expanded, intended_reference, is_reference, resolve
from runscaler.config.urls import InvalidUrl, Kind, parse_config_url
from runscaler.config.values import app_id

if TYPE_CHECKING:
    from collections.abc import Mapping


def takes_app(url: str) -> bool:
    """GitHub takes no App for an enterprise."""
    try:
        return parse_config_url(url).kind is not Kind.ENTERPRISE
    except InvalidUrl:
        return True


def client_id_problem(text: str) -> str:
    """Why this is no id of an App; empty if it may be one."""
    try:
        app_id(text)
    except ValueError:
        return "this is no App's id: give it as the App's page shows it"
    return ""


def key_problem(text: str, environ: Mapping[str, str]) -> str:
    """Why the key cannot be used; empty if it can, or if only the daemon's host can tell: what a reference
    names need not be here yet. Nothing of a key is in it."""
    if "-----" in text:
        return "give the path of the key's file, not the key: other programs see what is typed here"
    try:
        reference = as_reference(text)
        usable_key(resolve(reference, environ, Path()), reference)
    except Unresolved as error:
        is_certain = isinstance(error, UnusableKey) or intended_reference(text) or not is_reference(text)
        return str(error) if is_certain else ""
    return ""


def key_as_written(text: str) -> str:
    """A path starts here, but one in the configuration beside that file: so it is written as a whole."""
    return text if is_reference(text) else str(expanded(text).absolute())
