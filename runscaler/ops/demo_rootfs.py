"""The root file system of the demo image: this host's Python, a shell and the runner agent.

This module decides on paths and contents; `demo_image` imports the result into the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

from runscaler.config.secret_variables import child_environment
from runscaler.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORMAT_VERSION = "2"
"""Change this when other contents or another configuration are made from the same source files."""
RUNNER_UID, RUNNER_GID = 1001, 123
PYTHON_HOME = "usr/local"
SKIPPED_FOLDERS = frozenset(
    (
        "__pycache__",
        "dist-packages",
        "ensurepip",
        "idlelib",
        "lib-dynload",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "tkinter",
        "turtledemo",
    )
)
SKIPPED_MODULES = re.compile(r"^(_test|_tkinter|_ctypes_test|xx|_xx)")
SHELL_TOOLS = ("cat", "date", "echo", "env", "head", "id", "ls", "rm", "seq", "sh", "sleep", "tail", "true")
LDD_LINE = re.compile(r"(?:=>\s+|^\s*)(/\S+)\s+\(0x", re.MULTILINE)
NAME_SERVICES = ("libnss_files.so.2", "libnss_dns.so.2")
"""glibc before 2.34 opens these at run time, so `ldd` does not list them."""

PASSWD = f"root:x:0:0:root:/root:/bin/sh\nrunner:x:{RUNNER_UID}:{RUNNER_GID}::/home/runner:/bin/sh\n"
GROUP = f"root:x:0:\ndocker:x:{RUNNER_GID}:\n"
RUN_SH = """\
#!/bin/sh
# Like GitHub's run.sh, react to signals only if RUNNER_MANUALLY_TRAP_SIG is set.
cd /home/runner || exit 1
[ -n "$RUNNER_MANUALLY_TRAP_SIG" ] || trap '' TERM INT
exec /usr/local/bin/python3 /home/runner/agent.py "$@"
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of the image, without leading slash: a copied file, a text, a symbolic link or a directory."""

    path: str
    source: Path | None = None
    content: bytes | None = None
    link: str = ""
    mode: int = 0o755
    uid: int = 0
    gid: int = 0

    @property
    def fingerprint(self) -> str:
        """Changes when the entry changes; a copied file is identified by size and modification time."""
        text = hashlib.sha256(self.content).hexdigest() if self.content is not None else self.link
        if self.source is not None:
            stat = self.source.stat()
            text = f"{stat.st_size} {stat.st_mtime_ns}"
        return f"{self.path} {text} {self.mode} {self.uid} {self.gid}"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python interpreter on this host, as it describes itself."""

    executable: Path
    stdlib: Path
    extensions: Path
    home_folder: str
    """Path of the standard library below PYTHONHOME, such as "lib/python3.11"."""


def entries() -> list[Entry]:
    """All files of the image. Raises `BackendError` if this host has no usable Python or no `ldd`."""
    python = find_interpreter()
    programs = [Entry(f"{PYTHON_HOME}/bin/python3", python.executable), *_shell()]
    library = list(_library(python))
    binaries = [one.source for one in (*programs, *library) if _is_binary(one)]
    unique = {one.path: one for one in (*_base_files(), *programs, *library, *_shared_libraries(binaries))}
    return [*_parents(unique), *unique.values()]


