"""Whatever kills an actor, its parent gets exactly one message. Real Pykka actors on real threads."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from runscaler.actors.base import ActorCrashed, SupervisedActor
from runscaler.actors.messages import Abandon, ChildCrashed
from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.threads import error_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT = 30.0
CLOCK = SystemClock()


class RecordingParent(SupervisedActor[object]):
    """A parent that puts every message that it gets into a queue."""

    def __init__(self, heard: queue.Queue[object]) -> None:
        super().__init__("parent", None, CLOCK)
        self._heard = heard

    def receive(self, message: object) -> None:
        self._heard.put(message)


class ActorTree:
    """A parent and the children that a test starts under it."""

    def __init__(self) -> None:
        self.heard: queue.Queue[object] = queue.Queue()
        self.parent = RecordingParent.start(self.heard)
        self.refs: list[pykka.ActorRef[Any]] = [self.parent]

    def start(self, kind: type[Any], *args: object) -> pykka.ActorRef[Any]:
        ref = kind.start(self.parent, *args)
        self.refs.append(ref)
        return ref

    def crash(self) -> ChildCrashed:
        """The next message that the parent gets."""
        message = self.heard.get(timeout=TIMEOUT)
        assert isinstance(message, ChildCrashed)
        return message

    def rest(self) -> list[object]:
        """The other messages that the parent got before all threads of its children ended."""
        for name in ("caller", "child"):
            wait_for_end(name)
        self.parent.stop(timeout=TIMEOUT)
        return list(self.heard.queue)

    def end(self) -> None:
        for ref in self.refs:
            if ref.is_alive():
                ref.stop(timeout=TIMEOUT)


class CallingActor(SupervisedActor[object]):
    """Calls each message; `at_start` and `at_end` are called by its hooks `started` and `clean_up`."""

    def __init__(
        self,
        parent: pykka.ActorRef[Any],
        at_start: Callable[[], object] | None = None,
        at_end: Callable[[], object] | None = None,
    ) -> None:
        super().__init__("caller", parent, CLOCK)
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
    """On a message, blocks in a call until it is cut."""

    def __init__(self, parent: pykka.ActorRef[Any], interrupt: Interrupt, ended: queue.Queue[str]) -> None:
        super().__init__("child", parent, CLOCK)
        self._interrupt, self._ended = interrupt, ended

    def receive(self, message: Any) -> None:
        message.set()
        self._interrupt.wait(TIMEOUT)

    def abandoned(self) -> None:
        self._ended.put("abandoned")


class Parent(SupervisedActor[object]):
    """Has one child, which blocks in a call."""

    def __init__(self, parent: pykka.ActorRef[Any], ended: queue.Queue[str]) -> None:
        super().__init__("caller", parent, CLOCK)
        self._ended = ended

    def started(self) -> None:
        interrupt, busy = Interrupt(), threading.Event()
        self.children.start("child", lambda: Child.start(self.actor_ref, interrupt, self._ended), interrupt)
        self.children.tell("child", busy)
        assert busy.wait(TIMEOUT)

    def receive(self, message: Any) -> object:
        return message()

    def abandoned(self) -> None:
        self._ended.put("parent abandoned")


@pytest.fixture
def tree() -> Iterator[ActorTree]:
    tree = ActorTree()
    yield tree
    tree.end()


def wait_for_end(name: str) -> None:
    """Wait until all threads of that name have ended."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(TIMEOUT)
            assert not thread.is_alive(), f"{name} still runs"


def fail() -> None:
    raise ValueError("broken")


def exit_process() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(("call", "error"), [(fail, "ValueError: broken"), (exit_process, "SystemExit: 3")])
def test_an_error_while_handling_a_told_message_is_reported_once(
    tree: ActorTree, call: Any, error: str
) -> None:
    ref = tree.start(CallingActor)
    ref.tell(call)

    crash = tree.crash()
    assert (crash.urn, crash.name, crash.handling) == (ref.actor_urn, "caller", "an order")
    assert crash.error.startswith(error)
    assert crash.orphans == ()
    assert tree.rest() == []
    assert not ref.is_alive()


@pytest.mark.parametrize("call", [fail, exit_process])
def test_an_error_while_handling_an_asked_message_answers_the_ask_and_is_reported_once(
    tree: ActorTree, call: Any
) -> None:
    ref = tree.start(CallingActor)

    with pytest.raises(ActorCrashed):
        ref.ask(call, timeout=TIMEOUT)

    assert tree.crash().urn == ref.actor_urn
    assert tree.rest() == []
    assert not ref.is_alive()


