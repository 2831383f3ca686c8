from __future__ import annotations

import pytest

from runscaler.files import replace_file


def test_a_replaced_file_has_its_new_content_and_mode(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)

    replace_file(path, b"new", mode=0o640, durable=True)

    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_failed_replacement_leaves_nothing_new(tmp_path):
    path = tmp_path / "file"
    path.mkdir()
    (path / "inside").touch()

    with pytest.raises(OSError):
        replace_file(path, b"new")

    assert list(tmp_path.iterdir()) == [path]
