from __future__ import annotations

import pytest

from runscaler.files import remove_half_written, replace_file


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


def test_what_a_killed_process_was_writing_goes_and_nothing_that_resembles_it(tmp_path, monkeypatch):
    (tmp_path / "a/b/c").mkdir(parents=True)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.replace", killed)
        for folder in (tmp_path, tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c"):
            with pytest.raises(KeyboardInterrupt):
                replace_file(folder / "20261129T1-runner-0123abcd.log", b"half")
    outside = tmp_path.parent / f".{tmp_path.name}-outside-abcdefgh"
    outside.write_text("kept")
    kept = {".hidden", "plain-abcdefgh", ".x-ABCDEFGH", ".directory-abcdefgh", ".link-abcdefgh"}
    for name in kept - {".directory-abcdefgh", ".link-abcdefgh"}:
        (tmp_path / name).touch()
    (tmp_path / ".directory-abcdefgh").mkdir()
    (tmp_path / ".link-abcdefgh").symlink_to(outside)
    (tmp_path / "linked").symlink_to(tmp_path / "a/b")

    remove_half_written(tmp_path, 2)

    assert {one.name for one in tmp_path.iterdir()} == kept | {"a", "linked"}
    assert list((tmp_path / "a").iterdir()) == [tmp_path / "a/b"]
    assert list((tmp_path / "a/b").iterdir()) == [tmp_path / "a/b/c"]
    assert len(list((tmp_path / "a/b/c").iterdir())) == 1, "beyond the levels"
    assert outside.read_text() == "kept"
    outside.unlink()
