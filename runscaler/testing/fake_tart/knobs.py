"""The knobs: latencies, failures and host state that a test sets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import zlib
from typing import TYPE_CHECKING, Any

from runscaler.testing.fake_tart.output import Failure, Json, complain, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION = "2.32.1"
DAY = 86400.0
LATENCY: dict[str, float] = {
    "start": 0.0,  # of every command
    "clone": 0.02,
    "set": 0.005,
    "limit": 0.02,  # until `run` learns that the host's limit is reached
    "boot_socket": 0.03,
    "boot_agent": 0.2,  # after boot_socket
    "exec_connect": 0.005,
    "exec_pause": 1.0,  # before the first retry; then 1.6 times the last
    "exec_patience": 30.0,
    "stop": 0.01,
    "delete": 0.005,
    "list": 0.005,
    "get": 0.0,
    "prune": 0.01,
    "pull": 0.2,  # in all, after the manifest
}
"""Default seconds of each step: a Mac's, scaled down; exec's retries are unscaled."""
STATE: Json = {
    "version": VERSION,
    "limit": 2,  # running macOS guests on the host
    "leaked": 0,  # ended VMs that the kernel still counts
    "count_lag": 0.0,  # seconds that a stopped VM still counts
    "leak_on_kill": False,  # each `run` that was SIGKILLed stays counted until reboot
    "lease_places": 253,
    "lease_seconds": DAY,
    "keychain_locked": False,
    "agent": {},  # VM name (with `*` at the end: a prefix) -> "up" | "never"
    "host_cpu": 0,  # 0: no limit
    "before_2_31": False,  # list says SizeOnDisk, not Accessed
    "pull_steps": 4,
}


class SeededRandom:
    """Random numbers; the same ones for the same seed."""

    def __init__(self, seed: bytes) -> None:
        self._seed, self._drawn = seed, 0

    def unit(self) -> float:
        return self.integer() / 2**32

    def integer(self) -> int:
        """Less than 2³²."""
        self._drawn += 1
        return zlib.crc32(b"%d/%b/%d" % (self._drawn, self._seed, self._drawn))

    def mac(self) -> str:
        """Locally administered, unicast."""
        octets = (self.integer() & 0xFF for _ in range(5))
        return ":".join(f"{octet:02x}" for octet in (self.integer() & 0xFC | 2, *octets))


class Knobs:
    """The content of `$FAKE_TART_KNOBS`: {"seed", "latency": {}, "state": {}, "rules": []}.

    A latency is seconds or [seconds, jitter]. A rule is {command, name?, contains?, when, nth?, times?,
    chance?, do, after?, seconds?, code?, text?, stream?, signal?}: see `fake_tart_rules.Rule`.
    """

    def __init__(self, path: str, host: str) -> None:
        self._path, self._host = path, host
        self._content: Json = {}
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            self._content = json.load(file)
        self.random = SeededRandom(os.urandom(8))
        self.ignored_signals: set[int] = set()
        """By `run`."""

    def reread(self) -> Knobs:
        """As they are set now."""
        return Knobs(self._path, self._host)

    def seed_for(self, label: str) -> None:
        """Make this call's random numbers repeatable, if there is a seed."""
        if "seed" in self._content:
            self.random = SeededRandom(f"{self._content['seed']} {label} {self._ordinal(label)}".encode())

    def state(self, name: str) -> Any:
        return self._content.get("state", {}).get(name, STATE[name])

    def agent(self, name: str) -> str:
        wanted = [value for key, value in self.state("agent").items() if named_by(key, (name,))]
        return wanted[-1] if wanted else "up"

    def seconds(self, step: str) -> float:
        latency = self._content.get("latency", {}).get(step, LATENCY[step])
        base, jitter = latency if isinstance(latency, list) else (latency, 0.0)
        return max(0.0, float(base) + float(jitter) * (2 * self.random.unit() - 1))

    def pause(self, step: str) -> None:
        time.sleep(self.seconds(step))

    def fire(self, command: str, when: str, names: Iterable[str], argv: Iterable[str] = ()) -> None:
        """Apply the rules for this moment; raises Failure for `exit`."""
        for rule in self.matching(command, when, names, argv):
            time.sleep(rule.get("after", 0.0))
            self.apply(rule)

    def matching(
        self, command: str, when: str, names: Iterable[str], argv: Iterable[str] = ()
    ) -> Iterator[Json]:
        """The rules for this moment. `nth` and `times` count the moments that match the rest of a rule."""
        names, line = tuple(names), " ".join(argv)
        for rule in self._content.get("rules", ()):
            moment = (rule["command"], rule.get("when", "before")) == (command, when)
            fits = moment and named_by(rule.get("name", "*"), names) and rule.get("contains", "") in line
            if fits and self._in_turn(rule) and self.random.unit() < rule.get("chance", 1.0):
                yield rule

    def _in_turn(self, rule: Json) -> bool:
        first, times = rule.get("nth", 1), rule.get("times", 0)
        ordinal = self._ordinal(str(rule.get("id") or sorted(rule.items())))
        return bool(ordinal >= first and (not times or ordinal < first + times))

    def apply(self, rule: Json) -> None:
        action, text = rule["do"], rule.get("text", "")
        if action == "exit" and rule.get("stream", "stderr") == "stderr":
            raise Failure(text, rule.get("code", 1))
        if text:
            (say if rule.get("stream") == "stdout" else complain)(text)
        if action == "exit":
            raise Failure("", rule.get("code", 1))
        if action == "hang":
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            while True:
                time.sleep(3600)
        if action == "kill":
            os.kill(os.getpid(), rule.get("signal", signal.SIGKILL))
        if action == "delay":
            time.sleep(rule["seconds"])
        if action == "ignore":
            self.ignored_signals.add(rule.get("signal", signal.SIGINT))

    def _ordinal(self, label: str) -> int:
        """How often this was called for the label on this host, including this time."""
        path = os.path.join(self._host, "counts", f"{zlib.crc32(label.encode()):08x}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, b".")
            return os.lseek(fd, 0, os.SEEK_CUR)
        finally:
            os.close(fd)


def named_by(pattern: str, names: tuple[str, ...]) -> bool:
    if pattern.endswith("*"):
        return pattern == "*" or any(name.startswith(pattern[:-1]) for name in names)
    return pattern in names
