from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tart import IMAGE, order_of, tart_settings

from runscaler.backends.base import SweepResult
from runscaler.backends.tart.cache_pruning import CachePruning
from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.images import cached
from runscaler.clock import SystemClock
from runscaler.errors import BackendError, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import Rule

OLD = "ghcr.io/acme/old:latest"
DAY = 86_400.0


def age(rig, image, days):
    """Make it look unused for so long."""
    path = cached(TartHome(rig.tart.home), image).path.resolve()
    at = SystemClock().wall() - days * DAY
    os.utime(path, (at, at))


def is_there(rig, image):
    return cached(TartHome(rig.tart.home), image) is not None


def test_unused_images_are_pruned_and_configured_ones_never(rig, backend):
    for image in (IMAGE, OLD):
        rig.tart.add_image(image, {"file": image})
        age(rig, image, 30)

    (sweep,) = backend.sweeps([tart_settings(cache_max_age=7 * DAY)])
    result = sweep.run()

    assert isinstance(result, SweepResult)
    assert result.words.startswith(f"removed from {rig.tart.home}: ghcr.io/acme/old/sha256:")
    assert (result.removed, result.bytes) == (1, 0)
    assert str(sweep.run()) == ""
    assert is_there(rig, IMAGE)
    assert not is_there(rig, OLD)


def test_the_plan_names_what_would_be_pruned_and_uses_nothing(rig, backend):
    for image in (IMAGE, OLD, "ghcr.io/acme/used:latest"):
        rig.tart.add_image(image, {"file": image})
        age(rig, image, 30 if image in (IMAGE, OLD) else 1)
    (sweep,) = backend.sweeps([tart_settings(cache_max_age=7 * DAY)])

    (planned,) = sweep.plan()
    assert (planned.kind, planned.bytes) == ("cache entry", None)
    assert planned.name.startswith("ghcr.io/acme/old/sha256:")
    assert sweep.plan() == [planned]
    assert planned.name in str(sweep.run())
    assert sweep.plan() == []


def test_what_a_budget_would_prune_is_not_told_beforehand(backend):
    (sweep,) = backend.sweeps([tart_settings(cache_space_budget=50)])

    assert sweep.plan is None


def test_vms_are_never_pruned(rig, backend):
    resource = backend.start(order_of(rig), Interrupt())

    for sweep in backend.sweeps([rig.settings()]):
        sweep.run()

    assert rig.tart.vms() == [resource.id]
    assert [call.argv for call in rig.tart.calls("prune")] == [
        ("prune", "--entries", "caches", "--older-than", "7")
    ]


def test_a_budget_is_passed_on_only_if_there_is_one(rig, backend):
    (sweep,) = backend.sweeps([tart_settings(cache_max_age=2 * DAY, cache_space_budget=50)])
    sweep.run()

    (call,) = rig.tart.calls("prune")
    assert call.argv[3:] == ("--older-than", "2", "--space-budget", "50")


def test_a_budget_is_never_smaller_than_the_configured_images(rig, backend):
    """prune keeps the latest images that fit into the budget, which a configured one may not."""
    tart = backend._host.tart_of(tart_settings())
    pruning = CachePruning.of(tart, [tart_settings(cache_space_budget=20)])

    assert pruning.arguments(25 * 2**30 + 1)[-2:] == ("--space-budget", "26")
    assert pruning.arguments(2**30)[-2:] == ("--space-budget", "20")
    assert "--space-budget" not in CachePruning.of(tart, [tart_settings()]).arguments(25 * 2**30)


def test_the_size_of_a_configured_image_includes_all_its_files(rig, backend):
    rig.tart.add_image(IMAGE)
    files = [path for path in cached(TartHome(rig.tart.home), IMAGE).path.rglob("*") if path.is_file()]
    pruning = CachePruning.of(backend._host.tart_of(tart_settings()), [tart_settings(), tart_settings()])

    assert pruning.keep_images() == sum(path.stat().st_blocks * 512 for path in files) > 0


def test_there_is_one_sweep_per_home_with_the_settings_that_keep_the_most(rig, backend):
    sets = [
        tart_settings(cache_max_age=2 * DAY, cache_space_budget=50, cache_cleanup_interval=3600.0),
        tart_settings(OLD, cache_max_age=9 * DAY, cache_space_budget=0, cache_cleanup_interval=7200.0),
        tart_settings(home=str(rig.tart.folder / "other")),
        tart_settings(home=str(rig.tart.folder / "kept"), cache_cleanup=False),
    ]

    here, there = backend.sweeps(sets)
    here.run()

    assert here.interval == 3600.0
    assert str(rig.tart.home) in here.name
    assert "other" in there.name
    assert [call.argv[3:] for call in rig.tart.calls("prune")] == [("--older-than", "9")]


def test_a_prune_that_fails_is_an_error_that_says_where(rig, backend):
    """T33: the actor logs a warning and tries again at the next sweep."""
    rig.tart.rules(Rule("prune", do="exit", text="Error: no"))
    (sweep,) = backend.sweeps([tart_settings()])

    with pytest.raises(BackendError, match="cannot prune the caches in"):
        sweep.run()


def test_nothing_is_cloned_while_the_caches_are_pruned(rig, backend):
    """T33"""
    rig.tart.latency(prune=0.3)
    settings = rig.settings()
    (sweep,) = backend.sweeps([settings])

    with ThreadPoolExecutor(1) as pool:
        pruning = pool.submit(sweep.run)
        rig.called("prune")
        backend.start(order_of(rig, settings=settings), Interrupt())
        pruning.result()

    (prune,), (clone,) = rig.tart.calls("prune"), rig.tart.calls("clone")
    assert clone.start >= prune.end or clone.end <= prune.start


def test_a_prune_is_interrupted_when_the_backend_closes(rig, backend):
    rig.tart.rules(Rule("prune", do="hang"))
    (sweep,) = backend.sweeps([tart_settings()])
    with ThreadPoolExecutor(1) as pool:
        pruning = pool.submit(sweep.run)
        rig.called("prune")
        backend.close()

        with pytest.raises(Interrupted):
            pruning.result()


def test_a_missing_home_is_no_error(rig, backend):
    (sweep,) = backend.sweeps([tart_settings(home=str(rig.tart.folder / "nowhere"))])

    assert str(sweep.run()) == ""
