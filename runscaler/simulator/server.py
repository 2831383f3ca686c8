"""The simulator as an HTTP server."""

from __future__ import annotations

import secrets
from random import Random
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.net.host_header import names_loopback
from runscaler.simulator.app import App
from runscaler.simulator.control import PREFIX as CONTROL
from runscaler.simulator.http_server import HttpServer
from runscaler.simulator.machine import Machine
from runscaler.simulator.machine_lock import MachineLock
from runscaler.simulator.offset_clock import OffsetClock
from runscaler.simulator.options import Options
from runscaler.simulator.replay.player import Replay
from runscaler.simulator.scenarios.player import Player

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runscaler.clock import Clock
    from runscaler.simulator.replay.player import ReplayResult
    from runscaler.simulator.replay.recording import Recording
    from runscaler.simulator.scenarios.plan import Scenario
    from runscaler.simulator.scenarios.player import ScenarioEvent
    from runscaler.simulator.scenarios.result import ScenarioResult

THREADS = 256
TOKEN_BYTES = 18


class SimulatorServer:
    """The simulated GitHub on a TCP port; port 0 takes a free one.

    Each long poll blocks a thread, so `threads` must exceed the number of sessions and agents by 8.
    `control_token` is what calls of the control API must bring; without one it is made at random.
    `networks`, such as 192.0.2.0/24, are those whose clients are served; without any, all are.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = THREADS,
        clock: Clock | None = None,
        seed: int = 0,
        control_token: str = "",
        networks: Sequence[str] = (),
    ) -> None:
        self.control_token = control_token or secrets.token_urlsafe(TOKEN_BYTES)
        self.clock = OffsetClock(clock or SystemClock())
        self.machine = Machine(self.clock, Random(seed), options or Options())
        self.lock = MachineLock(self.machine)
        self.app = App(self.lock, self.control_token, loopback_only=is_loopback(host))
        self.lock.environment = self
        self.player: Player | None = None
        self.replays: tuple[Replay, ...] = ()
        self._server = HttpServer(
            self.app, host, port, threads, lambda path: path.startswith(CONTROL), networks
        )

    @property
    def url(self) -> str:
        host = self._server.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    def load_scenario(
        self,
        scenario: Scenario,
        *,
        jobs: int = 0,
        seed: int | None = None,
        on_event: Callable[[ScenarioEvent], None] = lambda _: None,
        on_result: Callable[[ScenarioResult], None] = lambda _: None,
    ) -> Player:
        """Load a scenario before `start`; it begins when the first client polls.

        The options must come from `scenario.adapt`. `jobs` is the number of jobs to queue meanwhile.
        `on_event` and `on_result` are called on a thread of the simulator.
        """
        self.player = Player(
            scenario, self.lock, self.app.faults, jobs=jobs, seed=seed, on_event=on_event, on_result=on_result
        )
        self.app.control.player = self.player
        return self.player

    def load_replays(
        self,
        recordings: Iterable[Recording],
        *,
        on_begin: Callable[[Recording], None] = lambda _: None,
        on_result: Callable[[ReplayResult], None] = lambda _: None,
    ) -> tuple[Replay, ...]:
        """Load recordings before `start`; each begins when a client polls for the scale set of its name.

        `on_begin` and `on_result` are called on threads of the simulator.
        """
        self.replays = tuple(
            Replay(one, self.lock, on_begin=on_begin, on_result=on_result) for one in recordings
        )
        return self.replays

    def start(self) -> None:
        """Returns when the port is open; raises `HostError` if it cannot be opened."""
        self._server.start()
        self.lock.start()
        for playing in (self.player, *self.replays):
            if playing is not None:
                playing.start()

    def stop(self) -> None:
        """End open polls and stop all threads. May be called twice, or without `start`."""
        self.lock.close()
        for playing in (self.player, *self.replays):
            if playing is not None:
                playing.join()
        self._server.stop()

    def stop_listening(self) -> None:
        """Close all connections and refuse new ones (fault F2); control calls in progress are answered."""
        self._server.stop_listening()

    def resume_listening(self) -> None:
        """Listen on the same port again."""
        self._server.resume_listening()


def is_loopback(host: str) -> bool:
    """Whether a server that listens on this address can be reached from this machine only."""
    return bool(host) and names_loopback(f"[{host}]" if ":" in host else host)
