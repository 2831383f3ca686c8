"""scripts/install.sh against a release host on loopback, run by the shells that people have as `sh`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.missing import missing
from support.releases import ReleaseServer, archive_of, crashing, member, program
from support.wire_server import answer

import runscaler

SCRIPT = Path(runscaler.__file__).parents[1] / "scripts" / "install.sh"
SHELLS = {"dash": ("dash",), "bash": ("bash", "--posix"), "busybox": ("busybox", "sh")}


@pytest.fixture(params=SHELLS)
def shell(request):
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        missing(f"the shell {words[0]}")
    return words


@pytest.fixture
def releases():
    with ReleaseServer() as server:
        yield server


@pytest.fixture
def install(shell, releases, tmp_path):
    """`install(INSTALL_DIR="…")` runs the script with no more than these variables."""

    def run(path: str = "/usr/bin:/bin", **variables: str) -> subprocess.CompletedProcess[str]:
        found = {"PATH": path, "HOME": str(tmp_path), "RUNNER_RELEASES": releases.address, **variables}
        words = [shutil.which(shell[0]), *shell[1:], str(SCRIPT)]
        return subprocess.run(words, env=found, capture_output=True, text=True, timeout=60, check=False)

    return run


def version_of(executable: Path) -> str:
    words = [executable, "version", "--short"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def test_the_newest_release_is_installed_into_the_users_own_folder(install, releases, tmp_path):
    releases.publish("1.2.3")

    ended = install()

    installed = tmp_path / ".local" / "bin" / "runner"
    assert ended.returncode == 0, ended.stderr
    assert f"runner 1.2.3 is installed: {installed}" in ended.stdout
    assert f"{installed.parent} is not in PATH" in ended.stdout
    assert version_of(installed) == "1.2.3"
    assert [path.name for path in installed.parent.iterdir()] == ["runner"]


@pytest.mark.parametrize("named", ["1.0.0", "v1.0.0"])
def test_a_version_can_be_named_with_or_without_v(install, releases, tmp_path, named):
    releases.publish("1.2.3")
    releases.publish("1.0.0")
    folder = tmp_path / "my tools"

    ended = install(
        f"/usr/bin:/bin:{folder}",
        INSTALL_DIR=str(folder),
        RUNNER_VERSION=named,
        RUNNER_RELEASES=f"{releases.address}/",
    )

    assert ended.returncode == 0, ended.stderr
    assert version_of(folder / "runner") == "1.0.0"
    assert "not in PATH" not in ended.stdout


LINK = b"2"


@pytest.mark.parametrize(
    ("published", "why"),
    [
        ({"checksum": "0" * 64}, "has the checksum"),
        ({"serve": answer(None, 404)}, "cannot be downloaded"),
        ({"archive": b"no archive"}, "is damaged"),
        ({"archive": archive_of((member("other"), b"x"))}, "is damaged"),
        ({"archive": archive_of((member("runner", LINK, "/bin/true"), b""))}, "does not hold the file"),
        ({"executable": crashing()}, "does not run on this machine"),
    ],
)
def test_whatever_is_wrong_the_installed_one_stays(install, releases, tmp_path, published, why):
    releases.publish("1.2.3", **published)
    installed = tmp_path / "runner"
    installed.write_bytes(program("1.0.0"))
    installed.chmod(0o755)

    ended = install(INSTALL_DIR=str(tmp_path))

    assert ended.returncode == 1
    assert why in ended.stderr
    assert ended.stderr.rpartition("error: ")[2].count("\n") <= 2
    assert version_of(installed) == "1.0.0"
    assert [path.name for path in tmp_path.iterdir()] == ["runner"]


@pytest.mark.parametrize("named", ["../../etc", "1.0; true", "$(id)"])
def test_a_version_that_is_none_is_refused_before_anything_is_asked_for(install, releases, named):
    ended = install(RUNNER_VERSION=named)

    assert (ended.returncode, "is no version" in ended.stderr) == (1, True)
    assert releases.wire.seen == []


def test_wget_does_where_there_is_no_curl(install, releases, tmp_path):
    if shutil.which("wget") is None:
        missing("the program wget")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in (
        "uname",
        "tr",
        "mkdir",
        "mktemp",
        "rm",
        "wget",
        "awk",
        "sha256sum",
        "tar",
        "gzip",
        "chmod",
        "mv",
    ):
        (tools / name).symlink_to(shutil.which(name))
    releases.publish("1.2.3")

    ended = install(str(tools), INSTALL_DIR=str(tmp_path / "bin"))

    assert ended.returncode == 0, ended.stderr
    assert version_of(tmp_path / "bin" / "runner") == "1.2.3"


def test_a_script_that_was_cut_off_does_nothing(shell, releases, tmp_path):
    releases.publish("1.2.3")
    text = SCRIPT.read_text()
    words = [*shell, "-c", text[: text.rindex("main")]]
    variables = {**os.environ, "HOME": str(tmp_path), "RUNNER_RELEASES": releases.address}

    subprocess.run(words, env=variables, capture_output=True, timeout=60, check=False)

    assert list(tmp_path.iterdir()) == []
    assert releases.wire.seen == []
