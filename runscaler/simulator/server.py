"""The simulator as a server: the machine, its lock, the application and a port."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.simulator.app import App
from runscaler.simulator.control import PREFIX as CONTROL
from runscaler.simulator.http_server import Listener
from runscaler.simulator.machine import Machine
from runscaler.simulator.machine_lock import MachineLock
from runscaler.simulator.offset_clock import OffsetClock
from runscaler.simulator.options import Options
from runscaler.simulator.scenarios.player import Player

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.clock import Clock
    from runscaler.simulator.scenarios.plan import Scenario
    from runscaler.simulator.scenarios.player import ScenarioEvent
    from runscaler.simulator.scenarios.result import ScenarioResult

THREADS = 256


class SimulatorServer:
    """GitHub's side on a TCP port; 0 takes a free one.

    A long poll holds a thread: `threads` must exceed sessions, agents and 8 together.
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
    ) -> None:
        self.clock = OffsetClock(clock or SystemClock())
        self.machine = Machine(self.clock, Random(seed), options or Options())
        self.lock = MachineLock(self.machine)
        self.app = App(self.lock)
        self.lock.environment = self
        self.player: Player | None = None
        self._listener = Listener(self.app, host, port, threads, lambda path: path.startswith(CONTROL))

    @property
    def url(self) -> str:
        return f"http://{self._listener.host}:{self._listener.port}"

    def load_scenario(
        self,
        scenario: Scenario,
        *,
        jobs: int = 0,
        seed: int | None = None,
        on_event: Callable[[ScenarioEvent], None] = lambda _: None,
        on_result: Callable[[ScenarioResult], None] = lambda _: None,
    ) -> Player:
        """What `start` will play, as soon as a client comes; to be called before it.

        The options must have been `scenario.fitted`. With `jobs`, so many are queued meanwhile. `told`
        and `ended` are called on a thread of the simulator.
        """
        self.player = Player(
            scenario, self.lock, self.app.faults, jobs=jobs, seed=seed, on_event=on_event, on_result=on_result
        )
        self.app.control.player = self.player
        return self.player

    def start(self) -> None:
        """Returns when it listens; `HostError` if the port is taken."""
        self._listener.start()
        self.lock.start()
        if self.player is not None:
            self.player.start()

    def stop(self) -> None:
        """End waiting polls and close; complete when it returns, may be called twice or before `start`."""
        self.lock.close()
        if self.player is not None:
            self.player.join()
        self._listener.stop()

    def stop_listening(self) -> None:
        """Cut all connections and refuse new ones (F2); only a control call in flight is answered."""
        self._listener.stop_listening()

    def resume_listening(self) -> None:
        """Listen again, on the same port."""
        self._listener.resume_listening()
