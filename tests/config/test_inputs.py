"""Files that the user names: of bounded size, and never waited for without end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from runscaler.config.inputs import MOST_BYTES, read_input
from runscaler.config.secrets import Unresolved, resolve


def test_a_file_is_read_with_its_mode(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * MOST_BYTES)
    (tmp_path / "file").chmod(0o640)

    content, mode = read_input(tmp_path / "file")

    assert (len(content), mode & 0o777) == (MOST_BYTES, 0o640)


def test_a_file_of_more_than_1_mib_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * (MOST_BYTES + 1))

    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_input(tmp_path / "file")


def test_a_device_without_end_is_refused_and_an_empty_one_is_empty() -> None:
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_input(Path("/dev/zero"))

    assert read_input(Path("/dev/null"))[0] == b""


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_input(tmp_path)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """As `--config <(…)` is one."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("url = 1"), daemon=True)
    writer.start()

    assert read_input(tmp_path / "pipe", 30.0)[0] == b"url = 1"
    writer.join()


def test_a_pipe_out_of_which_nothing_comes_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(TimeoutError, match="nothing came out of it"):
        read_input(tmp_path / "pipe", 0.01)


@pytest.mark.parametrize("path", ["/dev/zero", "large"])
def test_a_token_that_has_no_end_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "large").write_bytes(b"x" * (MOST_BYTES + 1))

    with pytest.raises(Unresolved, match=f"file:{path}: the file cannot be read: it is larger than 1 MiB"):
        resolve(f"file:{path}", {}, tmp_path)
