"""One actor on its own: its parent is a probe, everything else is in memory, no thread runs.

solo = Solo(max_runners=5)
listener = solo.listener()
solo.play()
assert solo.heard(SessionOpened)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from support.world import MemoryBoard, MemoryStateStore, blank, scale_set

from runscaler.actors.context import ActorContext, Configuration
from runscaler.actors.keeper import KeeperActor
from runscaler.actors.listener import ListenerActor
from runscaler.actors.runner import RunnerActor
from runscaler.backends.memory import MemoryBackend
from runscaler.config.model import Config, ScaleSetSettings
from runscaler.errors import Interrupted
from runscaler.interrupt import Interrupt
from runscaler.names import SlotNumber
from runscaler.testing.clock import FakeClock
from runscaler.testing.memory_github import MemoryGitHub
from runscaler.testing.probe import ActorHarness, InlineWorkerPool, Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from runscaler.backends.base import Stoppable
    from runscaler.events import Event
    from runscaler.github.base import ScaleSetService
    from runscaler.simulator.records import ScaleSet

T = TypeVar("T")


class WatchedService:
    """A `ScaleSetService` that keeps what it was asked, in order.

    A poll that finds nothing ends as if it had been cut, so that a listener comes to rest; the first
    `empty_polls` of them return None instead. `during` runs once inside the next call of that name.
    `answers` makes another answer of what a call returns.
    """

    def __init__(self, inner: ScaleSetService) -> None:
        self._inner = inner
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.empty_polls = 0
        self.during: dict[str, Callable[[], None]] = {}
        self.answers: dict[str, Callable[[Any], Any]] = {}

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)

        def watched(*args: Any, **options: Any) -> Any:
            self.calls.append((name, tuple(one for one in args if not isinstance(one, Interrupt))))
            if (happening := self.during.pop(name, None)) is not None:
                happening()
            answer = call(*args, **options)
            return self.answers[name](answer) if name in self.answers else answer

        return watched

    def poll(self, session: Any, last: int, capacity: int, interrupt: Interrupt) -> Any:
        batch = self.__getattr__("poll")(session, last, capacity, interrupt)
        if batch is None and self.empty_polls <= 0:
            raise Interrupted
        if batch is None:
            self.empty_polls -= 1
        return batch

    def clock_skew(self) -> float:
        """Not kept: nothing is asked."""
        return self._inner.clock_skew()

    def moved_to(self) -> str:
        return self._inner.moved_to()

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def args(self, call: str) -> list[tuple[Any, ...]]:
        return [args for name, args in self.calls if name == call]


class Solo:
    """`settings` are those of its one scale set, linux, unless `scale_sets` are given."""

    def __init__(
        self,
        *,
        scale_sets: tuple[ScaleSetSettings, ...] = (),
        host_cap: int = 0,
        serve: Callable[[], Stoppable] | None = None,
        **settings: Any,
    ) -> None:
        self.clock = FakeClock()
        self.harness = ActorHarness()
        self.parent = self.harness.add(Probe(self.clock, "parent"))
        self.github = MemoryGitHub(self.clock, blocking=False)
        self.backend = MemoryBackend(self.clock)
        self.state_store = MemoryStateStore()
        self.events: list[Event] = []
        sets = scale_sets or (scale_set("linux", **settings),)
        self.settings = sets[0]
        self.config = Config(scale_sets=sets, host={"max_runners": host_cap})  # type: ignore[arg-type]
        self.board = MemoryBoard(blank(self.config))
        self.service = WatchedService(self.github.connect(self.settings))
        self.interrupt = Interrupt()
        self.context = ActorContext(
            configuration=Configuration(self.config),
            clock=self.clock,
            state_store=self.state_store,
            board=self.board,
            host_name="host-a",
            connect=lambda settings, report: self.service,  # type: ignore[arg-type,return-value]
            backend_id_of=lambda _: "memory",
            open_backend=lambda _: self.backend,
            emit=self.events.append,
            make_worker_pool=InlineWorkerPool,
            serve=serve,
            launch=self.harness.launch,
        )

    # -- the actors: made and started, on the stage ---------------------------------------------------

    def listener(self, capacity: int = 10) -> ListenerActor:
        return self._started(
            ListenerActor(
                "listener linux",
                self.parent.actor_ref,
                self.context,
                self.settings,
                self.service,  # type: ignore[arg-type]
                self.interrupt,
                capacity,
            )
        )

    def runner(self, slot: int = 0) -> RunnerActor:
        return self._started(
            RunnerActor(
                f"runner {slot} linux",
                self.parent.actor_ref,
                self.context,
                self.settings,
                SlotNumber(slot),
                self.service,  # type: ignore[arg-type]
                self.backend,
                self.interrupt,
            )
        )

    def keeper(self) -> KeeperActor:
        return self._started(KeeperActor("keeper memory", self.parent.actor_ref, self.context, self.backend))

    def _started(self, actor: Any) -> Any:
        self.harness.add(actor)
        actor.on_start()
        return actor

    def probe(self, name: str) -> Probe:
        return self.harness.add(Probe(self.clock, name))

    # -- what the test does and sees --------------------------------------------------------------------

    def tell(self, actor: Any, *messages: object) -> None:
        """Tell and play."""
        for message in messages:
            actor.actor_ref.tell(message)
        self.play()

    def play(self) -> None:
        self.harness.deliver_all()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.play()

    def heard(self, kind: type[T]) -> list[T]:
        """What the parent was told, of that kind."""
        return self.parent.of(kind)

    def registered_set(self) -> ScaleSet:
        """The set as GitHub has it."""
        found = self.github.scale_set("linux")
        assert found is not None, "GitHub has no such scale set"
        return found
