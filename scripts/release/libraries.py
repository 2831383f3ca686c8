"""Shared libraries in ELF form: what they need, and from which version of glibc on they run."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

OF_THE_HOST = re.compile(r"(lib(c|m|pthread|dl|rt|util|resolv|nsl|anl)\.so\.\d+|ld-linux.*|linux-vdso.*)$")
"""The parts of glibc, which every host has and which fit only the host's own loader."""
_NEEDED = re.compile(r"^\s+NEEDED\s+(\S+)$", re.MULTILINE)
_FOUND = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)
_GLIBC = re.compile(rb"\0GLIBC_(\d+)\.(\d+)[\d.]*(?=\0)")


@cache
def needed(path: Path) -> tuple[Path, ...]:
    """The libraries that `path` names itself, where the loader finds them here. Not those of the host."""
    dump = subprocess.run(["objdump", "-p", str(path)], capture_output=True, text=True, check=True).stdout
    names = [name for name in _NEEDED.findall(dump) if not OF_THE_HOST.match(name)]
    if not names:
        return ()
    listed = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=True).stdout
    found = dict(_FOUND.findall(listed))
    return tuple(Path(found[name]).resolve() for name in names)


def in_load_order(path: Path) -> list[Path]:
    """`path` and all that it needs, each after what it needs itself."""
    order: list[Path] = []

    def add(library: Path) -> None:
        for other in needed(library):
            add(other)
        if library not in order:
            order.append(library)

    add(path)
    return order


def glibc_version(path: Path) -> tuple[int, int]:
    """The lowest version of glibc that has all that the file asks for."""
    versions = {(int(major), int(minor)) for major, minor in _GLIBC.findall(path.read_bytes())}
    return max(versions, default=(0, 0))
