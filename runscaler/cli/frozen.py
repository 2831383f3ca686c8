"""The start of a single-file executable: the commands of `runner`, and a Python for its own scripts.

The runner agent of the demo and the fake `tart` are scripts; a host without Python runs them with
`runner _python [OPTIONS] SCRIPT ARGUMENTS`. Python's options are taken and ignored: this Python is isolated
and writes no compiled files anyway, and both scripts flush what they print.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

from runscaler.interpreter import SCRIPT_COMMAND


def main() -> NoReturn:
    """Run the command line of this process."""
    if sys.argv[1:2] == [SCRIPT_COMMAND]:
        run_script(sys.argv[2:])
    from runscaler.cli import main as run_commands

    run_commands()


def run_script(words: list[str]) -> NoReturn:
    """Run `[OPTIONS] SCRIPT ARGUMENTS` as Python would, and exit."""
    while words and words[0].startswith("-"):
        words = words[1:]
    if not words:
        sys.exit(f"error: {SCRIPT_COMMAND} needs the path of a script")
    path = words[0]
    sys.argv = words
    main_module = sys.modules["__main__"]
    main_module.__dict__.update({"__file__": path, "__name__": "__main__", "__builtins__": __builtins__})
    exec(compile(read_script(path), path, "exec", dont_inherit=True), main_module.__dict__)  # noqa: S102
    sys.exit(0)


def read_script(path: str) -> bytes:
    """The text of a script on disk, or of one inside the executable. Raises OSError."""
    try:
        return Path(path).read_bytes()
    except NotADirectoryError:  # the path of a module leads through the executable, into its archive
        import zipimport

        archive = Path(__file__).parents[2]
        return zipimport.zipimporter(str(archive)).get_data(path)
