"""Import rules that import-linter cannot express (docs/architecture.md § In one picture)."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import runscaler

ROOT = Path(runscaler.__file__).parent

# Each library, and the only packages or modules that may import it.
LIBRARIES = {
    "certifi": ("github", "net"),
    "click": ("cli",),
    "cronsim": ("policy", "config"),
    "cryptography": ("config", "simulator"),
    "docker": ("backends.docker", "backends.swarm"),
    "filelock": ("ops", "backends"),
    "jwt": ("github", "simulator"),
    "loguru": (
        "actors",
        "autoscaler",
        "backends",
        "cli",
        "config",
        "feed",
        "github",
        "ops",
        "threads",
        "web",
    ),
    "platformdirs": ("config", "ops"),
    "prometheus_client": ("web",),
    "psutil": ("actors", "backends", "cli", "host_facts", "ops", "testing", "web"),
    "pydantic": (
        "config",
        "backends.marks",
        "backends.docker.image_records",
        "backends.process",
        "backends.tart",
    ),
    "pydantic_core": ("config",),
    "pykka": ("actors", "autoscaler", "testing"),
    "pytest": ("testing",),
    "requests": ("cli", "github", "ops", "testing", "backends.docker", "backends.orchard"),
    "rich": ("cli",),
    "semver": ("cli", "ops"),
    "time": ("clock", "simulator.agent", "testing.fake_tart"),
    "tomlkit": ("config",),
    "truststore": ("github",),
    "urllib3": ("backends.docker", "github", "net"),
    "waitress": ("simulator", "web"),
}

# Users of the contract suite have pytest; pydantic depends on its core.
NOT_DECLARED = {"pytest", "pydantic_core"}
DISTRIBUTIONS = {"jwt": "pyjwt"}
"""Modules whose distribution has another name."""

# Each restricted package, and the only modules outside of it that it may import.
RESTRICTED = {
    "policy": ("clock", "config", "errors", "events", "names", "status", "units"),
    "simulator": (
        "clock",
        "errors",
        "github.messages",
        "interrupt",
        "names",
        "net.host_header",
        "threads",
        "units",
    ),
    "simulator.agent": (),
    "net": ("clock", "errors", "interrupt", "threads"),
    "testing.fake_tart": (),
    "backends": (
        "clock",
        "config",
        "errors",
        "events",
        "files",
        "findings",
        "github.base",
        "interpreter",
        "interrupt",
        "names",
        "net",
        "private_files",
        "status",
        "threads",
        "units",
        "untrusted",
    ),
    "errors": ("findings",),
}


@cache
def modules() -> dict[str, ast.Module]:
    """The parsed modules by their name below the package ("cli.run")."""
    paths = {path: path.relative_to(ROOT).with_suffix("") for path in ROOT.rglob("*.py")}
    return {
        ".".join(name.parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for path, name in paths.items()
    }


def imports(tree: ast.Module) -> set[str]:
    """Full names that a module imports; `from a import b` counts as `a.b`."""
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
    """Names that a module uses, such as `print`."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def tells(tree: ast.Module) -> bool:
    """Whether there is a `ref.tell(message)`. `children.tell` is allowed, as it handles dead actors."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    told = (ast.unparse(call.func) for call in calls)
    return any(name.endswith(".tell") and not name.endswith("children.tell") for name in told)


def attributes(tree: ast.Module) -> set[str]:
    """Attribute names that a module uses, such as `tell` in `ref.tell(message)`."""
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize(("library", "places"), LIBRARIES.items(), ids=LIBRARIES)
def test_a_library_is_imported_only_where_it_belongs(library: str, places: tuple[str, ...]) -> None:
    importers = {
        name for name, tree in modules().items() if any(within(found, (library,)) for found in imports(tree))
    }

    assert {name for name in importers if not within(name, places)} == set()


def test_every_library_has_an_entry() -> None:
    found = {name.split(".")[0] for tree in modules().values() for name in imports(tree)}

    assert found - {*sys.stdlib_module_names, *LIBRARIES, "runscaler"} == set()


def test_every_library_in_use_is_declared_as_a_dependency() -> None:
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    declared = {line.split(">=")[0] for line in project["dependencies"]}
    found = {name.split(".")[0] for tree in modules().values() for name in imports(tree)}
    in_use = {DISTRIBUTIONS.get(name, name) for name in found}

    assert in_use - {*sys.stdlib_module_names, *NOT_DECLARED, "runscaler"} - declared == set()


@pytest.mark.parametrize(("package", "known"), RESTRICTED.items(), ids=RESTRICTED)
def test_a_package_imports_only_the_modules_it_may(package: str, known: tuple[str, ...]) -> None:
    ours = {
        found.removeprefix("runscaler.")
        for name, tree in modules().items()
        if within(name, (package,)) and name not in RESTRICTED.keys() - {package}
        for found in imports(tree)
        if found.startswith("runscaler.")
    }

    assert {name for name in ours if not within(name, (*known, package))} == set()


def test_only_commands_and_stand_alone_programs_print() -> None:
    printers = {name for name, tree in modules().items() if "print" in names(tree)}

    assert {
        name for name in printers if not within(name, ("cli", "simulator.agent", "testing.fake_tart"))
    } == set()


def test_only_the_actor_base_and_the_facade_call_tell_directly() -> None:
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
        name for name in importers if not within(name, ("testing.fake_tart", "testing.fake_tart_host"))
    } == set()


# Threads that end with the call that they are for, and programs that stand alone.
SHORT_LIVED = {"net.cancellable", "simulator.faults.wire_rows", "simulator.agent"}


def test_threads_that_live_long_are_made_in_one_place() -> None:
    """So that none of them dies without a word (docs/architecture.md § Supervision)."""
    made = {
        name
        for name, tree in modules().items()
        if any(
            isinstance(node, ast.Call) and ast.unparse(node.func) in ("threading.Thread", "Thread")
            for node in ast.walk(tree)
        )
    }

    assert made - {name for name in made if within(name, ("testing",))} - SHORT_LIVED == {"threads"}


OUTSIDE_THE_DAEMON = ("simulator", "testing")


def test_every_program_is_started_without_the_variables_that_held_secrets() -> None:
    starting = [
        path
        for path in ROOT.rglob("*.py")
        if re.search(r"subprocess\.(run|Popen|check_output|check_call)\(", path.read_text("utf-8"))
        and path.relative_to(ROOT).parts[0] not in OUTSIDE_THE_DAEMON
    ]

    assert starting
    assert [str(path) for path in starting if "child_environment(" not in path.read_text("utf-8")] == []
