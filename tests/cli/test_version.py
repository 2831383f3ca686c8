from __future__ import annotations

import sys
import types

import runscaler


def test_short_prints_only_the_number(runner):
    assert runner("version", "--short").out == f"{runscaler.__version__}\n"


def test_json_has_the_agreed_keys_and_platform_names(runner):
    facts = runner("version", "--json").json

    assert list(facts) == ["version", "commit", "date", "python", "os", "arch"]
    assert facts["os"] in {"linux", "darwin"}
    assert facts["arch"] in {"amd64", "arm64"}


def test_text_begins_with_name_and_version(runner):
    lines = runner("version").out.splitlines()

    assert lines[0] == f"runner {runscaler.__version__}"
    assert len(lines) == 5


def test_a_release_build_knows_its_commit_and_date(runner, monkeypatch):
    build = types.ModuleType("runscaler._build")
    build.COMMIT, build.DATE = "abc1234", "2026-01-02T03:04:05Z"
    monkeypatch.setitem(sys.modules, "runscaler._build", build)

    facts = runner("version", "--json").json

    assert (facts["commit"], facts["date"]) == ("abc1234", "2026-01-02T03:04:05Z")


def test_without_a_release_build_commit_and_date_are_unknown(runner):
    facts = runner("version", "--json").json

    assert (facts["commit"], facts["date"]) == ("unknown", "unknown")
