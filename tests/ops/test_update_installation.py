"""How the program was installed, and the command that updates it then."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from runscaler.ops.update.installation import Installer, installation_in, this_installation

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = json.dumps({"url": "file:///src/my%20runscaler", "dir_info": {}})
EDITABLE = json.dumps({"url": "file:///src/runscaler", "dir_info": {"editable": True}})
FROM_GIT = json.dumps({"url": "https://git.example/r", "vcs_info": {"vcs": "git", "commit_id": "a"}})

PYTHON = "{prefix}/bin/python -m pip install --upgrade"


@pytest.mark.parametrize(
    ("marker", "direct_url", "installer", "newest", "named"),
    [
        ("pipx_metadata.json", "", "pipx", "pipx upgrade runscaler", "pipx install --force runscaler==1.2.3"),
        (
            "uv-receipt.toml",
            "",
            "uv",
            "uv tool upgrade runscaler",
            "uv tool install --force runscaler==1.2.3",
        ),
        ("", "", "pip", f"{PYTHON} runscaler", f"{PYTHON} runscaler==1.2.3"),
        ("", FROM_GIT, "pip", f"{PYTHON} runscaler", f"{PYTHON} runscaler==1.2.3"),
        ("", EDITABLE, "checkout", "git -C /src/runscaler pull", "git -C /src/runscaler pull"),
    ],
)
def test_each_installer_has_its_own_command(
    tmp_path: Path, marker: str, direct_url: str, installer: str, newest: str, named: str
) -> None:
    if marker:
        (tmp_path / marker).touch()

    found = installation_in(tmp_path, direct_url)

    assert found.installer == installer
    assert found.commands() == (newest.format(prefix=tmp_path),)
    assert found.commands("1.2.3") == (named.format(prefix=tmp_path),)


@pytest.mark.parametrize("marker", ["pipx_metadata.json", "uv-receipt.toml", "none"])
def test_what_was_installed_from_a_checkout_is_updated_from_it(tmp_path: Path, marker: str) -> None:
    (tmp_path / marker).touch()

    pull, install = installation_in(tmp_path, LOCAL).commands()

    assert pull == "git -C '/src/my runscaler' pull"
    assert install.endswith(" '/src/my runscaler'")


@pytest.mark.parametrize("text", ["[]", "{", '{"url": 5}', '{"url": "file:///x", "dir_info": 7}'])
def test_a_spoiled_record_counts_as_none(tmp_path: Path, text: str) -> None:
    assert installation_in(tmp_path, text).source == ""


def test_the_container_image_says_that_it_is_one() -> None:
    found = this_installation({"RUNNER_CONTAINER": "1"})

    assert found.installer is Installer.CONTAINER
    assert found.commands() == ("docker compose pull", "docker compose up --detach")


def test_the_single_file_executable_is_found_behind_its_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runner-1").touch()
    (tmp_path / "runner").symlink_to("runner-1")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "runner"))

    found = this_installation({})

    assert (found.installer, found.path) == (Installer.EXECUTABLE, tmp_path / "runner-1")
