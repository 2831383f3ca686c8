"""Images for `dind = "sidecar"` out of this host's programs: a real engine, runners with a docker command."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import NotFound
from support.engine import connect, shell_layer
from support.missing import missing
from support.private_engine import PrivateEngine

from runscaler.ops.demo_image import CHANGES
from runscaler.ops.demo_rootfs import Entry, entries, write_archive

if TYPE_CHECKING:
    from collections.abc import Iterable

Files = dict[str, bytes | str]
"""Contents by path, or what a symbolic link points to."""
ENGINE_PROGRAMS = ("dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker", "docker-proxy")
SEARCHED = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIBRARY = re.compile(r"(?:=>\s+|^\s*)(/\S+)\s+\(0x", re.MULTILINE)
TINY = "tiny"
"""The name that jobs give to the image which they import."""
IMPORT_TINY = f"docker import /tiny.tar {TINY} > /dev/null"
"""The first step of jobs that run containers: there is no registry."""
SETTINGS = {"storage-driver": "vfs", "iptables": False, "ip6tables": False}
"""Of the engine in a sidecar: it has no firewall's programs, and its disk may be an overlay itself."""
ENTRYPOINT = """\
#!/bin/sh
# Where there is one hierarchy of cgroups only, processes may not be beside groups: as docker:dind does.
if test -f /sys/fs/cgroup/cgroup.controllers; then
    mkdir -p /sys/fs/cgroup/init
    for each in $(cat /sys/fs/cgroup/cgroup.procs); do echo $each > /sys/fs/cgroup/init/cgroup.procs; done
    sed 's/ / +/g; s/^/+/' < /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
fi
exec "$@"
"""

RUNC_WITHOUT = """\
#!/bin/sh
# runc on a host that is a container itself and lacks {capability}, which privileged containers ask for.
last=
for each; do
    case $last in
        --bundle) file=$each/config.json ;;
        --process) file=$each ;;
        *) file= ;;
    esac
    test -z "$file" || sed -i 's/"{capability}",//g; s/,"{capability}"//g' "$file"
    last=$each
done
exec runc "$@"
"""
LACKED, LACKED_BIT = "CAP_SYS_RESOURCE", 1 << 24


class SidecarEngine(PrivateEngine):
    """A private engine that runs privileged containers, also where this host has not all capabilities."""

    def start(self, *more: str) -> None:
        runtime = self.folder / "runc-without"
        runtime.write_text(RUNC_WITHOUT.format(capability=LACKED))
        runtime.chmod(0o755)
        lacks = not _capabilities() & LACKED_BIT
        options = (f"--add-runtime=without={runtime}", "--default-runtime=without") if lacks else ()
        super().start(*options, *more)


def _capabilities() -> int:
    """Those that this process and its children may have, one bit each."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("CapBnd"))
    return int(line.split()[1], 16)


def sidecar_image(url: str) -> str:
    """The name of an image like docker:dind: dockerd, docker, and an entrypoint that runs its arguments."""
    files = {
        "etc/docker/daemon.json": json.dumps(SETTINGS).encode(),
        "etc/passwd": b"root:x:0:0::/:/bin/sh\n",
        "etc/group": b"root:x:0:\n",
        "entrypoint": ENTRYPOINT.encode(),
        **_shell("cat", "echo", "mkdir", "ps", "sed", "sh", "sleep", "test", "modprobe"),
        **_programs(ENGINE_PROGRAMS),
    }
    changes = ['ENTRYPOINT ["/entrypoint"]', f"ENV PATH={SEARCHED}"]
    return _imported(url, "runscaler-test-engine", _archive(files), changes)


def docker_files() -> Files:
    """What a runner needs to use an engine: the docker command, and /tiny.tar to import as an image."""
    tiny = _archive(_shell("cat", "echo", "env", "ls", "nc", "sh", "sleep", "test", "touch", "wget"))
    return {**_programs(["docker"]), "tiny.tar": tiny}


def runner_image(url: str) -> str:
    """The shell image with `docker_files` and a file in the runner's externals."""
    layer = io.BytesIO(shell_layer())
    with tarfile.open(fileobj=layer, mode="a") as archive:
        _add(archive, {**docker_files(), **_shell("mkdir", "nc")})
        _add(archive, {"home/runner/externals/node": b"node of the image\n"}, uid=1001, gid=123)
    return _imported(url, "runscaler-test-docker-shell", layer.getvalue(), [f"ENV PATH={SEARCHED}"])


def demo_image_with_docker(url: str) -> str:
    """The demo's image with `docker_files`: its runners run the jobs of a simulated GitHub."""
    added = [
        Entry(path, content=content) for path, content in docker_files().items() if isinstance(content, bytes)
    ]
    archive = io.BytesIO()
    write_archive({one.path: one for one in (*added, *entries())}.values(), archive)
    return _imported(url, "runscaler-test-docker-demo", archive.getvalue(), list(CHANGES))


def with_entrypoint(url: str, script: str, *, docker: bool = False) -> str:
    """An image that runs a shell script whatever its command is; with a docker command if `docker`."""
    files = {**_shell("sh", "sleep", "echo"), **(_programs(["docker"]) if docker else {})}
    changes = [f"ENTRYPOINT {json.dumps(['sh', '-c', script])}", f"ENV PATH={SEARCHED}"]
    return _imported(url, "runscaler-test-no-engine", _archive(files), changes)


def _imported(url: str, repository: str, archive: bytes, changes: list[str]) -> str:
    name = f"{repository}:{hashlib.sha256(archive + str(changes).encode()).hexdigest()[:12]}"
    with connect(url) as api:
        try:
            api.inspect_image(name)
        except NotFound:
            api.import_image_from_data(archive, name, changes=changes)
    return name


def _programs(names: Iterable[str]) -> Files:
    """Programs of this host in /usr/bin, and the shared libraries that they need."""
    found = [Path(shutil.which(name, path=SEARCHED) or missing(f"the program {name}")) for name in names]
    linked = subprocess.run(["ldd", *map(str, found)], capture_output=True, text=True, check=False).stdout
    libraries = {str(Path(name)).lstrip("/"): Path(name) for name in LIBRARY.findall(linked)}
    files = {**{f"usr/bin/{program.name}": program for program in found}, **libraries}
    return {name: path.read_bytes() for name, path in files.items()}


def _shell(*tools: str) -> Files:
    busybox = Path(shutil.which("busybox") or missing("busybox (static) for a shell")).read_bytes()
    return {"bin/busybox": busybox, **{f"bin/{tool}": "busybox" for tool in tools}}


def _archive(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, files)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, files: Files, uid: int = 0, gid: int = 0) -> None:
    """What is there already stays. Folders are named: old engines make missing ones for themselves alone."""
    there = {".", *archive.getnames()}
    for folder in sorted({str(parent) for path in files for parent in Path(path).parents} - there):
        entry = tarfile.TarInfo(folder)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, uid, gid
        archive.addfile(entry)
    for path, content in ((path, files[path]) for path in files if path not in there):
        entry = tarfile.TarInfo(path)
        entry.mode, entry.uid, entry.gid = 0o755, uid, gid
        if isinstance(content, str):
            entry.type, entry.linkname = tarfile.SYMTYPE, content
            archive.addfile(entry)
        else:
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
