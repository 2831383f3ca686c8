from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.config.load import load_config
from runscaler.config.state_dir import resolve_state_dir, state_name

if TYPE_CHECKING:
    from conftest import Load

SINGLE = 'url = "https://github.com/o"\nname = "n"\n'
USER = Path("/home/me/.local/state/runscaler")


def test_an_explicit_one_is_the_only_one(load: Load) -> None:
    config = load(f'state-dir = "/state"\n{SINGLE}')

    assert resolve_state_dir(config, environ={"STATE_DIRECTORY": "/x"}, uid=0) == (Path("/state"),)


def test_the_default_depends_on_the_service_manager_and_the_user(load: Load, tmp_path: Path) -> None:
    config = load(SINGLE)
    name = state_name(config)
    beside = tmp_path / f".{name}.state"

    service = resolve_state_dir(config, environ={"STATE_DIRECTORY": "/var/lib/a:/b"}, uid=5, user_state=USER)
    root = resolve_state_dir(config, environ={}, uid=0, user_state=USER)
    user = resolve_state_dir(config, environ={}, uid=1000, user_state=USER)

    assert service == (Path("/var/lib/a") / name, beside)
    assert root == (Path("/var/lib/runscaler") / name, beside)
    assert user == (USER / name, beside)


def test_each_file_has_a_name_of_its_own_that_stays(load: Load, tmp_path: Path) -> None:
    first = load(SINGLE)
    other = tmp_path / "other.toml"
    other.write_text(SINGLE)

    second = load_config(other, environ={"RUNNER_TOKEN": "x"})

    assert state_name(first) == state_name(load(f"max-runners = 1\n{SINGLE}"))
    assert state_name(first).startswith("config-")
    assert state_name(second) != state_name(first)


def test_flags_alone_are_named_by_urls_and_names() -> None:
    def name(url: str, scale_set: str) -> str:
        flags = {"url": url, "name": scale_set}
        return state_name(load_config(flags=flags, environ={"RUNNER_TOKEN": "x"}, search=False))

    assert name("https://github.com/o", "My Set").startswith("my-set-")
    assert name("https://github.com/o", "a") == name("https://github.com/O/", "A")
    assert name("https://github.com/o", "a") != name("https://github.com/p", "a")
