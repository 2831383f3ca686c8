"""A real systemd as process 1 of namespaces of its own, with nothing but the test's units; needs root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.daemon import wait_until
from support.missing import missing

from runscaler.ops.service.commands import Answer, run_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATH = "PATH=/usr/bin:/bin:/usr/sbin:/sbin"
"""Not the test's: that may have fakes."""
SYSTEMD = Path("/lib/systemd/systemd")

# What the host starts and mounts is hidden; the network and the files are the host's.
BOOT = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount --bind "$2" /dev/console
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/unified /sys/fs/cgroup/systemd
mount -t cgroup2 none /sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd
for folder in /lib/systemd/system/*.wants /lib/systemd/system-generators /var/lib/runscaler; do
    if [ -d "$folder" ]; then mount -t tmpfs tmpfs "$folder"; fi
done
mount --bind "$1" /etc/systemd/system
mount --make-rshared /  # as on a host: credentials are mounted by a child in a namespace of its own
exec env -i container=other PATH=/usr/bin:/bin:/usr/sbin /lib/systemd/systemd --system --unit=test.target \\
    --log-target=console --show-status=false --default-standard-output=null
"""
TARGET = "[Unit]\nDescription=what a test starts\n"


class PrivateSystemd:
    """`commands` runs a command inside, as `runscaler.ops.service.commands.run_command` does outside."""

    def __init__(self, pid: int, console: Path) -> None:
        self.pid = pid
        self._console = console

    def commands(self, words: Sequence[str]) -> Answer:
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid"]
        return run_command([*inside, "env", "-i", PATH, *words])

    def show(self, unit: str, name: str) -> str:
        return self.commands(["systemctl", "show", unit, "--value", f"--property={name}"]).out.strip()

    @property
    def log(self) -> str:
        return self._console.read_text(errors="replace")


@contextmanager
def private_systemd(folder: Path, units: Path) -> Iterator[PrivateSystemd]:
    """Skips the test where there can be none. `units` is its /etc/systemd/system."""
    if os.geteuid() != 0 or not SYSTEMD.exists() or not shutil.which("unshare"):
        missing("systemd and the rights of root to run one of its own")
    (units / "test.target").write_text(TARGET)
    console = folder / "console"
    console.touch()
    isolated = ["unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--cgroup", "--kill-child"]
    words = [*isolated, "sh", "-c", BOOT, "boot", str(units), str(console)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True) as outer:
        try:
            yield PrivateSystemd(wait_until(lambda: _booted(outer), "systemd runs", 30), console)
        finally:
            outer.send_signal(signal.SIGKILL)


def _booted(outer: subprocess.Popen[bytes]) -> int:
    """The pid of its process 1, once that is systemd and answers."""
    if outer.poll() is not None:
        missing("a systemd of its own: namespaces or control groups cannot be made here")
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    if not children or Path(f"/proc/{children[0]}/comm").read_text().strip() != "systemd":
        return 0
    answer = PrivateSystemd(int(children[0]), Path()).commands(["systemctl", "show-environment"])
    return int(children[0]) if answer.code == 0 else 0
