"""Any death of an actor is one message to its parent. Real Pykka actors on real threads."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from runscaler.actors.base import ActorCrashed, SupervisedActor, error_text
from runscaler.actors.messages import Abandon, ChildCrashed
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 30.0
CLOCK = SystemClock()


class Ear(SupervisedActor[object]):
    """A parent that hands on what it hears."""

    def __init__(self, heard: queue.Queue[object]) -> None:
        super().__init__("ear", None, CLOCK)
        self._heard = heard

    def receive(self, message: object) -> None:
        self._heard.put(message)


class Family:
    """A parent and the children that a test starts under it."""

    def __init__(self) -> None:
        self.heard: queue.Queue[object] = queue.Queue()
        self.ear = Ear.start(self.heard)
        self.refs: list[pykka.ActorRef[Any]] = [self.ear]

    def start(self, kind: type[Any], *args: object) -> pykka.ActorRef[Any]:
        ref = kind.start(self.ear, *args)
        self.refs.append(ref)
        return ref

    def crash(self) -> ChildCrashed:
        """The next that the parent hears."""
        message = self.heard.get(timeout=PATIENCE)
        assert isinstance(message, ChildCrashed)
        return message

    def rest(self) -> list[object]:
        """Everything else that the parent was told before all threads of the children ended."""
        for name in ("frail", "child"):
            wait_for_end(name)
        self.ear.stop(timeout=PATIENCE)
        return list(self.heard.queue)

    def end(self) -> None:
        for ref in self.refs:
            if ref.is_alive():
                ref.stop(timeout=PATIENCE)


class Frail(SupervisedActor[object]):
    """Calls what it is told; `at_start` and `at_end` are called at its start and its end."""

    def __init__(
        self,
        parent: pykka.ActorRef[Any],
        at_start: Callable[[], object] | None = None,
        at_end: Callable[[], object] | None = None,
    ) -> None:
        super().__init__("frail", parent, CLOCK)
        self._at_start, self._at_end = at_start, at_end

    def started(self) -> None:
        if self._at_start is not None:
            self._at_start()

    def receive(self, message: Any) -> object:
        return message()

    def describe(self, message: Any) -> str:
        return "an order"

    def clean_up(self) -> None:
        if self._at_end is not None:
            self._at_end()


class Child(SupervisedActor[object]):
    """Blocks in a call until it is cut, where it was told to."""

    def __init__(self, parent: pykka.ActorRef[Any], interrupt: Interrupt, ended: queue.Queue[str]) -> None:
        super().__init__("child", parent, CLOCK)
        self._interrupt, self._ended = interrupt, ended

    def receive(self, message: Any) -> None:
        message.set()
        self._interrupt.wait(PATIENCE)

    def abandoned(self) -> None:
        self._ended.put("abandoned")


class Parent(SupervisedActor[object]):
    """Has one child, which is busy in a call."""

    def __init__(self, parent: pykka.ActorRef[Any], ended: queue.Queue[str]) -> None:
        super().__init__("frail", parent, CLOCK)
        self._ended = ended

    def started(self) -> None:
        interrupt, busy = Interrupt(), threading.Event()
        self.children.start("child", lambda: Child.start(self.actor_ref, interrupt, self._ended), interrupt)
        self.children.tell("child", busy)
        assert busy.wait(PATIENCE)

    def receive(self, message: Any) -> object:
        return message()

    def abandoned(self) -> None:
        self._ended.put("parent abandoned")


@pytest.fixture
def family() -> Iterator[Family]:
    family = Family()
    yield family
    family.end()


def wait_for_end(name: str) -> None:
    """The threads of that name have ended."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"{name} still runs"


def fail() -> None:
    raise ValueError("broken")


def leave() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(("deed", "error"), [(fail, "ValueError: broken"), (leave, "SystemExit: 3")])
def test_a_told_message_that_raises_is_one_crash(family: Family, deed: Any, error: str) -> None:
    ref = family.start(Frail)
    ref.tell(deed)

    crash = family.crash()
    assert (crash.urn, crash.name, crash.handling) == (ref.actor_urn, "frail", "an order")
    assert crash.error.startswith(error)
    assert crash.orphans == ()
    assert family.rest() == []
    assert not ref.is_alive()


