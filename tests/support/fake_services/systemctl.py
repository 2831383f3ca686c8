"""A fake of systemctl(1), for the commands and properties that we use."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import processes as p

WANTS = ("default.target.wants", "multi-user.target.wants")


class Unit:
    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.file = folder / name
        drop_ins = sorted((folder / f"{name}.d").glob("*.conf"))
        self.files = [self.file, *drop_ins]

    @property
    def text(self) -> str:
        return "\n".join(path.read_text() for path in self.files)

    @property
    def is_enabled(self) -> bool:
        return any((self.folder / wants / self.name).is_symlink() for wants in WANTS)

    @property
    def pid(self) -> int:
        pid = p.recall(self.name).get("pid", 0)
        return pid if p.is_alive(pid) else 0

    def values(self, key: str) -> list[str]:
        found: list[str] = []
        section = ""
        for line in self.text.splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line.startswith(f"{key}="):
                value = line.partition("=")[2]
                found = [*found, value] if value else []
        return found

    def variables(self) -> dict[str, str]:
        words = [word for value in self.values("Environment") for word in shlex.split(value)]
        for path in self.values("EnvironmentFile"):
            if Path(path.removeprefix("-")).exists() or not path.startswith("-"):
                words += shlex.split(Path(path.removeprefix("-")).read_text(), comments=True)
        return dict(word.split("=", 1) for word in words)

    def start(self) -> None:
        if not self.file.exists():
            p.refuse(f"Failed to start {self.name}: Unit {self.name} not found.", 5)
        if p.recall(self.name).get("loaded") != self.text:
            p.refuse(
                f"Warning: The unit file, source configuration file or drop-ins of {self.name} changed on "
                "disk. Run 'systemctl daemon-reload' to reload units.",
                1,
            )
        if self.pid:
            return
        (command,) = self.values("ExecStart")
        words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(command)]
        notify = self.values("Type") == ["notify"]
        pid = p.spawn(words, self.variables(), p.FOLDER / f"{self.name}.journal", notify=notify)
        p.remember(self.name, pid=pid or 0, failed=pid is None)
        if pid is None:
            p.refuse(
                f"Job for {self.name} failed because the control process exited with error code.\n"
                f'See "systemctl status {self.name}" and "journalctl -xeu {self.name}" for details.',
                1,
            )

    def stop(self) -> None:
        if not self.file.exists() and not p.recall(self.name):
            p.refuse(f"Failed to stop {self.name}: Unit {self.name} not loaded.", 5)
        if self.pid:
            p.end(self.pid)
        p.remember(self.name, pid=0, failed=False)

    def show(self, wanted: list[str]) -> None:
        known = p.recall(self.name)
        died = bool(known.get("failed") or (known.get("pid") and not self.pid))
        state = "active" if self.pid else "failed" if died else "inactive"
        answers = {
            "ActiveState": state,
            "SubState": {"active": "running", "failed": "failed", "inactive": "dead"}[state],
            "MainPID": str(self.pid),
            "UnitFileState": "enabled" if self.is_enabled else "disabled" if self.file.exists() else "",
            "StatusText": "",
            "Result": "exit-code" if died else "success",
            "ExecMainStatus": "1" if died else "0",
        }
        for name in wanted:
            print(f"{name}={answers[name]}")

    def enable(self) -> None:
        if not self.file.exists():
            p.refuse(f"Failed to enable unit: Unit file {self.name} does not exist.", 1)
        wants = self.folder / ("default.target.wants" if is_user else "multi-user.target.wants")
        wants.mkdir(exist_ok=True)
        (wants / self.name).unlink(missing_ok=True)
        (wants / self.name).symlink_to(self.file)

    def disable(self) -> None:
        if not self.file.exists():
            p.refuse(f"Failed to disable unit: Unit file {self.name} does not exist.", 1)
        for wants in WANTS:
            (self.folder / wants / self.name).unlink(missing_ok=True)


def reload(folder: Path) -> None:
    for path in folder.glob("*.service"):
        unit = Unit(path.name, folder)
        p.remember(path.name, loaded=unit.text)


words = sys.argv[1:]
is_user = words[:1] == ["--user"]
verb, *rest = words[1:] if is_user else words
p.answer_fault([verb, *rest])
units = Path(os.environ["HOME"]) / ".config/systemd/user" if is_user else Path(os.environ["FAKE_ROOT"])
units = units if is_user else units / "etc/systemd/system"
if verb == "show-environment":
    print("PATH=/usr/bin:/bin")
elif verb == "daemon-reload":
    reload(units)
elif verb == "show":
    Unit(rest[0], units).show(rest[1].removeprefix("--property=").split(","))
elif verb == "restart":
    Unit(rest[0], units).stop()
    Unit(rest[0], units).start()
elif verb == "reset-failed":
    sys.exit(0 if Unit(rest[0], units).file.exists() else 1)
elif verb in {"start", "stop", "enable", "disable"}:
    (service,) = rest
    getattr(Unit(service, units), verb)()
else:
    p.refuse(f"Unknown command verb {verb}.", 1)
