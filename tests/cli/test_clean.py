from __future__ import annotations

import pytest

from runscaler.backends.base import SweepTarget
from runscaler.ops.clean import Cleaned

CONFIG = """
url = "https://github.com/my-org"
name = "x"
token = "env:NOT_SET"
[docker]
host = "{}"
shared-volume = "/shared"
shared-volume-ttl = "1h"
"""
ENGINE = "docker unix:///e.sock"
PLANNED = (SweepTarget("builder", "buildx_buildkit_a0", 2048), SweepTarget("volume", "evil\n\x1b[2J"))
OFF = "- off: [docker] prune-images-after = 0: unused runner images stay"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(f"unix://{tmp_path}/absent.sock"))
    return str(path)


@pytest.fixture
def cleaning(monkeypatch):
    """`cleaning(*outcomes)`: what the sweeps do; returns the arguments that the command gives to them."""
    given = []

    def set_up(*outcomes):
        def clean(scale_sets, _context, *, dry_run):
            given.append(([one.name for one in scale_sets], dry_run))
            yield from outcomes

        monkeypatch.setattr("runscaler.ops.clean.clean", clean)
        return given

    return set_up


def test_a_dry_run_shows_what_would_go_and_how_many_bytes(runner, config, cleaning):
    given = cleaning(Cleaned(ENGINE, "the sweep", PLANNED), Cleaned(ENGINE, "another", ()))
    told = runner("clean", "--dry-run", "--config", config)

    assert told.code == 0
    assert told.out.splitlines() == [
        f"✓ {ENGINE}: the sweep would remove:",
        "  builder buildx_buildkit_a0 (2 KiB)",
        "  volume evil\\n\\x1b[2J",
        f"✓ {ENGINE}: another would remove nothing",
        OFF,
        "runner clean would free 2 KiB",
    ]
    assert given == [(["x"], True)]


def test_a_run_shows_what_it_did(runner, config, cleaning):
    given = cleaning(
        Cleaned(ENGINE, "the sweep", PLANNED, "removed builder a", 1024),
        Cleaned(ENGINE, "another", PLANNED, ""),
        Cleaned(ENGINE, "a third", None, ""),
    )
    told = runner("--config", config, "clean")

    assert told.code == 0
    assert told.out.splitlines() == [
        f"✓ {ENGINE}: the sweep: removed builder a",
        f"✓ {ENGINE}: another: there is nothing to remove",
        f"✓ {ENGINE}: a third: there is nothing to remove",
        OFF,
        "freed 1 KiB",
    ]
    assert given == [(["x"], False)]


def test_what_cannot_be_planned_is_said(runner, config, cleaning):
    cleaning(Cleaned("tart", "the pruning", None))

    out = runner("clean", "--dry-run", "--config", config).out
    assert "✓ tart: the pruning: what it would remove is not known beforehand\n" in out


def test_a_failure_is_one_line_with_its_fixes_and_exit_code_1(runner, config, cleaning):
    cleaning(Cleaned(ENGINE, "the sweep", error="cannot look", fixes=("start it",)), Cleaned(ENGINE, "b", ()))
    told = runner("clean", "--config", config)

    assert told.code == 1
    assert told.out.startswith(f"✗ {ENGINE}: the sweep: cannot look\n  → start it\n")
    assert f"✓ {ENGINE}: b: there is nothing to remove\n" in told.out


def test_json_has_all_keys(runner, config, cleaning):
    cleaning(
        Cleaned(ENGINE, "the sweep", PLANNED[:1], "removed", 2000),
        Cleaned("tart", "b", None, error="no", fixes=("f",)),
    )
    told = runner("clean", "--json", "--config", config)

    assert told.code == 1
    assert told.json == {
        "ok": False,
        "dry_run": False,
        "sweeps": [
            {
                "backend": ENGINE,
                "sweep": "the sweep",
                "targets": [{"kind": "builder", "name": "buildx_buildkit_a0", "bytes": 2048}],
                "bytes": 2048,
                "done": "removed",
                "freed": 2000,
                "error": "",
                "fixes": [],
            },
            {
                "backend": "tart",
                "sweep": "b",
                "targets": None,
                "bytes": 0,
                "done": "",
                "freed": 0,
                "error": "no",
                "fixes": ["f"],
            },
        ],
        "off": [OFF.removeprefix("- off: ")],
    }


def test_an_engine_that_is_down_is_one_clear_line(runner, config):
    told = runner("clean", "--config", config)

    assert told.code == 1
    (line,) = [one for one in told.out.splitlines() if one.startswith("✗")]
    assert "does not exist" in line
    assert "Traceback" not in told.out + told.err


def test_a_backend_without_sweeps_says_so(runner, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('url = "https://github.com/o"\nname = "x"\ntoken = "t"\nbackend = "process"\n')
    told = runner("clean", "--config", str(path))

    assert (told.code, told.out) == (0, "no sweep is switched on\n")


def test_without_a_configuration_it_fails_with_one_line(runner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = runner("clean", "--config", str(tmp_path / "absent.toml"))

    assert told.code == 1
    assert "absent.toml" in told.err