@pytest.mark.parametrize("deed", [fail, leave])
def test_an_asked_message_that_raises_answers_and_is_one_crash(family: Family, deed: Any) -> None:
    ref = family.start(Frail)

    with pytest.raises(ActorCrashed):
        ref.ask(deed, timeout=PATIENCE)

    assert family.crash().urn == ref.actor_urn
    assert family.rest() == []
    assert not ref.is_alive()


@pytest.mark.parametrize("deed", [fail, leave])
def test_a_start_that_raises_is_one_crash(family: Family, deed: Any) -> None:
    ref = family.start(Frail, deed)

    crash = family.crash()
    assert (crash.urn, crash.handling) == (ref.actor_urn, "start")
    assert family.rest() == []
    assert not ref.is_alive()


def test_a_release_that_raises_after_an_orderly_stop_is_one_crash(family: Family) -> None:
    ref = family.start(Frail, None, fail)
    ref.stop(block=False)

    crash = family.crash()
    assert (crash.urn, crash.handling) == (ref.actor_urn, "stop")
    assert family.rest() == []


@pytest.mark.parametrize("at_end", [fail, leave])
def test_a_release_that_raises_after_a_crash_does_not_hide_it(family: Family, at_end: Any) -> None:
    def crash() -> None:
        raise OSError("the first to go wrong")

    family.start(Frail, None, at_end).tell(crash)

    assert family.crash().error.startswith("OSError: the first to go wrong")
    assert family.rest() == []


def test_an_error_that_cannot_be_shown_is_a_crash_all_the_same(family: Family) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise TypeError("no text")

    def crash() -> None:
        raise Mute

    family.start(Frail).tell(crash)

    assert family.crash().error.startswith("Mute: ")
    assert family.rest() == []


def test_what_an_actor_holds_is_released_once_at_an_orderly_end_and_at_a_crash(family: Family) -> None:
    released: queue.Queue[str] = queue.Queue()

    family.start(Frail, None, lambda: released.put("released")).stop(timeout=PATIENCE)
    wait_for_end("frail")
    assert released.qsize() == 1

    family.start(Frail, None, lambda: released.put("released")).tell(fail)
    family.crash()
    wait_for_end("frail")
    assert released.qsize() == 2


def test_an_orderly_end_is_no_crash(family: Family) -> None:
    family.start(Frail).stop(timeout=PATIENCE)

    assert family.rest() == []


def test_a_message_behind_the_crash_is_not_handled_and_its_asker_is_told(family: Family) -> None:
    held, handled = threading.Event(), threading.Event()

    def hold_and_fail() -> None:
        held.wait(PATIENCE)
        fail()

    ref = family.start(Frail)
    ref.tell(hold_and_fail)
    behind = ref.ask(handled.set, block=False)
    held.set()

    with pytest.raises(pykka.ActorDeadError):
        behind.get(timeout=PATIENCE)
    assert not handled.is_set()
    assert family.crash().urn == ref.actor_urn
    assert family.rest() == []


@pytest.mark.parametrize("deed", [fail, leave])
def test_the_other_actors_of_the_process_live_on(family: Family, deed: Any) -> None:
    class Stranger(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: object) -> object:
            return message

    stranger = Stranger.start()
    for start, order in ((deed, lambda: None), (None, deed)):
        ref = family.start(Frail, start)
        if start is None:
            ref.tell(order)
        family.crash()
        wait_for_end("frail")

    assert stranger.ask("still there?", timeout=PATIENCE) == "still there?"
    assert family.ear.is_alive()
    stranger.stop(timeout=PATIENCE)


def test_a_dead_actor_is_registered_no_more(family: Family) -> None:
    ref = family.start(Frail)
    ref.tell(fail)
    family.crash()

    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_a_constructor_that_raises_leaves_nothing_registered(family: Family) -> None:
    class Stillborn(Frail):
        def __init__(self, parent: pykka.ActorRef[Any]) -> None:
            super().__init__(parent)
            fail()

    before = set(pykka.ActorRegistry.get_all())
    with pytest.raises(ValueError, match="broken"):
        family.start(Stillborn)

    assert set(pykka.ActorRegistry.get_all()) == before


