from __future__ import annotations

import pytest

from runscaler.backends.docker.ownership import leftover_of, users_of
from runscaler.backends.leftovers import NOBODY, Kind, Leftover

OWNER = "a" * 32
HELPER = {
    "io.runscaler.helper": "shared-volume",
    "io.runscaler.helper.owner": OWNER,
    "io.runscaler.helper.state-dir": "/var/lib/x",
}
OURS = {"managed-by": "runner", "io.runscaler.owner": OWNER, "io.runscaler.state-dir": "/var/lib/x"}


def listed(name="runner-0123abcd", labels=OURS, **more):
    return {"Id": "c0ffee", "Names": [f"/{name}"], "Labels": labels, "State": "running", **more}


@pytest.mark.parametrize(
    ("labels", "state_dir"),
    [
        (OURS, "/var/lib/x"),
        ({**OURS, "io.runscaler.helper": "shared-volume"}, "/var/lib/x"),
        (HELPER, "/var/lib/x"),
        ({**OURS, "io.runscaler.state-dir": ""}, ""),
        ({**OURS, "io.runscaler.state-dir": "relative"}, ""),
        ({**OURS, "io.runscaler.state-dir": "/x\n/y"}, ""),
        ({**OURS, "io.runscaler.state-dir": "/" + "x" * 5000}, ""),
        ({**OURS, "io.runscaler.state-dir": 7}, ""),
    ],
)
def test_a_container_of_an_owner_is_listed_with_the_path_that_it_names(labels, state_dir):
    assert leftover_of(listed(labels=labels)) == Leftover(
        Kind.CONTAINER, "c0ffee", "runner-0123abcd", OWNER, state_dir
    )


@pytest.mark.parametrize("manager", ["runner", "runscaler"])
@pytest.mark.parametrize("name", ["runner-0123abcd", "runner-cleanup-1", "runscaler-cleanup-1700000000"])
def test_a_container_of_the_go_tool_is_known_by_name_and_label(name, manager):
    found = leftover_of(listed(name, {"managed-by": manager}))

    assert found == Leftover(Kind.CONTAINER, "c0ffee", name, NOBODY)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("runner-0123abcd", {}),
        ("runner-0123abcd", {"managed-by": "compose"}),
        ("runner-0123abc", {"managed-by": "runner"}),
        ("runner-0123ABCD", {"managed-by": "runner"}),
        ("my-runner-0123abcd", {"managed-by": "runner"}),
        ("runner-cleanup-", {"managed-by": "runner"}),
        ("runner-cleanup-1x", {"managed-by": "runner"}),
        ("runner-0123abcd", {**OURS, "managed-by": "compose"}),
        ("runner-0123abcd", {**OURS, "io.runscaler.owner": "../../etc"}),
        ("runner-0123abcd", {**OURS, "io.runscaler.owner": ""}),
        ("runner-0123abcd", {**OURS, "io.runscaler.owner": ["x"]}),
    ],
)
def test_what_only_resembles_ours_is_not_listed(name, labels):
    assert leftover_of(listed(name, labels)) is None


@pytest.mark.parametrize("broken", [{"Labels": None}, {"Id": 7}, {"Id": "../x"}, {"Labels": []}])
def test_an_entry_of_another_shape_is_not_listed(broken):
    assert leftover_of(listed(**broken)) is None


def test_a_container_without_a_name_is_listed_by_its_owner():
    assert leftover_of(listed(Names=None)) is not None


def test_users_of_a_volume_are_those_that_mount_it():
    mounts = {
        "user": [{"Type": "volume", "Name": "runner-shared"}],
        "other": [{"Type": "volume", "Name": "runner-shared-2"}],
        "bound": [{"Type": "bind", "Name": "runner-shared"}],
        "odd": ["runner-shared"],
    }
    containers = [{"Id": name, "Mounts": mounted} for name, mounted in mounts.items()]

    assert users_of("runner-shared", [*containers, {"Id": "none"}]) == ("user",)
