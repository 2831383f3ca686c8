"""What goes into the archive for a bug report (docs/behaviour.md § 10.5): it is masked as it is added."""

from __future__ import annotations

import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from re import match
from typing import TYPE_CHECKING

from runscaler.config.base import Settings
from runscaler.config.masked import masked_globals, masked_settings
from runscaler.config.proxy_url import ProxyUrl
from runscaler.config.secret_forms import mask_secret_forms
from runscaler.config.secret_variables import child_environment
from runscaler.config.secrets import Secret
from runscaler.errors import HostError
from runscaler.ops.admin_client import ask, living_sockets
from runscaler.ops.journal import LARGEST_FILE, journal_files
from runscaler.ops.service.host import manager_for
from runscaler.ops.service.layout import Layout
from runscaler.ops.state_dir import kept_runners
from runscaler.ops.validate import check_all, open_checks
from runscaler.private_files import read_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from runscaler.clock import Clock
    from runscaler.config.model import Config
    from runscaler.findings import Finding

LOG_LINES = 500
LOG_BYTES = 2 * 2**20
LOG_SECONDS = 10.0
NO_ENTRIES = "-- No entries --"
"""What journalctl says in place of lines."""
SHORTEST_SECRET = 6
"""Shorter values are not masked: replacing "a" everywhere would make the report unreadable."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the archive, and what it is in a few words."""

    name: str
    about: str
    content: bytes


@dataclass(slots=True)
class Parts:
    """Collects the files. `hidden` are secrets that are known, in addition to those that look like one."""

    hidden: Sequence[str] = ()
    all: list[Part] = field(default_factory=list)

    def add(self, name: str, about: str, text: str) -> None:
        masked = mask_secret_forms(text)
        for value in self.hidden:
            masked = masked.replace(value, Secret.MASK)
        self.all.append(Part(name, about, masked.encode(errors="replace")))

    def add_json(self, name: str, about: str, value: object) -> None:
        self.add(name, about, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def longest_first(secrets: Iterable[str]) -> list[str]:
    """Those that are masked wherever they stand, and their lines, as a key may be cut off."""
    parts = {part for text in secrets for part in (text, *text.splitlines())}
    return sorted((one for one in parts if len(one) >= SHORTEST_SECRET), key=len, reverse=True)


def secrets_of(config: Config) -> list[str]:
    """The values of all secrets in a configuration."""
    return list(_secrets(config))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, ProxyUrl):
        yield from (secret.reveal() for secret in value.secrets())
    elif isinstance(value, Settings):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _secrets(each)


def add_versions(parts: Parts, build: Mapping[str, str]) -> None:
    system = {"platform": platform.platform(), "python": platform.python_implementation()}
    about = "versions of runscaler, its libraries, Python and the system"
    parts.add_json("versions.json", about, {**build, "system": system, "libraries": _libraries()})


def _libraries() -> dict[str, str]:
    """The installed versions of what we depend on; none in a single-file executable."""
    found: dict[str, str] = {}
    with suppress(metadata.PackageNotFoundError):
        for line in metadata.requires("runscaler") or ():
            name = match(r"[A-Za-z0-9._-]+", line)
            if name is not None and "extra ==" not in line:
                with suppress(metadata.PackageNotFoundError):
                    found[name[0]] = metadata.version(name[0])
    return found


def add_config(parts: Parts, config: Config) -> None:
    value = masked_globals(config)
    value["scaleset"] = [masked_settings(one) for one in config.scale_sets]
    where = f" {config.path}" if config.path else ""
    parts.add_json("config.json", f"the configuration{where}: effective settings, no comments", value)


def add_config_errors(parts: Parts, findings: Iterable[Finding]) -> None:
    text = "".join(f"{one.level.value}: {one.message}\n" for one in findings)
    parts.add("config.txt", "why there is no configuration", text)


