"""Images for a fake Mac, and the files in their guests' home directory."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from typing import TYPE_CHECKING

from runscaler.interpreter import interpreter_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

IMAGE = "ghcr.io/acme/sequoia:latest"

_WORKER = (
    "#!/bin/sh\n# Stands for a job: its command line contains Runner.Worker.\nsleep ${1:-600} &\nwait $!\n"
)

_DEMO_RUN_SH = """#!/bin/sh
# Without an address nothing reaches GitHub.
while [ -e "$FAKE_TART_OFFLINE" ]; do sleep 0.2; done
exec {python} {agent} "$@"
"""


def runner_script(shell: str) -> dict[str, str]:
    """Guest files whose `run.sh` runs this; `bin/Runner.Worker SECONDS` beside it looks like a job."""
    return {"actions-runner/run.sh": f"#!/bin/sh\n{shell}\n", "actions-runner/bin/Runner.Worker": _WORKER}


def demo_runner(agent: Path) -> dict[str, str]:
    """Guest files whose `run.sh` runs the simulator's agent (`SimulatedGitHub.agent_path`)."""
    script = _DEMO_RUN_SH.format(python=interpreter_command(), agent=shlex.quote(str(agent)))
    return {"actions-runner/run.sh": script}


def write_image(
    roots: Iterable[Path], reference: str, files: Mapping[str, str], config: Mapping[str, object]
) -> str:
    """Write it below each root, laid out as in cache/OCIs, and link its tag to it. Returns the digest."""
    settings = {**_configuration(), **config}
    content = json.dumps([dict(files), settings], sort_keys=True).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    for root in roots:
        tag = image_path(root, reference)
        _write_vm(tag.with_name(digest), files, settings)
        tag.unlink(missing_ok=True)
        tag.symlink_to(digest)
    return digest


def image_path(root: Path, reference: str) -> Path:
    """`reference` is HOST/NAMESPACE[:TAG]."""
    place, _, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    host, _, namespace = place.partition("/")
    return root / host.replace(":", "%3A") / namespace / name / (tag or "latest")


def _configuration() -> dict[str, object]:
    return {
        "version": 1,
        "os": "darwin",
        "arch": "arm64",
        "ecid": "ZmFrZQ==",
        "hardwareModel": "ZmFrZQ==",
        "cpuCountMin": 2,
        "cpuCount": 4,
        "memorySizeMin": 4 << 30,
        "memorySize": 8 << 30,
        "macAddress": "7e:00:00:00:00:01",
        "display": {"width": 1024, "height": 768},
        "displayRefit": True,
        "diskFormat": "raw",
    }


def _write_vm(path: Path, files: Mapping[str, str], config: Mapping[str, object]) -> None:
    shutil.rmtree(path, ignore_errors=True)
    (path / "guest").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "disk.img").write_bytes(bytes(4096))
    (path / "nvram.bin").write_bytes(bytes(64))
    for name, text in files.items():
        file = path / "guest" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