def fingerprint(all_entries: Iterable[Entry]) -> str:
    """12 hex digits; images with equal fingerprints have the same contents."""
    text = "\n".join([FORMAT_VERSION, *(entry.fingerprint for entry in all_entries)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write_archive(all_entries: Iterable[Entry], target: IO[bytes]) -> None:
    with tarfile.open(fileobj=target, mode="w") as archive:
        for entry in all_entries:
            _add(archive, entry)


def find_interpreter() -> Interpreter:
    """The running interpreter; in a frozen program `python3` from PATH."""
    found = shutil.which("python3") if getattr(sys, "frozen", False) else sys.executable
    if not found or not sys.platform.startswith("linux"):
        raise BackendError(
            "the demo image is built from this host's Python, and this host has no Python for Linux",
            fixes=("run the demo without containers: runner demo --backend process",),
        )
    executable = Path(found).resolve()
    facts = json.loads(_output([str(executable), "-I", "-c", _DESCRIBE]))
    return Interpreter(executable, Path(facts["stdlib"]), Path(facts["extensions"]), facts["home_folder"])


_DESCRIBE = """
import json, sys, sysconfig
stdlib = sysconfig.get_path("stdlib")
extensions = [path for path in sys.path if path.endswith("lib-dynload")] or [stdlib]
folder = f"{sys.platlibdir}/python{sys.version_info.major}.{sys.version_info.minor}"
print(json.dumps({"stdlib": stdlib, "extensions": extensions[0], "home_folder": folder}))
"""


def _base_files() -> Iterator[Entry]:
    agent = files("runscaler.simulator").joinpath("agent.py").read_bytes()
    yield Entry("tmp", mode=0o1777)
    yield Entry("home/runner", uid=RUNNER_UID, gid=RUNNER_GID)
    yield Entry("home/runner/run.sh", content=RUN_SH.encode(), uid=RUNNER_UID, gid=RUNNER_GID)
    yield Entry("home/runner/agent.py", content=agent, uid=RUNNER_UID, gid=RUNNER_GID)
    yield Entry("etc/passwd", content=PASSWD.encode(), mode=0o644)
    yield Entry("etc/group", content=GROUP.encode(), mode=0o644)


def _shell() -> Iterator[Entry]:
    """bash, and busybox with links for all its applets; without busybox the host's `SHELL_TOOLS`."""
    if (bash := shutil.which("bash")) is not None:
        yield Entry("bin/bash", Path(bash).resolve())
    if (busybox := shutil.which("busybox")) is not None:
        yield Entry("bin/busybox", Path(busybox).resolve())
        for name in _output([busybox, "--list"]).split():
            if name not in ("busybox", "bash"):
                yield Entry(f"bin/{name}", link="busybox")
        return
    for name in SHELL_TOOLS:
        if (tool := shutil.which(name)) is not None:
            yield Entry(f"bin/{name}", Path(tool).resolve())


def _library(python: Interpreter) -> Iterator[Entry]:
    """The part of the standard library that the agent needs, with existing .pyc files."""
    top = f"{PYTHON_HOME}/{python.home_folder}"
    for path in _modules(python.stdlib):
        yield Entry(f"{top}/{path.relative_to(python.stdlib)}", path, mode=0o644)
    for path in sorted(python.extensions.glob("*.so")):
        if not SKIPPED_MODULES.match(path.name):
            yield Entry(f"{top}/lib-dynload/{path.name}", path)


def _modules(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in SKIPPED_FOLDERS and not path.name.startswith("config-"):
                yield from _modules(path)
        elif path.suffix == ".py":
            yield path
            yield from sorted(folder.glob(f"__pycache__/{path.stem}.{sys.implementation.cache_tag}.pyc"))


def _is_binary(entry: Entry) -> bool:
    return entry.source is not None and entry.source.suffix not in (".py", ".pyc")


def _shared_libraries(binaries: Iterable[Path | None]) -> Iterator[Entry]:
    """The shared libraries that `ldd` lists, each at the path where the host's loader finds it."""
    output = _output(["ldd", *(str(binary) for binary in binaries)], 0, 1)
    for path in sorted({Path(name) for name in LDD_LINE.findall(output)}):
        yield Entry(str(path).lstrip("/"), path)
        if path.name.startswith("libc.so"):
            for service in NAME_SERVICES:
                if (library := path.with_name(service)).exists():
                    yield Entry(str(library).lstrip("/"), library)


def _parents(paths: Iterable[str]) -> list[Entry]:
    """Entries for the missing parent directories, outermost first."""
    named = set(paths)
    folders = {str(parent) for path in named for parent in Path(path).parents} - named - {"."}
    return [Entry(folder) for folder in sorted(folders)]


def _output(command: list[str], *accepted: int) -> str:
    """What the command prints. `ldd` exits with 1 if one of its files is statically linked."""
    try:
        environ = child_environment(os.environ)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    except OSError as error:
        raise BackendError(f"the demo image needs {command[0]}, which cannot be run: {error}") from error
    if done.returncode not in (accepted or (0,)):
        raise BackendError(f"the demo image cannot be built: {command[0]} says: {done.stderr.strip()}")
    return done.stdout


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    item = tarfile.TarInfo(entry.path)
    item.mode, item.uid, item.gid = entry.mode, entry.uid, entry.gid
    if entry.link:
        item.type, item.linkname = tarfile.SYMTYPE, entry.link
        archive.addfile(item)
    elif entry.content is not None:
        item.size = len(entry.content)
        archive.addfile(item, BytesIO(entry.content))
    elif entry.source is not None:
        _add_file(archive, item, entry.source)
    else:
        item.type = tarfile.DIRTYPE
        archive.addfile(item)


def _add_file(archive: tarfile.TarFile, item: tarfile.TarInfo, source: Path) -> None:
    """Add a file with its modification time in whole seconds, as .pyc files record it."""
    stat = source.stat()
    item.size, item.mtime = stat.st_size, int(stat.st_mtime)
    with source.open("rb") as content:
        archive.addfile(item, content)
