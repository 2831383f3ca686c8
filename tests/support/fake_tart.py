"""Functions for tests of the fake `tart`."""

import fcntl
import json
import os
import subprocess
from contextlib import contextmanager

from runscaler.testing.fake_tart_host import IMAGE
from runscaler.testing.fake_tart_processes import PATIENCE, wait_for

__all__ = ["PATIENCE", "wait_for"]

MAC = "02:00:00:00:00:01"
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
STUBBORN = "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP INT; sleep 600 & wait' >/dev/null 2>&1 &"


def clone(tart, *names):
    for name in names:
        tart.call("clone", IMAGE, name, check=True)


def set_mac(tart, name, mac=MAC):
    config = tart.config(name) | {"macAddress": mac}
    (tart.vm_path(name) / "config.json").write_text(json.dumps(config))


@contextmanager
def running(tart, name="vm", **options):
    """A VM whose agent answers."""
    if name not in tart.vms():
        clone(tart, name)
    process = tart.spawn("run", name, "--no-graphics", **options)
    try:
        tart.wait_until_ready(name)
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def sh(tart, script, *words, stdin=b"", name="vm"):
    return tart.call("exec", "-i", name, "/bin/sh", "-c", script, *words, stdin=stdin)


def listed(tart, source="local"):
    return json.loads(tart.call("list", "--source", source, "--format", "json").stdout)


def held(path):
    """Does another process hold its `flock`?"""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def answer(result):
    return result.returncode, result.stdout.decode(), result.stderr.decode()
