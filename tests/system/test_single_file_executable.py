"""The single-file executable, built here and run without Python, variables and a writable disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from release.bundle import Bundle
from support.daemon import wait_until
from support.missing import missing
from support.releases import ARCHIVE, ReleaseServer

import runscaler
from runscaler.platform_names import platform_name
from runscaler.web.pages import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(600)

ROOT = Path(runscaler.__file__).parents[1]
READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
while read -r _ point _; do
    case $point in
        /proc | /proc/* | /sys | /sys/* | "$1") ;;
        *) mount -o remount,ro,bind "$point" 2> /dev/null || true ;;
    esac
done < /proc/self/mounts
for folder in /tmp /var/tmp /dev/shm "$HOME" /; do
    if (touch "$folder/writable") 2> /dev/null; then echo "$folder can be written to"; exit 99; fi
done
cd "$1"
shift
exec env -i "$@"
"""


def run(
    *words: str, cwd: str | Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=env)


@pytest.fixture
def executable(release: Path) -> Path:
    return release / "runner"


@pytest.fixture
def config_folder(executable: Path) -> Iterator[Path]:
    """A folder with the executable and nothing else, on no file system for temporary files."""
    folder = Path("/var/lib") / f"runscaler-test-{os.getpid()}"
    try:
        folder.mkdir()
    except PermissionError:
        missing("root, to make a mount namespace")
    shutil.copy(executable, folder)
    yield folder
    shutil.rmtree(folder)


def test_it_needs_no_variables_and_no_python(executable: Path) -> None:
    ended = run("env", "-i", str(executable), "version", "--json", cwd="/")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["version"] == runscaler.__version__
    assert json.loads(ended.stdout)["commit"] != "unknown"


def test_it_has_time_zones_of_its_own(executable: Path, tmp_path: Path) -> None:
    window = '{ cron = "0 8 * * *", duration = "1h", timezone = "Europe/Berlin", max-runners = 3 }'
    config = tmp_path / "config.toml"
    config.write_text(f'url = "https://github.com/o"\nname = "n"\ntoken = "t"\nschedule = [{window}]\n')

    ended = run(
        "env", "-i", "PYTHONTZPATH=", str(executable), "validate", "--offline", "--config", str(config)
    )

    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.splitlines()[-1].endswith("Europe/Berlin")


def test_it_takes_nothing_from_the_python_of_the_host(executable: Path, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a module of the host')")
    variables = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path)}

    assert run(str(executable), "version", "--json", env=variables).returncode == 0


@pytest.mark.parametrize("backend", ["process", "tart"])
def test_the_demo_works_in_an_empty_environment(executable: Path, backend: str) -> None:
    words = ("demo", "--backend", backend, "--jobs", "3", "--json")
    ended = run("env", "-i", str(executable), *words, cwd="/")

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["jobs_done"] == 3


def test_the_demo_works_where_only_the_folder_of_the_configuration_can_be_written_to(
    config_folder: Path,
) -> None:
    """As under the Go tool's unit."""
    words = ("./runner", "demo", "--backend", "process", "--jobs", "3", "--json")
    ended = run("unshare", "--mount", "bash", "-c", READ_ONLY, "read-only", str(config_folder), *words)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["jobs_done"] == 3
    assert [path.name for path in config_folder.iterdir()] == ["runner"]


def test_without_a_directory_for_temporary_files_the_demo_says_what_it_needs(config_folder: Path) -> None:
    words = ("sh", "-c", "cd / && exec $0/runner demo --backend process", str(config_folder))
    ended = run("unshare", "--mount", "bash", "-c", READ_ONLY, "read-only", str(config_folder), *words)

    assert ended.returncode == 1
    assert "set TMPDIR" in ended.stderr
    assert "bug" not in ended.stderr


def test_it_serves_the_dashboard(executable: Path) -> None:
    words = ("demo", "--backend", "process", "--jobs", "3000")
    with subprocess.Popen([executable, *words], stdout=subprocess.PIPE, text=True, env={}) as demo:
        try:
            assert demo.stdout is not None
            address = next(line.split()[-1] for line in demo.stdout if line.startswith("dashboard: "))
            wait_until(lambda: _page(address), "the demo's daemon answers")
            for path, name in PAGES.items():
                expected = (ROOT / "runscaler/web/dashboard" / name).read_bytes()
                assert _page(address.rstrip("/") + path) == expected
        finally:
            demo.terminate()
            demo.communicate()


def _page(address: str) -> bytes:
    """Empty while nobody answers."""
    try:
        with urlopen(address) as answer:
            return answer.read()
    except URLError:
        return b""


