"""What the commands that use the admin socket share: how they find the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runscaler.findings import Finding


def daemon_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--config` and `--state-dir`, to be given to `admin_socket`."""
    command = click.option(
        "--state-dir",
        type=click.Path(file_okay=False),
        metavar="PATH",
        help="State directory of the daemon, if the configuration does not tell.",
    )(command)
    return click.option(
        "--config", type=click.Path(readable=False), metavar="PATH", help="Configuration of the daemon."
    )(command)


def admin_socket(ctx: click.Context, config: str | None, state_dir: str | None) -> Path:
    """The socket of the daemon that is meant. Raises `HostError` if none answers, or several do."""
    from runscaler.ops.admin_client import choose

    return choose(state_directories(ctx, config, state_dir))


def state_directories(ctx: click.Context, config: str | None, state_dir: str | None) -> list[Path]:
    """Where the state of the daemon may be: that directory, those of that configuration, or all there are."""
    from pathlib import Path

    from runscaler.ops.state_path import state_directories

    if state_dir is not None:
        return [Path(state_dir)]
    given = config or ctx.find_root().params.get("config")
    return _of_config(Path(given)) if given else state_directories()


def _of_config(path: Path) -> list[Path]:
    """Raises `ConfigError` if the configuration cannot be read."""
    import os
    from pathlib import Path

    from runscaler.config.problems import Problems
    from runscaler.config.sources import Locations, read_document
    from runscaler.errors import ConfigError
    from runscaler.ops.state_path import ConfigFile, candidates

    found = Problems()
    document = read_document(path, Locations.of(os.environ), found)
    if document is None:
        raise ConfigError(found.errors)
    named = document.data.get("state-dir")
    return candidates(ConfigFile(path, Path(named) if isinstance(named, str) else None))


def change(socket: Path, what: str, scale_set: str) -> list[str]:
    """Drain or resume; returns the names of the scale sets. Raises `HostError` with the daemon's reason."""
    names = _asked(socket, what, {"scale_set": scale_set})
    return [str(name) for name in names]


def reload_configuration(socket: Path) -> list[str]:
    """Returns what is different. Raises `ConfigError` if it cannot be used, `HostError` if none answers."""
    return [str(line) for line in _asked(socket, "reload", {}, "changes")]


def scale_sets(socket: Path) -> list[dict[str, object]]:
    """All scale sets, as the health report shows them."""
    return [one for one in _asked(socket, "status", {}) if isinstance(one, dict)]


def _asked(socket: Path, what: str, body: dict[str, object], key: str = "scale_sets") -> list[object]:
    """That list in the daemon's answer. Raises what it refuses with."""
    from runscaler.errors import ConfigError, HostError
    from runscaler.ops.admin_client import ask

    answer = ask(socket, f"/v1/{what}", body)
    found, findings = answer.value(key), answer.value("findings")
    if answer.ok and isinstance(found, list):
        return found
    if isinstance(findings, list):
        raise ConfigError([_error(one) for one in findings if isinstance(one, dict)])
    raise HostError(str(answer.value("error") or f"the daemon answers {answer.status}"))


def _error(told: dict[str, object]) -> Finding:
    from runscaler.findings import Finding, Level

    fixes = told.get("fixes")
    return Finding(
        Level.ERROR,
        str(told.get("message")),
        tuple(map(str, fixes)) if isinstance(fixes, list) else (),
        str(told.get("scale_set") or ""),
    )
