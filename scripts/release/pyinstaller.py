"""Makes the single-file executable for macOS, which has no files in memory to load libraries from.

PyInstaller's executable unpacks itself into the user's temporary directory at each start.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from release.modules import PACKAGE, SCRIPTS, pages

START = "from runscaler.cli.frozen import main\nmain()\n"
BUILD = """\
import sys, types
build = sys.modules["runscaler._build"] = types.ModuleType("runscaler._build")
build.COMMIT, build.DATE = {commit!r}, {date!r}
"""
OF_SCRIPTS = ("http.client", "json", "shlex", "uuid", "runpy")
"""What the runner agent imports, which is run as a script."""


def build(work: Path, target: Path, commit: str, date: str) -> None:
    start, hook = work / "start.py", work / "build_facts.py"
    start.write_text(START)
    hook.write_text(BUILD.format(commit=commit, date=date))
    command = [
        sys.executable,
        "-m",
        "PyInstaller",
        "--onefile",
        "--clean",
        "--noconfirm",
        "--log-level",
        "WARN",
    ]
    command += ["--name", target.name, "--distpath", str(target.parent), "--workpath", str(work / "work")]
    command += ["--specpath", str(work), "--runtime-hook", str(hook), "--paths", str(PACKAGE.parent)]
    command += ["--collect-submodules", "runscaler", "--exclude-module", "pytest"]
    for name in OF_SCRIPTS:
        command += ["--hidden-import", name]
    for name in (*SCRIPTS, *pages()):
        place = Path("runscaler", name).parent
        command += ["--add-data", f"{PACKAGE / name}{os.pathsep}{place}"]
    subprocess.run([*command, str(start)], check=True)