def test_it_goes_on_when_its_file_is_replaced(executable: Path, tmp_path: Path) -> None:
    """An update exchanges the file below a daemon that still imports modules."""
    (tmp_path / "script.py").write_text(
        "import os, sys\nos.replace(sys.argv[1], sys.executable)\nimport decimal, runscaler.autoscaler, ssl\n"
        "print(decimal.Decimal(1), runscaler.__version__)\n"
    )
    shutil.copy(executable, tmp_path / "runner")
    (tmp_path / "other").write_bytes(b"something else")

    ended = run(str(tmp_path / "runner"), "_python", str(tmp_path / "script.py"), str(tmp_path / "other"))

    assert ended.stdout == f"1 {runscaler.__version__}\n", ended.stderr
    assert (tmp_path / "runner").read_bytes() == b"something else"


def test_a_file_that_was_cut_off_says_so(executable: Path, tmp_path: Path) -> None:
    cut = tmp_path / "runner"
    cut.write_bytes(executable.read_bytes()[:300_000])
    cut.chmod(0o755)

    ended = run(str(cut), "version")

    assert ended.returncode == 1
    assert "this executable is cut off" in ended.stderr


@pytest.mark.parametrize("name", ["runner", "runscaler"])
def test_each_archive_holds_the_executable_under_its_name(release: Path, name: str) -> None:
    with tarfile.open(release / f"{name}-{platform_name()}.tar.gz") as archive:
        (member,) = archive.getmembers()
        packed = archive.extractfile(member)
        assert packed is not None
        content = packed.read()

    assert (member.name, member.mode) == (name, 0o755)
    assert content == (release / "runner").read_bytes()


def test_the_checksums_are_those_of_the_archives_and_of_nothing_else(release: Path) -> None:
    lines = (release / "checksums.txt").read_text().splitlines()

    assert lines == [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
        for path in sorted(release.glob("*.tar.gz"))
    ]
    assert len(lines) == 2


def test_the_bill_of_materials_names_every_dependency(release: Path) -> None:
    bill = json.loads((release / f"runner-{platform_name()}.cdx.json").read_text())
    names = {component["name"] for component in bill["components"]}

    assert bill["bomFormat"] == "CycloneDX"
    assert {"cpython", "pydantic-core", "click", "certifi"} - {
        name.replace("_", "-") for name in names
    } == set()
    assert not names & {"pytest", "pip"}


def test_the_glibc_that_it_needs_counts_every_file_in_it(tmp_path: Path) -> None:
    """The launcher too, which may be all that needs a new one."""
    bundle = Bundle(tmp_path)
    (tmp_path / "launcher").write_bytes(b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_PRIVATE\0")

    assert bundle.glibc_version() == (2, 34)


def test_a_newer_glibc_than_allowed_fails_the_build(release: Path, tmp_path: Path) -> None:
    built = run("scripts/build-release", "--output", str(tmp_path), "--glibc", "2.1", cwd=ROOT)

    assert built.returncode == 1
    assert "build it on an older system" in built.stderr
    assert list(tmp_path.iterdir()) == []


def serve(releases: ReleaseServer, release: Path, version: str) -> None:
    releases.publish(version, archive=(release / ARCHIVE).read_bytes())


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_install_script_installs_it(release: Path, tmp_path: Path, shell: str) -> None:
    with ReleaseServer() as releases:
        serve(releases, release, runscaler.__version__)
        variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RUNNER_RELEASES": releases.address}

        ended = run(shell, "scripts/install.sh", cwd=ROOT, env=variables)

    assert ended.returncode == 0, ended.stderr
    assert run(str(tmp_path / ".local" / "bin" / "runner"), "version", "--short", env={}).stdout.strip() == (
        runscaler.__version__
    )


def test_it_updates_itself(release: Path, tmp_path: Path) -> None:
    """To a program that stands for a newer release."""
    installed = tmp_path / "runner"
    shutil.copy(release / "runner", installed)
    with ReleaseServer() as releases:
        releases.publish("99.0.0")
        variables = {"RUNNER_RELEASES": releases.address}
        looked = run(str(installed), "update", "--check", "--json", env=variables)
        ended = run(str(installed), "update", env=variables)

    assert json.loads(looked.stdout)["release"] == "99.0.0", looked.stderr
    assert ended.returncode == 0, ended.stderr
    assert run(str(installed), "version", "--short", env={}).stdout == "99.0.0\n"


def test_a_release_that_says_another_version_leaves_it_in_place(release: Path, tmp_path: Path) -> None:
    installed = tmp_path / "runner"
    shutil.copy(release / "runner", installed)
    with ReleaseServer() as releases:
        serve(releases, release, "99.0.0")
        ended = run(str(installed), "update", env={"RUNNER_RELEASES": releases.address})

    assert ended.returncode == 1
    assert "says that it is another version" in ended.stderr
    assert installed.read_bytes() == (release / "runner").read_bytes()
