"""The command, the work directory and the environment of a runner's main process.

The environment is an allow-list of the daemon's variables, not the daemon's environment without some of
them: tokens come in variables of any name (`env:NAME`), and a runner must inherit none of them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from runscaler.backends.certificates import ca_variables
from runscaler.backends.process.process_table import MARK
from runscaler.config.proxy_url import revealed
from runscaler.config.secret_variables import child_environment
from runscaler.errors import StartFailed
from runscaler.interpreter import interpreter_words
from runscaler.net.proxies import runner_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runscaler.backends.process.runner_directory import RunnerDirectory
    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.secrets import Secret

DEFAULT_COMMAND = "./run.sh"
AGENT = "agent.py"

INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
        *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("DOCKER_HOST", "JAVA_HOME", "ANDROID_HOME", "ANDROID_SDK_ROOT", "GOROOT"),
        *("ImageOS", "ImageVersion", "RUNNER_TOOL_CACHE", "AGENT_TOOLSDIRECTORY"),
    }
)
INHERITED_PREFIXES = ("LC_", "XDG_", "DOTNET_", "ACTIONS_RUNNER_HOOK_")

IDENTITY_FILES = (".runner", ".credentials", ".credentials_rsaparams", ".runner_migrated", "_work", "_diag")
"""Written into the template by a runner that was configured there by hand; never copied."""


def command_of(settings: ScaleSetSettings) -> list[str]:
    """The program and its arguments, relative to the work directory. Raises `StartFailed`."""
    process = settings.process
    if not process.run_command and not process.runner_dir:
        return [*interpreter_words(), "-I", "-S", "-B", AGENT]
    try:
        return shlex.split(process.run_command or DEFAULT_COMMAND)
    except ValueError as error:
        raise StartFailed(
            f"[process] run-command {process.run_command!r} cannot be split into words: {error}",
            fixes=("close its quotation marks",),
        ) from error


def populate(work: Path, settings: ScaleSetSettings, before_file: Callable[[], None]) -> None:
    """Make the work directory. `before_file` is called before each copy and may raise. Raises OSError."""
    if template := settings.process.runner_dir:
        _copy(Path(template).expanduser(), work, before_file)
        return
    work.mkdir(mode=0o700)
    if not settings.process.run_command:
        agent = files("runscaler").joinpath("simulator", AGENT)
        (work / AGENT).write_bytes(agent.read_bytes())


def environment(
    settings: ScaleSetSettings, mark: str, directory: RunnerDirectory, daemon: Mapping[str, str]
) -> dict[str, str]:
    """The runner's variables without its JIT configuration (docs/protocol.md § 8.1)."""
    chosen = {
        name: value
        for name, value in child_environment(daemon).items()
        if name in INHERITED or name.startswith(INHERITED_PREFIXES)
    }
    chosen |= {
        MARK: mark,
        "RUNNER_MANUALLY_TRAP_SIG": "1",
        "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE": "1",
    }
    if os.geteuid() == 0:
        chosen["RUNNER_ALLOW_RUNASROOT"] = "1"
    chosen |= runner_variables(revealed(settings.proxy), shares_loopback=True)
    if settings.ca:
        chosen |= ca_variables(str(directory.certificates), str(directory.bundle))
    return chosen


def launch(
    directory: RunnerDirectory, command: list[str], variables: dict[str, str], encoded: Secret
) -> subprocess.Popen[bytes]:
    """Run it in its own session with its output in a file, so that it outlives us. Raises OSError."""
    descriptor = os.open(directory.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        return subprocess.Popen(
            command,
            cwd=directory.work,
            env=variables | {"ACTIONS_RUNNER_INPUT_JITCONFIG": encoded.reveal()},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def require_program(settings: ScaleSetSettings) -> None:
    """Raise `StartFailed` if the template or the command's program is missing."""
    template = settings.process.runner_dir
    if template and not Path(template).expanduser().is_dir():
        raise StartFailed(
            f"[process] runner-dir {template} is not a directory",
            fixes=("unpack the runner of https://github.com/actions/runner/releases there",),
        )
    program = command_of(settings)[0]
    path = Path(template).expanduser() / program if "/" in program else program
    if shutil.which(path) is None:
        raise StartFailed(
            f"[process] {program} is missing or cannot be executed",
            fixes=("correct run-command or runner-dir in [process]",),
        )


def _copy(template: Path, work: Path, before_file: Callable[[], None]) -> None:
    def copy(source: str, target: str) -> object:
        before_file()
        return shutil.copy2(source, target)

    shutil.copytree(
        template,
        work,
        symlinks=True,
        copy_function=copy,
        ignore=lambda directory, names: (
            set(IDENTITY_FILES) & set(names) if Path(directory) == template else ()
        ),
    )
