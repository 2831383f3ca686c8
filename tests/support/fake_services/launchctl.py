"""A fake of launchctl(1), for the commands that we use."""

from __future__ import annotations

import plistlib
import stat
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import processes as p

KEYS = {
    "Label",
    "ProgramArguments",
    "EnvironmentVariables",
    "RunAtLoad",
    "KeepAlive",
    "ThrottleInterval",
    "AbandonProcessGroup",
    "ExitTimeOut",
    "ProcessType",
    "LimitLoadToSessionType",
    "StandardOutPath",
    "StandardErrorPath",
}


def name_of(target: str) -> str:
    return target.replace("/", "_")


def pid_of(target: str) -> int:
    pid = p.recall(name_of(target)).get("pid", 0)
    return pid if p.is_alive(pid) else 0


def missing(target: str) -> None:
    domain, _, label = target.rpartition("/")
    shown = "system" if domain == "system" else f"user gui: {domain.rpartition('/')[2]}"
    p.refuse(f'Bad request.\nCould not find service "{label}" in domain for {shown}', 113)


def show(target: str) -> None:
    if target == "system" or (target.count("/") == 1 and target.startswith("gui/")):
        if (p.FOLDER / "no-session").exists() and target != "system":
            p.refuse(f"Bad request.\nCould not find domain for user gui: {target.partition('/')[2]}", 125)
        print(f"{target} = {{\n}}")
        return
    if not p.recall(name_of(target)).get("loaded"):
        missing(target)
    pid = pid_of(target)
    print(f"{target} = {{\n\tstate = {'running' if pid else 'not running'}")
    print(f"\tpid = {pid}" if pid else "\tlast exit code = 1")
    print("}")


def bootstrap(domain: str, file: str) -> None:
    path = Path(file)
    if not path.exists() or path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        p.refuse("Bootstrap failed: 5: Input/output error", 5)
    definition = plistlib.loads(path.read_bytes())
    target = f"{domain}/{definition['Label']}"
    if path.name != f"{definition['Label']}.plist" or set(definition) - KEYS:
        p.refuse("Bootstrap failed: 22: Invalid argument", 22)
    if p.recall(name_of(target)).get("loaded"):
        p.refuse("Bootstrap failed: 37: Operation already in progress", 37)
    if p.recall(name_of(target)).get("disabled"):
        p.refuse("Bootstrap failed: 5: Input/output error", 5)
    p.remember(name_of(target), loaded=str(path), pid=0)
    run(target)


def run(target: str) -> None:
    definition = plistlib.loads(Path(p.recall(name_of(target))["loaded"]).read_bytes())
    log = Path(definition["StandardOutPath"])
    variables = definition.get("EnvironmentVariables", {})
    pid = p.spawn(definition["ProgramArguments"], variables, log, notify=False)
    p.remember(name_of(target), pid=pid or 0)


def bootout(target: str) -> None:
    if not p.recall(name_of(target)).get("loaded"):
        p.refuse("Boot-out failed: 3: No such process", 3)
    if pid := pid_of(target):
        p.end(pid)
    p.remember(name_of(target), loaded="", pid=0)


def kickstart(target: str) -> None:
    if not p.recall(name_of(target)).get("loaded"):
        missing(target)
    if not pid_of(target):
        run(target)


verb, *rest = sys.argv[1:]
p.answer_fault([verb, *rest])
if verb == "print":
    show(rest[0])
elif verb == "bootstrap":
    bootstrap(*rest)
elif verb == "bootout":
    bootout(rest[0])
elif verb == "kickstart":
    kickstart(rest[0])
elif verb in {"enable", "disable"}:
    p.remember(name_of(rest[0]), disabled=verb == "disable")
elif verb == "print-disabled":
    print("disabled services = {")
    for path in p.FOLDER.glob(f"{name_of(rest[0])}_*.json"):
        label = path.stem.removeprefix(f"{name_of(rest[0])}_")
        state = "disabled" if p.recall(path.stem).get("disabled") else "enabled"
        print(f'\t"{label}" => {state}')
    print("}")
else:
    p.refuse(f"Unrecognized subcommand: {verb}", 64)
