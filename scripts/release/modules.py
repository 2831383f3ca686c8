"""The Python modules of the single-file executable, compiled, and those in C."""

from __future__ import annotations

import marshal
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distributions
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "runscaler"
HERE = Path(__file__).parent
NOT_BUNDLED = frozenset(("pip", "setuptools", "wheel", "runscaler"))
NOT_BUNDLED |= {"pyinstaller", "pyinstaller-hooks-contrib", "altgraph", "macholib"}
"""Distributions of the build environment that the program does not use; its own comes from ROOT."""
SKIPPED_FOLDERS = {"__pycache__", "lib-dynload", "site-packages", "dist-packages", "test", "tests"}
SKIPPED_FOLDERS |= {"curses", "dbm", "sqlite3", "tkinter", "turtledemo", "idlelib", "lib2to3", "pydoc_data"}
SKIPPED_FOLDERS |= {"ensurepip", "venv", "wsgiref"}
SKIPPED_EXTENSIONS = (
    "_test",
    "_xx",
    "xx",
    "_tkinter",
    "_curses",
    "_crypt",
    "_dbm",
    "_gdbm",
    "_sqlite3",
    "nis",
)
SKIPPED_EXTENSIONS += ("ossaudiodev", "readline", "spwd", "_ctypes_test", "audioop")
UNCHECKED = (1).to_bytes(4, "little") + bytes(8)
"""A .pyc file's flags: it is valid whatever its source is."""
SCRIPTS = ("simulator/agent.py", "testing/fake_tart/__main__.py")
"""Files of the package that are run as scripts: their text is needed."""
PAGES = "web/dashboard"


def pages() -> list[str]:
    """The files of the dashboard, which are served as they are."""
    return sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / PAGES).iterdir())


def program_distributions() -> list[Distribution]:
    """What is installed in the build environment for the program."""
    found = {each.name.lower(): each for each in distributions(path=[sysconfig.get_path("purelib")])}
    return [each for name, each in sorted(found.items()) if name not in NOT_BUNDLED]


def python_files(commit: str, date: str) -> Iterator[tuple[str, bytes]]:
    """Names and contents of everything in the archive but `bundle_index`, which is known last."""
    yield from _compiled_tree(Path(sysconfig.get_path("stdlib")), "")
    for distribution in program_distributions():
        yield from _files_of(distribution)
    yield from _compiled_tree(PACKAGE, "runscaler/")
    yield from _own_metadata()
    for name in (*SCRIPTS, *pages()):
        yield f"runscaler/{name}", (PACKAGE / name).read_bytes()
    yield compiled("runscaler/_build.py", f"COMMIT = {commit!r}\nDATE = {date!r}\n".encode())
    yield compiled("bundle_start.py", (HERE / "bundle_start.py").read_bytes())
    yield compiled("certifi/__init__.py", (HERE / "bundled_certifi.py").read_bytes())


def extensions() -> dict[str, Path]:
    """The modules in C by their full name: the standard library's and the distributions'."""
    dynload = Path(sysconfig.get_path("platstdlib"), "lib-dynload").resolve()
    if not dynload.exists():
        dynload = Path(
            sys.base_prefix, sys.platlibdir, f"python{sysconfig.get_python_version()}", "lib-dynload"
        )
    found = {
        _module_name(path.name): path
        for path in dynload.glob("*.so")
        if not path.name.startswith(SKIPPED_EXTENSIONS)
    }
    for distribution in program_distributions():
        for file in distribution.files or ():
            if file.suffix == ".so":
                found[_module_name(str(file).replace("/", "."))] = Path(str(file.locate()))
    return found


def certificates() -> Path:
    import certifi

    return Path(certifi.where())


def compiled(name: str, source: bytes) -> tuple[str, bytes]:
    """The name and content of the .pyc file for a source file; `name` is what tracebacks show."""
    code = compile(source, name, "exec", dont_inherit=True)
    return f"{name}c", MAGIC_NUMBER + UNCHECKED + marshal.dumps(code)


def commit_and_date() -> tuple[str, str]:
    """The commit that is checked out, with a + if files differ from it, and its date."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if git("status", "--porcelain") else ""), git("log", "-1", "--format=%cI")
    except (OSError, subprocess.CalledProcessError):
        return "unknown", "unknown"


def _compiled_tree(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not (path.name in SKIPPED_FOLDERS or path.name.startswith("config-")):
                yield from _compiled_tree(path, f"{prefix}{path.name}/")
        elif path.suffix == ".py":
            yield compiled(prefix + path.name, path.read_bytes())


def _files_of(distribution: Distribution) -> Iterator[tuple[str, bytes]]:
    for file in distribution.files or ():
        name, path = str(file), Path(str(file.locate()))
        if name.startswith((".", "certifi/")) or file.suffix in (".so", ".pyc", ".pyi") or not path.is_file():
            continue
        if file.suffix != ".py":
            yield name, path.read_bytes()
        elif not set(file.parts) & {"tests", "test"}:
            yield compiled(name, path.read_bytes())


def _own_metadata() -> Iterator[tuple[str, bytes]]:
    """With it, backends that other distributions register are looked up as in any installation."""
    from runscaler import __version__

    folder = f"runscaler-{__version__}.dist-info"
    yield f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: runscaler\nVersion: {__version__}\n".encode()
    yield f"{folder}/INSTALLER", b"bundle\n"


def _module_name(path: str) -> str:
    """`pydantic_core._pydantic_core.cpython-311-x86_64-linux-gnu.so` without what follows the name."""
    parts = path.removesuffix(".so").split(".")
    return ".".join(part for part in parts if not part.startswith("cpython-") and part != "abi3")
