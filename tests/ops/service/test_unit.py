"""Units as text: what is written, and how the Go tool's and an administrator's are read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.missing import missing

from runscaler.ops.service import unit
from runscaler.ops.service.spec import Needs, ServiceSpec

ODD = Path('/srv/my %n $HOME "q" \\ é/config.toml')
GO_UNIT = """[Unit]
Description=GitHub Actions Runner Auto-Scaler
After=docker.service
[Service]
Type=simple
# Environment=OFF=1
Environment=A=1 "B=two words"
Environment=C=100%%
ExecStart=/usr/local/bin/runscaler --config /etc/runscaler/config.toml \\
  --log-level debug
NoNewPrivileges=true
ProtectSystem=strict
EnvironmentFile=-/etc/default/runscaler
[Install]
WantedBy=multi-user.target
"""


def spec(
    *, is_user: bool = False, config: Path = Path("/etc/runner/config.toml"), **needs: object
) -> ServiceSpec:
    return ServiceSpec(("/bin/true",), config, Needs(**needs), is_user=is_user)


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, sign, value = line.partition("=")
        if sign and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_the_unit_has_what_a_supervised_daemon_needs() -> None:
    found = settings(unit.render_unit(spec(drain_timeout=300.0)))

    assert found["Type"] == ["notify"]
    assert found["Restart"] == ["on-failure"]
    assert found["RestartSec"] == ["10s"]
    assert found["TimeoutStopSec"] == ["360s"]
    assert found["KillMode"] == ["process"]
    assert found["WatchdogSec"] == ["60s"]
    assert found["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert found["StateDirectory"] == ["runscaler"]
    assert found["ExecStart"] == ['"/bin/true" "run" "--config" "/etc/runner/config.toml"']
    assert found["Wants"] == found["After"] == ["network-online.target"]
    assert found["WantedBy"] == ["multi-user.target"]


@pytest.mark.parametrize(
    ("is_user", "local_docker", "required"), [(False, True, True), (False, False, False), (True, True, False)]
)
def test_only_a_unit_of_the_host_with_the_local_engine_requires_docker(
    is_user: bool, local_docker: bool, required: bool
) -> None:
    found = settings(unit.render_unit(spec(is_user=is_user, local_docker=local_docker)))

    assert ("docker.service" in found.get("Requires", [])) is required
    assert ("docker.service" in found["After"]) is required


def test_jobs_of_the_process_backend_are_not_hardened_against_sudo() -> None:
    assert "NoNewPrivileges" in settings(unit.render_unit(spec()))
    found = settings(unit.render_unit(spec(process=True)))

    assert not [key for key in found if key.startswith(("Protect", "Restrict", "NoNew"))], found


def test_no_hardening_hides_what_vm_slots_and_installations_in_homes_need() -> None:
    found = settings(unit.render_unit(spec(tart=True)))

    assert "PrivateTmp" not in found
    assert "ProtectHome" not in found
    assert found["ProtectSystem"] == ["full"]


def test_a_state_directory_of_the_configuration_is_writable() -> None:
    text = unit.render_unit(spec(state_dir=Path("/opt/my state")))

    assert settings(text)["ReadWritePaths"] == ['"-/opt/my state"']


@pytest.mark.parametrize("is_user", [False, True])
@pytest.mark.parametrize(
    "needs",
    [{}, {"process": True}, {"tart": True, "state_dir": Path("/srv/a %b")}],
    ids=["-", "process", "tart"],
)
@pytest.mark.parametrize("config", [Path("/etc/runner/config.toml"), ODD], ids=["plain", "odd"])
def test_systemd_accepts_the_unit(
    tmp_path: Path, is_user: bool, needs: dict[str, object], config: Path
) -> None:
    if not shutil.which("systemd-analyze"):
        missing("systemd-analyze")
    file = tmp_path / "runner.service"
    kept = ('Environment="TOKEN=a b" B=2', "EnvironmentFile=-/etc/default/runner")
    made = spec(is_user=is_user, config=config, local_docker=True, **needs)
    file.write_text(
        unit.render_unit(ServiceSpec(made.program, config, made.needs, is_user=is_user, kept=kept))
    )
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "runtime").mkdir(mode=0o700)
    level = ["--user"] if is_user else []

    done = subprocess.run(
        ["systemd-analyze", *level, "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "runtime")},
        check=False,
    )

    said = [line for line in done.stderr.splitlines() if "runner.service" in line]
    assert (done.returncode, said) == (0, []), done.stderr


def test_a_written_command_is_read_back_word_for_word() -> None:
    made = spec(config=ODD)

    assert tuple(unit.command_of(unit.service_settings(unit.render_unit(made)))) == made.command


def test_a_unit_of_the_go_tool_is_told_apart_and_its_command_read() -> None:
    found = unit.service_settings(GO_UNIT)

    assert not unit.is_ours(found)
    assert unit.is_ours(unit.service_settings(unit.render_unit(spec())))
    assert unit.command_of(found)[1:] == ["--config", "/etc/runscaler/config.toml", "--log-level", "debug"]
    assert unit.variables_of(found) == {"A": "1", "B": "two words", "C": "100%"}


def test_an_empty_value_drops_those_before_it() -> None:
    found = unit.service_settings("[Service]\nExecStart=/bin/a\nExecStart=\nExecStart=-/bin/b c\n")

    assert unit.command_of(found) == ["/bin/b", "c"]


def test_a_drop_in_loses_only_what_the_new_unit_decides() -> None:
    text = (
        "[Service]\nExecStart=\nExecStart=/old \\\n  --config x\n"
        "Environment=A=1\nType=simple\nLimitNOFILE=9\n"
    )

    assert unit.without(text, unit.OURS) == "[Service]\nEnvironment=A=1\nLimitNOFILE=9\n"


def test_an_environment_file_is_read_as_systemd_does() -> None:
    assert unit.variables_in_file(
        "# x\n; y\nA=1\nB=\"two words\"\nC='3'\nD=4 # not a comment\nnonsense\n"
    ) == {
        "A": "1",
        "B": "two words",
        "C": "3",
        "D": "4 # not a comment",
    }
