"""Property lists: what is written, and how the Go tool's are read."""

from __future__ import annotations

import plistlib
from pathlib import Path

import pytest

from runscaler.ops.service import plist
from runscaler.ops.service.spec import Needs, ServiceSpec

CONFIG = Path("/Users/al & <ice>/config.toml")


def rendered(*, is_user: bool = True, variables: dict[str, str] | None = None, **needs: object) -> dict:
    log = Path("/Users/alice/Library/Logs/runner.log")
    made = ServiceSpec(
        ("/opt/homebrew/bin/runner",),
        CONFIG,
        Needs(**needs),
        is_user=is_user,
        log=log,
        variables=variables or {},
    )
    return plistlib.loads(plist.render_plist(made))


def test_the_plist_has_what_a_supervised_daemon_needs() -> None:
    found = rendered(drain_timeout=300.0)

    assert found["Label"] == "io.github.ysya.runner"
    assert found["ProgramArguments"] == ["/opt/homebrew/bin/runner", "run", "--config", str(CONFIG)]
    assert "/opt/homebrew/bin" in found["EnvironmentVariables"]["PATH"].split(":")
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert found["AbandonProcessGroup"] is True
    assert found["ThrottleInterval"] == 10
    assert found["ExitTimeOut"] == 360
    assert found["StandardOutPath"] == found["StandardErrorPath"] == "/Users/alice/Library/Logs/runner.log"


def test_with_tart_it_runs_in_the_session_with_the_keychain() -> None:
    assert rendered(tart=True)["LimitLoadToSessionType"] == "Aqua"
    assert "LimitLoadToSessionType" not in rendered(tart=False)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/usr/bin", "/opt/homebrew/bin:/usr/bin"),
        ("/usr/bin:/opt/homebrew/bin", "/usr/bin:/opt/homebrew/bin"),
        ("", plist.PATH),
    ],
)
def test_the_path_of_an_old_plist_goes_along_and_holds_homebrew(given: str, path: str) -> None:
    found = rendered(variables={"RUNNER_TOKEN": "t", "PATH": given})["EnvironmentVariables"]

    assert found == {"RUNNER_TOKEN": "t", "PATH": path}


def test_a_plist_of_the_go_tool_is_told_apart_and_read() -> None:
    old = {"Label": "com.runscaler.agent", "ProgramArguments": ["/r", "--config", "/c"]}
    found = plist.read_plist(plistlib.dumps({**old, "EnvironmentVariables": {"A": "1"}}))

    assert not plist.is_ours(found)
    assert plist.is_ours(rendered())
    assert plist.command_of(found) == ["/r", "--config", "/c"]
    assert plist.variables_of(found) == {"A": "1"}


@pytest.mark.parametrize("content", [b"", b"<plist", b"x", plistlib.dumps(["a"])])
def test_what_is_no_plist_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        plist.read_plist(content)
