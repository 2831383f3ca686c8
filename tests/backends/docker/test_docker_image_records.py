from __future__ import annotations

import json

import pytest

from runscaler.backends.docker.image_records import MOST_IMAGES, ImageRecords

ENGINE, REPOSITORY = "unix:///run/docker.sock", "docker.io/library/runner"


def file_of(state_dir):
    (file,) = (state_dir / "docker").iterdir()
    return file


@pytest.fixture
def records(tmp_path):
    return ImageRecords(tmp_path, ENGINE)


def test_what_is_known_survives_a_restart(records, tmp_path):
    records.is_wanted("sha256:a", REPOSITORY, 10.0, "runner:1")
    records.is_wanted("sha256:a", "ghcr.io/x", 20.0)

    found = ImageRecords(tmp_path, ENGINE).all()["sha256:a"]

    assert (found.repositories, found.pulled) == ({REPOSITORY, "ghcr.io/x"}, {"runner:1"})
    assert found.last_used == 20.0


def test_each_engine_has_records_of_its_own(records, tmp_path):
    records.is_wanted("sha256:a", REPOSITORY, 10.0)

    assert ImageRecords(tmp_path, "tcp://other:2376").all() == {}


def test_a_look_tells_what_is_used_and_what_is_gone(records):
    for image in ("used", "unused", "gone"):
        records.is_wanted(image, REPOSITORY, 10.0)

    records.look(present=["used", "unused", "strange"], used=["used", "strange"], now=50.0)

    assert {image: one.last_used for image, one in records.all().items()} == {"used": 50.0, "unused": 10.0}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"images": 5}',
        '{"images": {"a": {"last_used": -1}}}',
        '{"images": {"a": {"pulled": 1}}}',
        '{"images": {"a": {"last_used": NaN}}}',
        "[" * 100_000,
    ],
)
def test_a_spoiled_file_is_begun_anew(records, tmp_path, content):
    records.is_wanted("sha256:a", REPOSITORY, 10.0)
    file_of(tmp_path).write_text(content)
    again = ImageRecords(tmp_path, ENGINE)
    assert again.all() == {}

    again.is_wanted("sha256:b", REPOSITORY, 20.0)

    assert list(json.loads(file_of(tmp_path).read_text())["images"]) == ["sha256:b"]


def test_a_link_in_place_of_the_file_is_not_followed(records, tmp_path):
    records.is_wanted("sha256:a", REPOSITORY, 10.0)
    file = file_of(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)

    assert ImageRecords(tmp_path, ENGINE).all() == {}


def test_without_a_place_to_write_it_is_known_until_the_end(tmp_path, log_lines):
    (tmp_path / "docker").write_text("a file in its place")
    for records in (ImageRecords(None, ENGINE), ImageRecords(tmp_path, ENGINE)):
        for _ in range(2):
            records.is_wanted("sha256:a", REPOSITORY, 10.0)
        assert list(records.all()) == ["sha256:a"]

    assert len([line for line in log_lines if "cannot be kept" in line]) == 1


def test_the_file_is_bounded_and_keeps_those_used_last(tmp_path):
    images = {f"i{n}": {"last_used": float(n)} for n in range(MOST_IMAGES)}
    ImageRecords(tmp_path, ENGINE).is_wanted("first", REPOSITORY, 1e9)
    file_of(tmp_path).write_text(json.dumps({"images": images}))

    ImageRecords(tmp_path, ENGINE).is_wanted("newest", REPOSITORY, 1e9)

    kept = json.loads(file_of(tmp_path).read_text())["images"]
    assert (len(kept), "newest" in kept, "i0" in kept) == (MOST_IMAGES, True, False)