def test_an_actor_that_gets_no_thread_leaves_nothing_registered(family: Family) -> None:
    class NoThreadToBeHad(pykka.ThreadingActor):
        def _start_actor_loop(self) -> None:
            raise RuntimeError("can't start new thread")

    class Unlucky(Frail, NoThreadToBeHad):
        pass

    before = set(pykka.ActorRegistry.get_all())
    with pytest.raises(RuntimeError, match="can't start new thread"):
        family.start(Unlucky)

    assert set(pykka.ActorRegistry.get_all()) == before


def test_the_children_of_a_dying_actor_are_cut_abandoned_and_named(family: Family) -> None:
    ended: queue.Queue[str] = queue.Queue()
    ref = family.start(Parent, ended)
    ref.tell(fail)

    crash = family.crash()
    (orphan,) = crash.orphans
    wait_for_end("child")
    assert not orphan.is_alive()
    assert family.rest() == []


def test_an_abandoned_actor_abandons_its_children_and_tells_nobody(family: Family) -> None:
    ended: queue.Queue[str] = queue.Queue()
    ref = family.start(Parent, ended)
    ref.tell(Abandon())

    wait_for_end("frail")
    assert ended.get(timeout=PATIENCE) == "parent abandoned"
    assert not ref.is_alive()
    assert family.rest() == []


def test_an_idle_child_hears_that_it_is_abandoned(family: Family) -> None:
    ended: queue.Queue[str] = queue.Queue()
    ref = family.start(Child, Interrupt(), ended)
    ref.tell(Abandon())

    assert ended.get(timeout=PATIENCE) == "abandoned"
    assert family.rest() == []


def test_a_crash_is_told_as_text_without_the_value_of_any_variable(
    family: Family, caplog: pytest.LogCaptureFixture
) -> None:
    def leak() -> None:
        token = "ghp_" + "secret"
        raise ValueError(f"a token of {len(token)} letters is refused")

    caplog.set_level(logging.DEBUG)
    family.start(Frail).tell(leak)

    crash = family.crash()
    assert crash.error.startswith("ValueError: a token of 10 letters is refused\n")
    assert " leak" in crash.error
    assert "ghp_secret" not in crash.error
    wait_for_end("frail")
    assert "ghp_secret" not in caplog.text


def test_rendered_names_each_frame_and_no_source_line() -> None:
    try:
        fail()
    except ValueError as error:
        first, *frames = error_text(error).split("\n")

    assert first == "ValueError: broken"
    assert [line.rsplit(" ", 1)[1] for line in frames] == [
        "test_rendered_names_each_frame_and_no_source_line",
        "fail",
    ]
    assert "raise" not in "".join(frames)


def test_the_thread_bears_the_name_of_the_actor(family: Family) -> None:
    ref = family.start(Frail)

    assert ref.ask(lambda: threading.current_thread().name, timeout=PATIENCE) == "frail"
    assert ref.ask(lambda: threading.current_thread().daemon, timeout=PATIENCE) is True


def test_telling_the_dead_or_nobody_is_no_error(family: Family) -> None:
    dead = family.start(Frail)
    dead.stop(timeout=PATIENCE)
    actor = Frail(family.ear)

    actor.send(dead, "hello")
    actor.send(None, "hello")
    actor.report("hello")

    assert family.heard.get(timeout=PATIENCE) == "hello"


def test_a_message_for_later_comes_after_the_time_and_again_behind_what_waits(family: Family) -> None:
    class Patient(Frail):
        def receive(self, message: Any) -> None:
            if message == "go":
                self.after(0.01, "later")
                self.send_self("again")
            self.report(message)

    family.start(Patient).tell("go")

    assert [family.heard.get(timeout=PATIENCE) for _ in range(3)] == ["go", "again", "later"]


def test_an_actor_that_says_nothing_of_itself_is_described_by_the_kind_of_message(family: Family) -> None:
    class Mute(SupervisedActor[object]):
        def __init__(self, parent: pykka.ActorRef[Any]) -> None:
            super().__init__("frail", parent, CLOCK)

    family.start(Mute).tell({"token": "ghp_secret"})

    crash = family.crash()
    assert crash.handling == "dict"
    assert crash.error.startswith("NotImplementedError: frail")
    assert "ghp_secret" not in crash.error
