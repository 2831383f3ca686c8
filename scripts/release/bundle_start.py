"""Starts the program inside the single-file executable; `boot.c` calls `main`.

Modules in C lie in the executable too. Each is copied into a file in memory and loaded from there.
`bundle_index` is generated: EXTENSIONS and LIBRARIES map names to (offset, size, names of needed LIBRARIES),
CERTIFICATES is the (offset, size) of certifi's file.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec

import _bundle
from bundle_index import CERTIFICATES, EXTENSIONS, LIBRARIES

_loaded: set[str] = set()
_paths = iter(range(1_000_000))


class BundledExtensions:
    """A finder of modules in C (`sys.meta_path`)."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        if name not in EXTENSIONS:
            return None
        origin = f"{sys.executable}/{name}"
        return ModuleSpec(name, BundledLoader(name, origin), origin=origin)


class BundledLoader(ExtensionFileLoader):
    def create_module(self, spec):
        offset, size, needed = EXTENSIONS[spec.name]
        for library in needed:
            _load(library)
        memory = copy_to_memory(spec.name, offset, size)
        try:
            return super().create_module(ModuleSpec(spec.name, self, origin=_unique_path(memory)))
        finally:
            os.close(memory)


def _load(library):
    if library in _loaded:
        return
    _loaded.add(library)
    offset, size, needed = LIBRARIES[library]
    for other in needed:
        _load(other)
    memory = copy_to_memory(library, offset, size)
    _bundle.load_library(_unique_path(memory))
    os.close(memory)


def copy_to_memory(name, offset, size):
    """The descriptor of a file in memory with that part of the executable."""
    memory = os.memfd_create(name)
    with open("/proc/self/exe", "rb") as executable:  # noqa: PTH123  (pathlib takes time to import)
        while size > 0:
            sent = os.sendfile(memory, executable.fileno(), offset, size)
            if sent == 0:
                raise ImportError(f"{sys.executable} is cut off")
            offset, size = offset + sent, size - sent
    return memory


def _unique_path(memory):
    """The loader takes two libraries for one if their paths are the same: no path is used twice."""
    number = next(_paths)
    return f"/proc/thread-self/fd/{'./' * (number % 1000)}{'/' * (number // 1000)}{memory}"


def certificates():
    """The path of certifi's roots, which exist in memory only."""
    memory = copy_to_memory("cacert.pem", *CERTIFICATES)
    return f"/proc/self/fd/{memory}"


def main():
    sys.frozen = True
    sys.meta_path.insert(0, BundledExtensions)
    from runscaler.cli.frozen import main

    main()