@pytest.mark.parametrize("call", [fail, exit_process])
def test_an_error_in_started_is_reported_once(tree: ActorTree, call: Any) -> None:
    ref = tree.start(CallingActor, call)

    crash = tree.crash()
    assert (crash.urn, crash.handling) == (ref.actor_urn, "start")
    assert tree.rest() == []
    assert not ref.is_alive()


def test_an_error_in_clean_up_after_an_orderly_stop_is_reported_once(tree: ActorTree) -> None:
    ref = tree.start(CallingActor, None, fail)
    ref.stop(block=False)

    crash = tree.crash()
    assert (crash.urn, crash.handling) == (ref.actor_urn, "stop")
    assert tree.rest() == []


@pytest.mark.parametrize("at_end", [fail, exit_process])
def test_an_error_in_clean_up_after_a_crash_does_not_hide_the_crash(tree: ActorTree, at_end: Any) -> None:
    def crash() -> None:
        raise OSError("the first to go wrong")

    tree.start(CallingActor, None, at_end).tell(crash)

    assert tree.crash().error.startswith("OSError: the first to go wrong")
    assert tree.rest() == []


def test_an_error_whose_message_cannot_be_shown_is_reported_all_the_same(tree: ActorTree) -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise TypeError("no text")

    def crash() -> None:
        raise Unprintable

    tree.start(CallingActor).tell(crash)

    assert tree.crash().error.startswith("Unprintable: ")
    assert tree.rest() == []


def test_clean_up_runs_once_at_an_orderly_stop_and_once_at_a_crash(tree: ActorTree) -> None:
    released: queue.Queue[str] = queue.Queue()

    tree.start(CallingActor, None, lambda: released.put("released")).stop(timeout=TIMEOUT)
    wait_for_end("caller")
    assert released.qsize() == 1

    tree.start(CallingActor, None, lambda: released.put("released")).tell(fail)
    tree.crash()
    wait_for_end("caller")
    assert released.qsize() == 2


def test_an_orderly_stop_is_not_reported_as_a_crash(tree: ActorTree) -> None:
    tree.start(CallingActor).stop(timeout=TIMEOUT)

    assert tree.rest() == []


def test_a_message_queued_behind_the_crash_is_not_handled_and_its_ask_fails(tree: ActorTree) -> None:
    held, handled = threading.Event(), threading.Event()

    def hold_and_fail() -> None:
        held.wait(TIMEOUT)
        fail()

    ref = tree.start(CallingActor)
    ref.tell(hold_and_fail)
    behind = ref.ask(handled.set, block=False)
    held.set()

    with pytest.raises(pykka.ActorDeadError):
        behind.get(timeout=TIMEOUT)
    assert not handled.is_set()
    assert tree.crash().urn == ref.actor_urn
    assert tree.rest() == []


@pytest.mark.parametrize("call", [fail, exit_process])
def test_other_actors_of_the_process_are_not_affected(tree: ActorTree, call: Any) -> None:
    class Stranger(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: object) -> object:
            return message

    stranger = Stranger.start()
    for start, order in ((call, lambda: None), (None, call)):
        ref = tree.start(CallingActor, start)
        if start is None:
            ref.tell(order)
        tree.crash()
        wait_for_end("caller")

    assert stranger.ask("still there?", timeout=TIMEOUT) == "still there?"
    assert tree.parent.is_alive()
    stranger.stop(timeout=TIMEOUT)


def test_a_crashed_actor_is_no_longer_registered(tree: ActorTree) -> None:
    ref = tree.start(CallingActor)
    ref.tell(fail)
    tree.crash()

    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_a_constructor_that_raises_leaves_nothing_registered(tree: ActorTree) -> None:
    class FailingConstructor(CallingActor):
        def __init__(self, parent: pykka.ActorRef[Any]) -> None:
            super().__init__(parent)
            fail()

    before = set(pykka.ActorRegistry.get_all())
    with pytest.raises(ValueError, match="broken"):
        tree.start(FailingConstructor)

    assert set(pykka.ActorRegistry.get_all()) == before


