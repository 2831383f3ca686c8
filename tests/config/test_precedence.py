"""Which keys a scale set inherits from the top level (docs/behaviour.md § 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runscaler.config.base import Scope
from runscaler.config.precedence import inherit
from runscaler.config.problems import ConfigValue, Origin
from runscaler.config.schema import key_spec_of, top_level_keys
from runscaler.config.secrets import Secret

if TYPE_CHECKING:
    from conftest import Lines, Load

    from runscaler.config.schema import TomlPath

IDENTITY = 'url = "https://github.com/o"\nname = "n"\n'


def test_keys_are_inherited_one_by_one_inside_tables(load: Load) -> None:
    text = f"""\
max-runners = 5
runner-group = "big"
[docker]
memory = 4096
cpu = 2
shared-volume = "/shared"
[docker.env]
A = "top"
B = "top"
[[scaleset]]
{IDENTITY}
[scaleset.docker]
memory = 1
[scaleset.docker.env]
B = "own"
"""

    (settings,) = load(text).scale_sets

    assert (settings.max_runners, settings.runner_group) == (5, "big")
    assert (settings.docker.memory, settings.docker.cpu, settings.docker.shared_volume) == (1, 2, "/shared")
    assert settings.docker.env == {"A": Secret("top"), "B": Secret("own")}


def test_each_tart_key_is_inherited_or_a_sets_own(load: Load) -> None:
    text = f"""\
backend = "tart"
runner-image = "vm"
max-runners = 2
[tart]
home = "/Volumes/vms"
runner-dir = "/Users/admin/runner"
cpu = 4
memory = 8192
pool-size = 1
cache-cleanup = false
cache-max-age = "48h"
cache-space-budget = 100
cache-cleanup-interval = "1h"
boot-timeout = "3m"
max-vms = 2
[[scaleset]]
{IDENTITY}
[[scaleset]]
url = "https://github.com/o"
name = "m"
[scaleset.tart]
cpu = 0
pool-size = 0
runner-dir = "/opt/runner"
"""

    first, second = (one.tart for one in load(text).scale_sets)

    assert (first.home, first.runner_dir) == ("/Volumes/vms", "/Users/admin/runner")
    assert (first.cpu, first.memory, first.pool_size, first.max_vms) == (4, 8192, 1, 2)
    assert (first.cache_cleanup, first.cache_max_age, first.cache_space_budget) == (False, 172_800, 100)
    assert (first.cache_cleanup_interval, first.boot_timeout) == (3600, 180)
    own = {"cpu": 0, "pool_size": 0, "runner_dir": "/opt/runner"}
    assert second == first.model_copy(update=own)


def test_not_set_and_zero_are_different(load: Load) -> None:
    text = f"""\
[docker]
dind = true
memory = 4096
shared-volume = "/shared"
[[scaleset]]
{IDENTITY}
[scaleset.docker]
dind = false
memory = 0
shared-volume = ""
"""

    docker = load(text).scale_sets[0].docker

    assert (docker.dind, docker.memory, docker.shared_volume) == (False, 0, "")


def test_some_empty_values_in_a_scale_set_count_as_not_set(load: Load) -> None:
    text = f"""\
max-runners = 5
runner-group = "big"
runner-image = "mine"
backend = "process"
docker.socket = "/top"
[[scaleset]]
{IDENTITY}
max-runners = 0
runner-group = ""
runner-image = ""
backend = ""
docker.socket = ""
"""

    (settings,) = load(text).scale_sets

    assert (settings.max_runners, settings.runner_group, settings.runner_image) == (5, "big", "mine")
    assert (settings.backend, settings.docker.socket) == ("process", "/top")


def test_an_app_at_the_top_is_not_inherited(load: Load, error_lines: Lines) -> None:
    app = '[app]\nclient-id = "x"\ninstallation-id = 1\nprivate-key = "k"\n'

    assert "has no token" in error_lines(f"{app}[[scaleset]]\n{IDENTITY}", environ={})[0]


def test_flags_set_defaults_and_a_sets_own_values_win(load: Load) -> None:
    text = f"""\
max-runners = 5
[[scaleset]]
{IDENTITY}
[[scaleset]]
url = "https://github.com/o"
name = "m"
max-runners = 3
"""

    config = load(text, flags={"max-runners": 9, "docker-memory": "7"})

    assert [settings.max_runners for settings in config.scale_sets] == [9, 3]
    assert [settings.docker.memory for settings in config.scale_sets] == [7, 7]


def test_the_engine_key_in_the_higher_layer_wins(load: Load) -> None:
    text = f'[docker]\nhost = "tcp://top:1"\n[[scaleset]]\n{IDENTITY}docker.socket = "/own"\n'

    assert load(text).scale_sets[0].docker.endpoint == "unix:///own"
    single = f'{IDENTITY}[docker]\nhost = "tcp://top:1"\n'
    assert load(single, flags={"docker-socket": "/flag"}).scale_sets[0].docker.endpoint == "unix:///flag"


def test_the_same_scale_set_twice_is_an_error(error_lines: Lines, load: Load) -> None:
    twice = f"[[scaleset]]\n{IDENTITY}[[scaleset]]\nurl = \"https://GitHub.com/O/\"\nname = 'N'\n"

    assert error_lines(twice) == [
        "config.toml:4: N has the url, runner-group and name of the scale set in line 1"
    ]
    assert len(load(f'{twice}runner-group = "other"\n').scale_sets) == 2


def test_an_invalid_value_at_the_top_is_reported_once(error_lines: Lines) -> None:
    text = (
        f"max-runners = 0\n[[scaleset]]\n{IDENTITY}[[scaleset]]\nurl = 'https://github.com/o'\nname = 'm'\n"
    )

    assert len(error_lines(text)) == 1


def test_the_scale_sets_are_in_the_order_of_the_file(load: Load) -> None:
    text = "".join(f'[[scaleset]]\nurl = "https://github.com/o"\nname = "{name}"\n' for name in "zax")

    assert [settings.name for settings in load(text).scale_sets] == ["z", "a", "x"]


PATHS = st.sampled_from([*top_level_keys(), ("docker", "env", "A")])
LAYERS = st.dictionaries(
    PATHS, st.integers().map(lambda number: ConfigValue(number, Origin("f", 1))), max_size=20
)


@given(LAYERS, LAYERS)
def test_own_keys_win_and_all_but_identity_and_global_ones_come_from_the_top(
    top: dict[TomlPath, ConfigValue], own: dict[TomlPath, ConfigValue]
) -> None:
    merged = inherit(top, own)

    assert {path: merged[path] for path in own} == own
    for path in merged.keys() - own.keys():
        spec = key_spec_of(path)
        assert spec is not None
        assert spec.key.scope is Scope.SET
        assert merged[path] == top[path]
    engine = {("docker", "socket"), ("docker", "host"), ("docker", "hosts")}
    for path in top.keys() - merged.keys() - engine:
        spec = key_spec_of(path)
        assert spec is not None
        assert spec.key.scope is not Scope.SET


@pytest.mark.parametrize("key", ["url", "name", "token", "labels", "min-runners"])
def test_identity_keys_have_the_identity_scope(key: str) -> None:
    assert top_level_keys()[(key,)].key.scope is Scope.IDENTITY
