from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.config.changes import ConfigChanges, compare

if TYPE_CHECKING:
    from conftest import Load

SET = 'url = "https://github.com/o"\nname = "n"\ntoken = "hunter2"\n'


def changed(load: Load, before: str, after: str) -> ConfigChanges:
    return compare(load(SET + before, environ={}), load(SET + after, environ={}))


def test_equal_files_have_no_changes(load: Load) -> None:
    assert not changed(load, "max-runners = 4", "max-runners = 4")


def test_a_changed_key_is_shown_as_it_was_and_as_it_is(load: Load) -> None:
    changes = changed(load, 'idle-timeout = "10m"', 'idle-timeout = "90s"\nmax-runners = 3')

    (one,) = changes.changed
    assert [str(key) for key in one.keys] == ["max-runners 10 → 3", "idle-timeout 10m → 1m30s"]
    assert not one.reconnects
    assert not one.reshapes_runners


def test_scale_sets_are_told_apart_by_their_identity(load: Load) -> None:
    before = load(SET, environ={})
    after = load(SET.replace('"n"', '"m"'), environ={})

    changes = compare(before, after)

    assert [one.name for one in changes.added] == ["m"]
    assert [one.name for one in changes.removed] == ["n"]
    assert not changes.changed


@pytest.mark.parametrize(
    ("lines", "reshapes"),
    [
        ('runner-image = "other"', True),
        ("[docker]\nmemory = 512", True),
        ("[docker]\ndind = false", True),
        ('[docker.env]\nA = "b"', True),
        ('[docker]\npull-interval = "1h"', False),
        ("[docker]\nprune-on-exit = false", False),
        ("min-runners = 1", False),
        ('job-timeout = "1h"', False),
        ('labels = ["x"]', False),
    ],
)
def test_what_makes_new_runners_differ(load: Load, lines: str, reshapes: bool) -> None:
    (one,) = changed(load, "", lines).changed

    assert one.reshapes_runners is reshapes


def test_keys_of_other_backends_do_not_matter(load: Load) -> None:
    assert not changed(load, "", "[tart]\ncpu = 4")


def test_a_changed_secret_is_not_shown(load: Load) -> None:
    changes = compare(load(SET, environ={}), load(SET.replace("hunter2", "hunter3"), environ={}))

    (one,) = changes.changed
    assert [str(key) for key in one.keys] == ["token changed"]
    assert one.reconnects
    assert not one.reshapes_runners


def test_a_value_that_is_masked_on_both_sides_is_only_called_changed(load: Load) -> None:
    (one,) = changed(load, '[docker.env]\nA = "b"', '[docker.env]\nA = "c"').changed

    assert [str(key) for key in one.keys] == ["[docker] env changed"]


def test_keys_of_the_process_take_a_restart_or_not(load: Load) -> None:
    changes = changed(load, "", "health-port = 9090\ndrain-timeout = 5\nupdate-check = false")

    assert [str(key) for key in changes.live] == ["drain-timeout 30s → 5s"]
    assert [str(key) for key in changes.waiting] == ["health-port 8080 → 9090"]


def test_another_engine_in_the_environment_is_a_change(load: Load) -> None:
    before = load(SET, environ={"DOCKER_HOST": "tcp://a:2375"})
    after = load(SET, environ={"DOCKER_HOST": "tcp://b:2375"})

    (one,) = compare(before, after).changed
    assert [str(key) for key in one.keys] == ["DOCKER_HOST tcp://a:2375 → tcp://b:2375"]