def test_an_actor_that_gets_no_thread_leaves_nothing_registered(tree: ActorTree) -> None:
    class NoThread(pykka.ThreadingActor):
        def _start_actor_loop(self) -> None:
            raise RuntimeError("can't start new thread")

    class Threadless(CallingActor, NoThread):
        pass

    before = set(pykka.ActorRegistry.get_all())
    with pytest.raises(RuntimeError, match="can't start new thread"):
        tree.start(Threadless)

    assert set(pykka.ActorRegistry.get_all()) == before


def test_the_children_of_a_crashing_actor_are_cut_abandoned_and_named_in_the_report(
    tree: ActorTree,
) -> None:
    ended: queue.Queue[str] = queue.Queue()
    ref = tree.start(Parent, ended)
    ref.tell(fail)

    crash = tree.crash()
    (orphan,) = crash.orphans
    wait_for_end("child")
    assert not orphan.is_alive()
    assert tree.rest() == []


def test_an_abandoned_actor_abandons_its_children_and_reports_nothing(tree: ActorTree) -> None:
    ended: queue.Queue[str] = queue.Queue()
    ref = tree.start(Parent, ended)
    ref.tell(Abandon())

    wait_for_end("caller")
    assert ended.get(timeout=TIMEOUT) == "parent abandoned"
    assert not ref.is_alive()
    assert tree.rest() == []


def test_the_abandoned_hook_runs_in_an_idle_child(tree: ActorTree) -> None:
    ended: queue.Queue[str] = queue.Queue()
    ref = tree.start(Child, Interrupt(), ended)
    ref.tell(Abandon())

    assert ended.get(timeout=TIMEOUT) == "abandoned"
    assert tree.rest() == []


def test_a_crash_report_contains_no_values_of_variables(
    tree: ActorTree, caplog: pytest.LogCaptureFixture
) -> None:
    def leak() -> None:
        token = "ghp_" + "secret"
        raise ValueError(f"a token of {len(token)} letters is refused")

    caplog.set_level(logging.DEBUG)
    tree.start(CallingActor).tell(leak)

    crash = tree.crash()
    assert crash.error.startswith("ValueError: a token of 10 letters is refused\n")
    assert " leak" in crash.error
    assert "ghp_secret" not in crash.error
    wait_for_end("caller")
    assert "ghp_secret" not in caplog.text


def test_the_error_text_names_each_frame_but_no_source_line() -> None:
    try:
        fail()
    except ValueError as error:
        first, *frames = error_text(error).split("\n")

    assert first == "ValueError: broken"
    assert [line.rsplit(" ", 1)[1] for line in frames] == [
        "test_the_error_text_names_each_frame_but_no_source_line",
        "fail",
    ]
    assert "raise" not in "".join(frames)


def test_the_thread_has_the_name_of_the_actor(tree: ActorTree) -> None:
    ref = tree.start(CallingActor)

    assert ref.ask(lambda: threading.current_thread().name, timeout=TIMEOUT) == "caller"
    assert ref.ask(lambda: threading.current_thread().daemon, timeout=TIMEOUT) is True


def test_sending_to_an_actor_that_has_ended_or_to_none_is_no_error(tree: ActorTree) -> None:
    dead = tree.start(CallingActor)
    dead.stop(timeout=TIMEOUT)
    actor = CallingActor(tree.parent)

    actor.send(dead, "hello")
    actor.send(None, "hello")
    actor.report("hello")

    assert tree.heard.get(timeout=TIMEOUT) == "hello"


def test_after_delivers_a_message_later_and_send_self_behind_those_that_wait(tree: ActorTree) -> None:
    class Patient(CallingActor):
        def receive(self, message: Any) -> None:
            if message == "go":
                self.after(0.01, "later")
                self.send_self("again")
            self.report(message)

    tree.start(Patient).tell("go")

    assert [tree.heard.get(timeout=TIMEOUT) for _ in range(3)] == ["go", "again", "later"]


def test_without_a_description_a_crash_report_names_the_type_of_the_message(tree: ActorTree) -> None:
    class Unprintable(SupervisedActor[object]):
        def __init__(self, parent: pykka.ActorRef[Any]) -> None:
            super().__init__("caller", parent, CLOCK)

    tree.start(Unprintable).tell({"token": "ghp_secret"})

    crash = tree.crash()
    assert crash.handling == "dict"
    assert crash.error.startswith("NotImplementedError: caller")
    assert "ghp_secret" not in crash.error
