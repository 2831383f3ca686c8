"""A host for tests: a root folder, a home, the fakes on the PATH, and a service of the Go tool on it."""

from __future__ import annotations

import json
import os
import plistlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

from support.planted import TOKEN

from runscaler.ops.demo import free_port
from runscaler.ops.service.layout import Layout

from . import processes

if TYPE_CHECKING:
    import pytest

    from runscaler.findings import Finding

HERE = Path(__file__).parent
GO_TOOL = (sys.executable, str(HERE / "go_tool.py"))
RUNNER = (sys.executable, "-m", "runscaler")


class ServiceHost:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, github_url: str) -> None:
        self.root, self.known = folder / "root dir", folder / "known"
        self.home = self.root / "home/alice"
        self.github_url = github_url
        self.port = free_port()
        self.said: list[Finding] = []
        for path in (self.home, self.known, self.root / "run/systemd/system", self.root / "var/log"):
            path.mkdir(parents=True)
        for tool in ("systemctl", "launchctl"):
            self._add_tool(folder / "bin", tool)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_SERVICES", str(self.known))
        monkeypatch.setenv("FAKE_ROOT", str(self.root))
        monkeypatch.setenv("HOME", str(self.home))
        for name in ("SUDO_USER", "RUNNER_TOKEN", "RUNSCALER_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(processes, "FOLDER", self.known)

    def _add_tool(self, folder: Path, tool: str) -> None:
        folder.mkdir(exist_ok=True)
        program = folder / tool
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -S {HERE}/{tool}.py "$@"\n')
        program.chmod(0o755)

    def layout(self, *, is_user: bool = False) -> Layout:
        return Layout(is_user, os.geteuid(), os.getegid(), "alice", self.home, self.root)

    # -- what is installed ---------------------------------------------------------------------------

    def write_config(self, path: Path, more: str = "", backend: str = "process") -> Path:
        """A configuration whose token is in the environment."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'url = "{self.github_url}/my-org"\nname = "linux"\nbackend = "{backend}"\n'
            f'health-port = {self.port}\nstate-dir = "{self.root}/state"\n{more}'
        )
        path.chmod(0o600)
        return path

    def install_go_unit(
        self, config: Path, *, is_user: bool = False, name: str = "runscaler.service"
    ) -> Path:
        """Installed and started, with its token in a drop-in and other variables in the unit and a file."""
        units = self.layout(is_user=is_user).units
        (units / f"{name}.d").mkdir(parents=True)
        variables = self.root / "variables"
        variables.write_text('# for the runner\nFROM_FILE="a file"\n')
        command = " ".join(f'"{word}"' for word in (*GO_TOOL, "--config", str(config)))
        (units / name).write_text(
            f"[Unit]\nDescription=GitHub Actions Runner Auto-Scaler\n\n[Service]\nType=simple\n"
            f"ExecStart={command}\nRestart=on-failure\nEnvironment=FROM_UNIT=unit\n"
            f"EnvironmentFile={variables}\nProtectSystem=strict\n\n[Install]\nWantedBy=multi-user.target\n"
        )
        (units / f"{name}.d/token.conf").write_text(f"[Service]\nEnvironment=RUNNER_TOKEN={TOKEN}\n")
        for words in (["daemon-reload"], ["enable", name], ["start", name]):
            self.run("systemctl", *(["--user"] if is_user else []), *words)
        return units / name

    def install_go_plist(
        self, config: Path, *, is_user: bool = False, label: str = "com.runscaler.agent"
    ) -> Path:
        layout = self.layout(is_user=is_user)
        layout.plists.mkdir(parents=True)
        log = layout.launchd_log
        log.parent.mkdir(parents=True, exist_ok=True)
        path = layout.plists / f"{label}.plist"
        definition = {
            "Label": label,
            "ProgramArguments": [*GO_TOOL, "--config", str(config)],
            "EnvironmentVariables": {"RUNNER_TOKEN": TOKEN, "PATH": os.environ["PATH"]},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "StandardOutPath": str(log),
            "StandardErrorPath": str(log),
        }
        path.write_bytes(plistlib.dumps(definition))
        domain = f"gui/{layout.uid}" if is_user else "system"
        self.run("launchctl", "bootstrap", domain, str(path))
        return path

    # -- what happens --------------------------------------------------------------------------------

    def run(self, *words: str) -> None:
        from runscaler.ops.service.commands import run_command

        answer = run_command(words)
        assert answer.code == 0, answer

    def break_call(self, call: str, code: int = 1, text: str = "injected") -> None:
        """The next call that contains these words fails."""
        (self.known / "faults.json").write_text(json.dumps([{"call": call, "code": code, "text": text}]))

    @property
    def calls(self) -> list[str]:
        return (self.known / "calls").read_text().splitlines()

    @property
    def text(self) -> str:
        return "\n".join(finding.message for finding in self.said)

    def health(self) -> dict[str, object]:
        """Who answers on the port; empty if nobody does. The fake Go tool answers with "go"."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=10) as reply:
                return json.load(reply)
        except OSError:
            return {}

    def close(self) -> None:
        """End what the fakes have started."""
        for path in self.known.glob("*.json"):
            if path.name != "faults.json":
                processes.end(int(processes.recall(path.stem).get("pid") or 0))
