"""What a scale set writes into its journal (docs/behaviour.md § 10.5)."""

from __future__ import annotations

from support.world import World

from runscaler.github.messages import JobAssigned


def entries(world: World, kind: str) -> list[dict[str, object]]:
    return [content for one, content in world.state_store.journal_entries if one == kind]


def test_messages_plans_and_states_are_noted_as_they_happen() -> None:
    world = World(max_runners=3)
    world.play()
    world.queue(2)
    world.play()

    (session,) = entries(world, "session")
    told = [event for one in entries(world, "message") for event in one["events"]]  # type: ignore[attr-defined]
    plans = entries(world, "plan")
    assert session["events"] == ()
    assert sum(isinstance(event, JobAssigned) for event in told) == 2
    assert sum(int(str(one["start"])) for one in plans) == 2
    assert [one["state"] for one in entries(world, "state")] == ["ok"]
    kinds = [kind for kind, _ in world.state_store.journal_entries]
    assert kinds.index("message") < kinds.index("plan")


def test_a_plan_that_changes_nothing_is_not_noted() -> None:
    world = World(max_runners=3)
    world.play()
    world.advance(120)

    assert entries(world, "plan") == []