def add_engines(parts: Parts, config: Config, clock: Clock, version: str) -> None:
    """What the backends' checks say, which begins with the versions of the engines."""
    with open_checks(clock, version) as checks:
        found = check_all(config.scale_sets, checks[:1], clock)
    text = "".join(f"{one.level.value}: [{one.scale_set}] {one.message}\n" for one in found)
    parts.add("engines.txt", "what the engines answer", text)


def add_state(parts: Parts, directories: Sequence[Path]) -> None:
    """What the state directories hold, and what their daemons say."""
    there = [one for one in directories if one.is_dir()]
    for number, directory in enumerate(there, start=1):
        prefix = f"{number}/" if len(there) > 1 else ""
        _add_health(parts, directory, prefix)
        for path in journal_files(directory):
            about = f"journal of a scale set, from {directory}"
            parts.add(f"journal/{prefix}{path.name}", about, _text(path))
        kept = kept_runners(directory)
        names = "".join(f"{name}\n" for name in kept)
        about = f"names of {len(kept)} failed runners; their output stays here (runner logs NAME)"
        parts.add(f"{prefix}kept-outputs.txt", about, names)


def _add_health(parts: Parts, directory: Path, prefix: str) -> None:
    for socket in living_sockets([directory]):
        try:
            parts.add(
                f"{prefix}health.json",
                "what the daemon reports",
                _indented(ask(socket, "/v1/status", {}).body),
            )
        except HostError as error:
            parts.add(f"{prefix}health.txt", "why there is no health report", f"{error}\n")


def _indented(body: bytes) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _text(path: Path) -> str:
    try:
        return read_private(path, LARGEST_FILE).decode(errors="replace")
    except OSError as error:
        return f"cannot be read: {error.strerror or error}\n"


def add_log(parts: Parts, file: Path | None) -> None:
    """The end of the log: of a file, else the service's."""
    if file is not None:
        lines, where = _tail(file), str(file)
    else:
        lines, where = _of_service(), "the service's log"
    if lines:
        parts.add(
            "log.txt", f"the last {len(lines)} lines of {where}", "".join(f"{line}\n" for line in lines)
        )
        return
    said = (
        f"{where}: empty" if file else "the service has no log here; name the file of another with --log FILE"
    )
    parts.add("log.txt", said, f"{said}\n")


def _tail(file: Path) -> list[str]:
    """Raises `HostError`."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - LOG_BYTES))
            return opened.read(LOG_BYTES).decode(errors="replace").splitlines()[-LOG_LINES:]
    except OSError as error:
        raise HostError(f"the log {file} cannot be read: {error.strerror}") from error


def _of_service() -> list[str]:
    """Of the host's service, else of this user's; empty without one."""
    for is_user in (False, True):
        with suppress(HostError, OSError, subprocess.SubprocessError):
            manager = manager_for(Layout.of_this_process(is_user=is_user))
            ended = subprocess.run(
                manager.log_command(follow=False, lines=LOG_LINES),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=LOG_SECONDS,
                check=False,
                env=child_environment(os.environ),
            )
            lines = ended.stdout[-LOG_BYTES:].decode(errors="replace").splitlines()
            if lines and lines != [NO_ENTRIES]:
                return lines
    return []


def write_archive(path: Path, folder: str, parts: Sequence[Part], at: float) -> int:
    """Write the files below `folder` of a new archive that only this user can read; returns its bytes.

    Raises `HostError` if there is such a file, or if it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        fixes = ("name another file: runner report -o FILE",)
        raise HostError(f"the report {path} cannot be written: {error.strerror}", fixes=fixes) from error
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for part in parts:
                entry = tarfile.TarInfo(f"{folder}/{part.name}")
                entry.size, entry.mtime, entry.mode = len(part.content), int(at), 0o600
                archive.addfile(entry, io.BytesIO(part.content))
        return path.stat().st_size
    except OSError as error:
        path.unlink(missing_ok=True)
        raise HostError(f"the report {path} cannot be written: {error.strerror}") from error
