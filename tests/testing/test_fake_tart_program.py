"""The fake `tart` as a program of its own."""

import os
import subprocess
import sys
from pathlib import Path

import runscaler
from runscaler.testing.fake_tart.processes import from_listing

ROOT = Path(runscaler.__file__).parents[1]
SLOW = {"argparse", "ctypes", "dataclasses", "hashlib", "pathlib", "random", "shutil", "socket", "subprocess"}
CALL = """
import sys
sys.path.insert(0, sys.argv[1])
from runscaler.testing.fake_tart.main import main
main(sys.argv[2:])
print(*sys.modules)
"""


def test_a_call_imports_nothing_slow(tart):
    command = [sys.executable, "-IS", "-c", CALL, str(ROOT), "exec", "nosuch", "true"]
    ended = subprocess.run(command, env=tart.environ, stdout=subprocess.PIPE, check=True, timeout=60)

    assert SLOW & set(ended.stdout.decode().split()) == set()


def test_it_needs_only_path_and_home(tart):
    environment = {"PATH": f"{tart.bin}{os.pathsep}{os.defpath}", "TART_HOME": str(tart.home)}

    ended = subprocess.run(
        ["tart", "list", "-q"], env=environment, stdout=subprocess.PIPE, check=True, timeout=60
    )

    assert b"ghcr.io/acme/sequoia:latest\n" in ended.stdout
    assert tart.calls("list")[0].environment[:2] == ("FAKE_TART_HOST", "FAKE_TART_KNOBS")


def test_without_proc_the_mark_is_read_from_ps():
    lines = [
        "  501     1 Ss   /bin/sh ./run.sh HOME=/x FAKE_TART_GUEST=7.1 PATH=/bin",
        "  502     1 S    /bin/sh ./run.sh HOME=/x FAKE_TART_GUEST=7.12 PATH=/bin",
        "  503     1 Z    (sh) FAKE_TART_GUEST=7.1",
    ]

    (found,) = from_listing(lines, -1, "7.1")

    assert (found.pid, found.parent, found.name, found.marked) == (501, 1, "sh", True)
