"""Which executable a service starts."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from runscaler.errors import HostError
from runscaler.interpreter import is_frozen


def program_words(given: str | None = None) -> tuple[str, ...]:
    """The absolute path of `given`, else of the running program, as the first words of a command.

    Raises `HostError` if there is no such executable file.
    """
    if given is None and not is_frozen() and Path(sys.argv[0]).name == "__main__.py":
        return (sys.executable, "-m", "runscaler")
    wanted = given or (sys.executable if is_frozen() else sys.argv[0])
    found = shutil.which(wanted) or wanted
    path = Path(found).expanduser().absolute()
    if not path.is_file():
        raise HostError(f"there is no program {path}", fixes=("give its path: --binary-path PATH",))
    if not os.access(path, os.X_OK):
        raise HostError(f"{path} is not executable", fixes=(f"chmod +x {path}",))
    return (str(path),)
