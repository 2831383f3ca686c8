"""Import rules that import-linter cannot express (docs/architecture.md § In one picture)."""

from __future__ import annotations

import ast
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import runscaler

ROOT = Path(runscaler.__file__).parent

# A library, and the only places that may import it.
LIBRARIES = {
    "certifi": ("github",),
    "click": ("cli",),
    "cronsim": ("policy", "config"),
    "docker": ("backends.docker", "backends.swarm"),
    "filelock": ("ops", "backends"),
    "jwt": ("github", "simulator"),
    "loguru": ("actors", "autoscaler", "backends", "cli", "config", "feed", "github", "ops", "web"),
    "platformdirs": ("config", "ops"),
    "prometheus_client": ("web",),
    "psutil": ("actors", "backends", "cli", "ops", "testing", "web"),
    "pydantic": ("config", "backends.process", "backends.tart"),
    "pydantic_core": ("config",),
    "pykka": ("actors", "autoscaler", "testing"),
    "pytest": ("testing",),
    "requests": ("cli", "github", "ops", "testing", "backends.docker", "backends.orchard"),
    "rich": ("cli",),
    "time": ("clock", "simulator.agent", "testing.fake_tart"),
    "tomlkit": ("config",),
    "urllib3": ("github", "backends.docker"),
    "waitress": ("simulator", "web"),
}

# The contract suite's users have pytest; pydantic brings its core.
NOT_OURS_TO_DECLARE = {"pytest", "pydantic_core"}

# A package, and the only modules of ours that it may import beside its own.
STRANGERS = {
    "policy": ("clock", "config", "errors", "events", "names", "status", "units"),
    "simulator": ("clock", "errors", "github.messages", "interrupt", "names", "units"),
    "simulator.agent": (),
    "testing.fake_tart": (),
    "backends": (
        "clock",
        "config",
        "errors",
        "events",
        "files",
        "findings",
        "github.base",
        "interrupt",
        "names",
        "status",
        "units",
    ),
    "errors": ("findings",),
}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its name below it ("cli.run"), parsed."""
    paths = {path: path.relative_to(ROOT).with_suffix("") for path in ROOT.rglob("*.py")}
    return {
        ".".join(name.parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path, name in paths.items()
    }


def imports(tree: ast.Module) -> set[str]:
    """Full names of what a module imports; `from a import b` counts as both `a` and `a.b`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def names(tree: ast.Module) -> set[str]:
    """Bare names that a module uses: `print`."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def tells(tree: ast.Module) -> bool:
    """Is there a `ref.tell(message)`? A file's `tell()` has no argument; `children.tell` minds the dead."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    told = (ast.unparse(call.func) for call in calls)
    return any(name.endswith(".tell") and not name.endswith("children.tell") for name in told)


def attributes(tree: ast.Module) -> set[str]:
    """Names that a module looks up on objects: the `tell` of `ref.tell(message)`."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize(("library", "places"), LIBRARIES.items(), ids=LIBRARIES)
def test_a_library_is_imported_only_where_it_belongs(library: str, places: tuple[str, ...]) -> None:
    importers = {
        name for name, tree in modules().items() if any(within(found, (library,)) for found in imports(tree))
    }

    assert {name for name in importers if not within(name, places)} == set()


def test_every_foreign_library_has_its_place() -> None:
    found = {name.split(".")[0] for tree in modules().values() for name in imports(tree)}

    assert found - {*sys.stdlib_module_names, *LIBRARIES, "runscaler"} == set()


def test_every_library_in_use_is_declared_as_a_dependency() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    declared = {line.split(">=")[0] for line in project["dependencies"]}
    in_use = {name.split(".")[0] for tree in modules().values() for name in imports(tree)}

    assert in_use - {*sys.stdlib_module_names, *NOT_OURS_TO_DECLARE, "runscaler"} - declared == set()


@pytest.mark.parametrize(("package", "known"), STRANGERS.items(), ids=STRANGERS)
def test_a_package_knows_no_more_of_the_house_than_it_must(package: str, known: tuple[str, ...]) -> None:
    ours = {
        found.removeprefix("runscaler.")
        for name, tree in modules().items()
        if within(name, (package,)) and name not in STRANGERS.keys() - {package}
        for found in imports(tree)
        if found.startswith("runscaler.")
    }

    assert {name for name in ours if not within(name, (*known, package))} == set()


def test_only_commands_and_stand_alone_programs_print() -> None:
    printers = {name for name, tree in modules().items() if "print" in names(tree)}

    assert {
        name for name in printers if not within(name, ("cli", "simulator.agent", "testing.fake_tart"))
    } == set()


def test_only_the_actors_base_and_the_facade_tell_without_minding_the_dead() -> None:
    tellers = {name for name, tree in modules().items() if tells(tree)}

    assert {name for name in tellers if not within(name, ("simulator",))} <= {"actors.base", "autoscaler"}


def test_nobody_stops_the_actors_of_an_embedding_program() -> None:
    assert {name for name, tree in modules().items() if "stop_all" in attributes(tree) | names(tree)} == set()


def test_nobody_imports_the_stand_alone_programs() -> None:
    programs = ("runscaler.simulator.agent", "runscaler.testing.fake_tart")
    importers = {
        name for name, tree in modules().items() if any(within(found, programs) for found in imports(tree))
    }

    assert {
        name for name in importers if not within(name, ("testing.fake_tart", "testing.fake_tart_home"))
    } == set()
