"""The software bill of materials of one executable, in CycloneDX form."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

from release.modules import program_distributions
from runscaler import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution


def sbom(commit: str, date: str, target: str, shared_libraries: Iterable[str] = ()) -> str:
    """What is inside the executable for `target` (linux-amd64): Python, shared libraries, distributions."""
    python = platform.python_version()
    components: list[dict[str, object]] = [
        {
            "type": "platform",
            "name": "cpython",
            "version": python,
            "purl": f"pkg:generic/python@{python}",
            "licenses": [{"expression": "PSF-2.0"}],
        },
        *({"type": "library", "name": name} for name in sorted(shared_libraries)),
        *(_component(each) for each in program_distributions()),
    ]
    subject = {
        "type": "application",
        "name": "runscaler",
        "version": __version__,
        "purl": f"pkg:pypi/runscaler@{__version__}",
        "properties": [{"name": "commit", "value": commit}, {"name": "target", "value": target}],
    }
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": subject} | ({} if date == "unknown" else {"timestamp": date}),
        "components": components,
    }
    return json.dumps(document, indent=2) + "\n"


def _component(distribution: Distribution) -> dict[str, object]:
    name, version = distribution.name.lower(), distribution.version
    component: dict[str, object] = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
    }
    if expression := distribution.metadata.get("License-Expression"):
        component["licenses"] = [{"expression": expression}]
    return component
