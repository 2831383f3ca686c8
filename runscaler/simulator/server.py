"""The simulator as a server: the machine, its gate, the application and a port."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from runscaler.clock import SystemClock
from runscaler.simulator.app import App
from runscaler.simulator.control import PREFIX as CONTROL
from runscaler.simulator.gate import Gate
from runscaler.simulator.listening import Listener
from runscaler.simulator.offset_clock import OffsetClock
from runscaler.simulator.options import Options
from runscaler.simulator.state import Machine

if TYPE_CHECKING:
    from runscaler.clock import Clock

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
        self.gate = Gate(self.machine)
        self.app = App(self.gate)
        self.gate.surroundings = self
        self._listener = Listener(self.app, host, port, threads, lambda path: path.startswith(CONTROL))

    @property
    def url(self) -> str:
        return f"http://{self._listener.host}:{self._listener.port}"

    def start(self) -> None:
        """Returns when it listens; `HostError` if the port is taken."""
        self._listener.start()
        self.gate.start()

    def stop(self) -> None:
        """End waiting polls and close; complete when it returns, may be called twice or before `start`."""
        self.gate.close()
        self._listener.stop()

    def leave(self) -> None:
        """Cut all connections and refuse new ones (F2); only a control call in flight is answered."""
        self._listener.leave()

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._listener.come_back()
