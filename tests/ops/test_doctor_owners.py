from __future__ import annotations

import os

import pytest

from runscaler.names import OwnerId
from runscaler.ops.doctor.owners import Owners
from runscaler.ops.doctor.verdicts import OwnerState
from runscaler.ops.lock import StateLock, is_held
from runscaler.ops.owner import load_or_create_owner

OTHER = OwnerId("f" * 32)


@pytest.fixture
def state_dir(tmp_path):
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    load_or_create_owner(path)
    return path


@pytest.fixture
def owner(state_dir):
    return load_or_create_owner(state_dir)


@pytest.fixture
def held(state_dir):
    lock = StateLock(state_dir)
    lock.acquire()
    yield
    lock.release()


@pytest.mark.parametrize("hold", [True, False])
def test_a_free_lock_is_the_proof_of_death(state_dir, owner, hold):
    with Owners([], hold=hold) as owners:
        found = owners.owner(owner, str(state_dir))

        assert (found.state, found.state_dir) == (OwnerState.DEAD, str(state_dir))
        assert owners.dead_directories() == [state_dir]
        assert is_held(state_dir) is hold
    assert not is_held(state_dir)


@pytest.mark.parametrize("hold", [True, False])
def test_who_holds_the_lock_lives(held, state_dir, owner, hold):
    with Owners([state_dir], hold=hold) as owners:
        assert owners.owner(owner, "").state is OwnerState.LIVE
        assert owners.owner(owner, str(state_dir)).state is OwnerState.LIVE
        assert owners.dead_directories() == []


def test_a_look_makes_no_lock_file(state_dir, owner):
    with Owners([state_dir], hold=False) as owners:
        assert [one.state for one in owners.known()] == [OwnerState.DEAD]
    assert not (state_dir / "lock").exists()


def test_one_directory_under_two_names_is_not_taken_for_a_living_one(state_dir, owner, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(state_dir)

    with Owners([state_dir], hold=True) as owners:
        assert owners.owner(owner, str(link)).state is OwnerState.DEAD


def test_a_label_that_names_another_owners_directory_proves_nothing(state_dir, owner):
    """Anyone may write any label: a dead daemon's directory does not condemn another one's resources."""
    with Owners([], hold=True) as owners:
        found = owners.owner(OTHER, str(state_dir))

    assert (found.state, "is not its own" in found.reason) == (OwnerState.UNKNOWN, True)


def test_a_label_does_not_hide_that_the_owner_lives_elsewhere(held, state_dir, owner, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    (copy / "owner").write_text(owner)

    with Owners([state_dir], hold=True) as owners:
        assert owners.owner(owner, str(copy)).state is OwnerState.LIVE


def test_the_directory_that_a_label_names_decides_even_if_it_is_not_here(state_dir, owner):
    with Owners([state_dir], hold=True) as owners:
        found = owners.owner(owner, "/not/on/this/host")

    assert (found.state, "cannot be seen from here" in found.reason) == (OwnerState.UNKNOWN, True)


def test_without_a_label_and_a_known_directory_nothing_is_known(state_dir):
    with Owners([state_dir], hold=True) as owners:
        assert owners.owner(OTHER, "").state is OwnerState.UNKNOWN


def test_a_directory_that_others_may_write_to_proves_nothing(state_dir, owner):
    state_dir.chmod(0o770)

    with Owners([state_dir], hold=True) as owners:
        assert owners.owner(owner, "").state is OwnerState.UNKNOWN
    assert not (state_dir / "lock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
def test_nothing_is_made_in_another_users_directory(state_dir, owner):
    os.chown(state_dir, 12345, 12345)

    with Owners([state_dir], hold=True) as owners:
        found = owners.owner(owner, "")

    assert (found.state, "another user" in found.reason) == (OwnerState.UNKNOWN, True)
    assert not (state_dir / "lock").exists()
