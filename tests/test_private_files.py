"""Nobody else has a hand in state-dir, and no link of somebody else's leads us out of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runscaler.private_files import (
    NotPrivate,
    TooLarge,
    check_lock_file,
    check_tree,
    private_directory,
    read_private,
    touch_private,
)

if TYPE_CHECKING:
    from pathlib import Path

OTHER = 4711


def test_missing_directories_are_made_for_this_user_alone(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "deep" / "state", "registrations", "ab")

    assert made == tmp_path / "deep" / "state" / "registrations" / "ab"
    assert [one.stat().st_mode & 0o777 for one in (made, made.parent, made.parent.parent)] == [0o700] * 3
    assert private_directory(tmp_path / "deep" / "state", "registrations", "ab") == made
    check_tree(tmp_path / "deep" / "state")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_may_write_to_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)

    with pytest.raises(NotPrivate, match="others may write to") as caught:
        private_directory(tmp_path / "state")

    assert caught.value.cure == f"chmod go-w {tmp_path / 'state'}"


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750])
def test_a_directory_that_others_may_read_is_taken(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)

    private_directory(tmp_path / "state")
    check_tree(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", OTHER, OTHER)

    with pytest.raises(NotPrivate, match=f"belongs to another user \\(uid {OTHER}\\)") as caught:
        private_directory(tmp_path / "state")

    assert caught.value.cure.startswith(f"chown {os.geteuid()} ")


@pytest.mark.parametrize("where", ["state", "state/logs", "state/process/owner"])
def test_a_link_in_place_of_a_directory_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "outside").mkdir(mode=0o700)
    private_directory(tmp_path / where).rmdir()
    (tmp_path / where).symlink_to(tmp_path / "outside")

    with pytest.raises(NotPrivate, match="is a symbolic link"):
        check_tree(tmp_path / "state")
    with pytest.raises(NotPrivate, match="is a symbolic link"):
        private_directory(tmp_path / where)


def test_a_link_on_the_way_to_the_directory_is_followed(tmp_path: Path) -> None:
    """As /var is one on a Mac."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    private_directory(tmp_path / "link" / "state")
    check_tree(tmp_path / "link" / "state")


def test_a_way_on_which_everybody_may_write_is_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    private_directory(tmp_path / "open" / "inner" / "state")
    (tmp_path / "open").chmod(0o1777)
    check_tree(tmp_path / "open" / "inner" / "state")
    (tmp_path / "open").chmod(0o777)

    with pytest.raises(NotPrivate, match="everybody may write to") as caught:
        check_tree(tmp_path / "open" / "inner" / "state")

    assert caught.value.cure.startswith(f"chmod o-w {tmp_path / 'open'},")


def test_a_file_is_read_unless_it_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1234")

    assert read_private(tmp_path / "file", 4) == b"1234"
    with pytest.raises(TooLarge, match="more than 3 bytes"):
        read_private(tmp_path / "file", 3)
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "none")


def test_a_link_or_a_fifo_is_neither_read_nor_made(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of somebody else")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "dangling").symlink_to(tmp_path / "new")
    os.mkfifo(tmp_path / "fifo")

    for name in ("link", "dangling", "fifo"):
        with pytest.raises(NotPrivate):
            read_private(tmp_path / name)
        with pytest.raises(NotPrivate):
            touch_private(tmp_path / name)
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "owner").write_text("x")
    os.chown(tmp_path / "owner", OTHER, OTHER)

    with pytest.raises(NotPrivate, match="belongs to another user"):
        read_private(tmp_path / "owner")


def test_a_lock_file_with_a_second_name_is_refused(tmp_path: Path) -> None:
    """A lock is opened for writing, and some are emptied by that."""
    check_lock_file(tmp_path / "lock")
    (tmp_path / "lock").touch()
    check_lock_file(tmp_path / "lock")
    (tmp_path / "elsewhere").hardlink_to(tmp_path / "lock")

    with pytest.raises(NotPrivate, match="hard link") as caught:
        check_lock_file(tmp_path / "lock")

    assert caught.value.cure == f"remove {tmp_path / 'lock'}"
