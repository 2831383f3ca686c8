from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runscaler.config.housekeeping import common_ttl, different_ttls, switched_off, ttl_without_volume
from runscaler.config.model import DockerSettings, ScaleSetSettings, TartSettings
from runscaler.findings import Level

if TYPE_CHECKING:
    from conftest import Load

HOUR = 3600.0


def docker(name: str = "a", **keys: object) -> ScaleSetSettings:
    table = DockerSettings.model_validate({"shared_volume": "/shared", **keys})
    return ScaleSetSettings(url="https://github.com/o", name=name, docker=table)


@pytest.mark.parametrize(
    ("ttls", "common"), [((), 0.0), ((HOUR,), HOUR), ((HOUR, 2 * HOUR), 2 * HOUR), ((HOUR, 0.0), 0.0)]
)
def test_the_longest_ttl_counts_and_never_is_the_longest(ttls: tuple[float, ...], common: float) -> None:
    assert common_ttl([docker(shared_volume_ttl=ttl) for ttl in ttls]) == common


def test_different_ttls_for_one_volume_are_said_once() -> None:
    sets = [docker("a", shared_volume_ttl=HOUR), docker("b", shared_volume_ttl=3 * HOUR)]
    (finding,) = different_ttls(sets)

    assert finding.level is Level.WARNING
    assert finding.message == (
        "[docker] shared-volume-ttl differs for one volume on unix:///var/run/docker.sock (a 1h, b 3h): "
        "3h counts, the longest"
    )


def test_of_a_set_that_keeps_its_files_it_is_said_that_nothing_is_deleted() -> None:
    (finding,) = different_ttls([docker("a", shared_volume_ttl=HOUR), docker("b")])

    assert "(a 1h, b 0s): nothing is deleted, as one of them is 0" in finding.message


def test_equal_ttls_other_engines_and_sets_without_the_volume_are_no_difference() -> None:
    hour = docker(shared_volume_ttl=HOUR)

    assert different_ttls([hour, hour]) == []
    assert different_ttls([hour, docker(host="tcp://other:2376")]) == []
    assert different_ttls([hour, docker(shared_volume="")]) == []


def test_a_ttl_without_any_volume_is_said_to_have_no_effect() -> None:
    useless = docker(shared_volume="", shared_volume_ttl=HOUR)
    mac = ScaleSetSettings(url="", name="m", backend="tart", docker=useless.docker)
    (finding,) = ttl_without_volume([useless, useless])

    assert finding.message == "[docker] shared-volume-ttl has no effect without shared-volume"
    assert ttl_without_volume([useless, docker("b")]) == []
    assert ttl_without_volume([docker(shared_volume="")]) == []
    assert ttl_without_volume([mac]) == []


def test_a_configuration_is_warned_about_a_ttl_without_volume(load: Load) -> None:
    one = '[[scaleset]]\nurl = "https://github.com/o"\nname = "a"\n[docker]\nshared-volume-ttl = "1h"\n'

    assert [found.message for found in load(one).warnings if "no effect" in found.message]


def test_a_configuration_is_warned_about_different_ttls(load: Load) -> None:
    head = '[docker]\nshared-volume = "/s"\n'
    sets = [
        f'[[scaleset]]\nurl = "https://github.com/o"\nname = "{name}"\n'
        f'[scaleset.docker]\nshared-volume-ttl = "{ttl}"\n'
        for name, ttl in (("a", "1h"), ("b", "2h"))
    ]

    assert [one.message for one in load(head + "".join(sets)).warnings if "differs" in one.message]


def test_what_is_switched_off_is_said_once_with_its_key() -> None:
    off = docker(buildx_cleanup=False)
    mac = ScaleSetSettings(url="", name="m", backend="tart", tart=TartSettings(cache_cleanup=False))

    assert switched_off([off, off, mac]) == [
        "[docker] shared-volume-ttl = 0: files in the shared volume stay",
        "[docker] buildx-cleanup = false: builders of buildx stay",
        "[docker] prune-images-after = 0: unused runner images stay",
        "[tart] cache-cleanup = false: Tart's caches stay",
    ]


def test_what_is_on_or_not_there_is_not_off() -> None:
    on = docker(shared_volume_ttl=HOUR, prune_images_after=HOUR)

    assert switched_off([on, docker(shared_volume="", prune_images_after=HOUR)]) == []
    assert switched_off([ScaleSetSettings(url="", name="p", backend="process")]) == []
