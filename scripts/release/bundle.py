"""Makes the single-file executable for Linux: a launcher, shared libraries, and a zip archive of modules.

    launcher, up to LAUNCHER_SPACE │ libraries to start Python │ modules in C and their libraries │ zip

`launcher.c` and `boot.c` start Python from that, `bundle_start.py` the program.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from release import libraries, modules

HERE = Path(__file__).parent
LAUNCHER = "launcher"
LAUNCHER_SPACE = 128 * 1024
PAGE = 4096
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive, so that the same input makes the same executable."""
C_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True)
class Part:
    """A file inside the executable."""

    name: str
    path: Path
    offset: int
    size: int


class Bundle:
    """One build, in the folder `work`."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._parts: dict[Path, Part] = {}
        self._end = LAUNCHER_SPACE
        self._archived_index = ""

    def prepare(self) -> None:
        """Compile the launcher, and find all parts but the archive of modules."""
        startup = [self._add(path) for path in self._startup_libraries()]
        boot = self._add(self._compile_boot())
        found = {name: self._add(path, path) for name, path in sorted(modules.extensions().items())}
        certificates = self._add(modules.certificates())
        self._archived_index = self._index(found, {part.path for part in startup}, certificates)
        self._compile_launcher([*startup, boot])

    def write(self, target: Path) -> None:
        """Write what was prepared as one file."""
        with target.open("wb") as out:
            shutil.copyfileobj((self._work / LAUNCHER).open("rb"), out)
            for part in self._parts.values():
                out.seek(part.offset)
                out.write(part.path.read_bytes())
            out.seek(self._end)
            self._write_archive(out)
        target.chmod(0o755)

    def glibc_version(self) -> tuple[int, int]:
        """The version of glibc that the executable needs, by its launcher and all its parts."""
        return max(libraries.glibc_version(path) for path in (self._work / LAUNCHER, *self._parts))

    def library_names(self) -> list[str]:
        """The shared libraries that are neither Python nor its modules."""
        return sorted(path.name for path in self._parts if ".so." in path.name and "python" not in path.name)

    def _startup_libraries(self) -> list[Path]:
        name = sysconfig.get_config_var("LDLIBRARY") or ""
        for folder in (sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LIBPL")):
            path = Path(folder or "", sysconfig.get_config_var("INSTSONAME") or name)
            if path.name.startswith("libpython") and ".so" in path.name and path.exists():
                *others, python = libraries.in_load_order(path.resolve())
                return [*others, self._stripped(python)]
        raise SystemExit("this Python has no shared library (libpython3.so): build with one that has")

    def _stripped(self, library: Path) -> Path:
        target = self._work / library.name
        subprocess.run(["strip", "--strip-unneeded", "-o", str(target), str(library)], check=True)
        return target

    def _add(self, path: Path, *with_needed: Path) -> Part:
        """Give the file a place, and with it those that it needs."""
        for library in with_needed:
            for other in libraries.needed(library):
                self._add(other, other)
        if path not in self._parts:
            size = path.stat().st_size
            self._parts[path] = Part(path.name, path, self._end, size)
            self._end += -(-size // PAGE) * PAGE
        return self._parts[path]

    def _index(self, extensions: dict[str, Part], loaded: set[Path], certificates: Part) -> str:
        """The text of `bundle_index`."""
        names = {path.name for path in loaded}

        def row(part: Part) -> tuple[int, int, tuple[str, ...]]:
            needed = [path.name for path in libraries.needed(part.path) if path.name not in names]
            return part.offset, part.size, tuple(needed)

        shown = {part.path for part in extensions.values()} | loaded | {certificates.path}
        others = {part.name: row(part) for path, part in self._parts.items() if path not in shown}
        rows = {name: row(part) for name, part in extensions.items()}
        place = (certificates.offset, certificates.size)
        return f"EXTENSIONS = {rows!r}\nLIBRARIES = {others!r}\nCERTIFICATES = {place!r}\n"

    def _write_archive(self, out: IO[bytes]) -> None:
        written = set()
        with zipfile.ZipFile(out, "w") as archive:
            files = [
                *modules.python_files(*modules.commit_and_date()),
                modules.compiled("bundle_index.py", self._archived_index.encode()),
            ]
            for name, content in files:
                if name not in written:
                    archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
                written.add(name)

    def _compile_boot(self) -> Path:
        target = self._work / "boot.so"
        include = sysconfig.get_config_var("INCLUDEPY")
        flags = ("-shared", "-fPIC", f"-I{include}")
        self._compile("boot.c", target, *flags)
        return target

    def _compile_launcher(self, startup: list[Part]) -> None:
        rows = "".join(f'    {{"{part.name}", {part.offset}, {part.size}}},\n' for part in startup)
        (self._work / "startup.h").write_text(
            "struct part { const char *name; long long offset, size; };\n"
            f"static const struct part PARTS[] = {{\n{rows}}};\n#define PART_COUNT {len(startup)}\n"
        )
        target = self._work / LAUNCHER
        self._compile("launcher.c", target, f"-I{self._work}", "-s", "-ldl")
        if target.stat().st_size > LAUNCHER_SPACE:
            raise SystemExit(f"the launcher is larger than {LAUNCHER_SPACE} bytes: raise LAUNCHER_SPACE")

    def _compile(self, source: str, target: Path, *flags: str) -> None:
        libraries_last = [flag for flag in flags if flag.startswith("-l")]
        options = [flag for flag in flags if not flag.startswith("-l")]
        command = ["cc", *C_FLAGS, *options, "-o", str(target), str(HERE / source), *libraries_last]
        subprocess.run(command, check=True)
