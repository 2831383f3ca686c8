"""The installed unit under a real systemd: readiness, status, watchdog, reload, restart, stop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from support.app_keys import CLIENT_ID, private_key
from support.daemon import wait_until
from support.engine import engine_address
from support.fake_services.world import RUNNER, ServiceHost
from support.private_systemd import PrivateSystemd, private_systemd

from runscaler.ops.demo_image import ensure_demo_image
from runscaler.ops.service.install import install, uninstall
from runscaler.ops.service.systemd import UNIT, SystemdManager
from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(fast=True) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, github: SimulatedGitHub) -> ServiceHost:
    return ServiceHost(tmp_path, monkeypatch, github.config_url("my-org").rpartition("/")[0])


@pytest.fixture
def systemd(tmp_path: Path, host: ServiceHost) -> Iterator[PrivateSystemd]:
    units = host.layout().units
    units.mkdir(parents=True)
    (units / f"{UNIT}.d").mkdir()
    log = tmp_path / "output"
    (units / f"{UNIT}.d/test.conf").write_text(f"[Service]\nStandardOutput=append:{log}\nRestartSec=0\n")
    with private_systemd(tmp_path, units) as made:
        yield made


def sets(host: ServiceHost) -> list[dict[str, object]]:
    found = host.health()["scale_sets"]
    assert isinstance(found, list)
    return found


def test_the_service_lives_under_a_real_systemd(
    tmp_path: Path, host: ServiceHost, systemd: PrivateSystemd
) -> None:
    config = host.write_config(host.layout().etc_config, 'token = "t"\n')
    manager = SystemdManager(host.layout(), systemd.commands)
    manager.check()

    install(manager, RUNNER, config, host.said.append)

    # The start returned, so READY=1 was received: a scale set has its session by now.
    state = manager.state(UNIT)
    assert [one["state"] for one in sets(host)] == ["ok"]
    assert state.is_running
    assert state.is_enabled
    assert state.pid == host.health()["pid"]
    assert "1 scale sets" in wait_until(lambda: manager.state(UNIT).detail, "it tells its status")
    assert systemd.show(UNIT, "WatchdogUSec") == "1min"
    assert wait_until(lambda: systemd.show(UNIT, "WatchdogTimestamp"), "it feeds the watchdog")

    assert systemd.commands(["systemctl", "reload", UNIT]).code == 0
    log = tmp_path / "output"
    wait_until(lambda: "reloaded: nothing" in log.read_text(), "it is told to reload")
    assert manager.state(UNIT).pid == state.pid

    systemd.commands(["systemctl", "kill", "--kill-who=main", f"--signal={int(signal.SIGKILL)}", UNIT])
    wait_until(lambda: manager.state(UNIT).pid not in {0, state.pid}, "systemd starts it again")
    wait_until(lambda: manager.state(UNIT).state == "active (running)", "it is ready again")

    uninstall(manager, host.said.append)
    assert systemd.show(UNIT, "ActiveState") == "inactive"
    assert systemd.show(UNIT, "Result") == "success"
    assert "runner stopped" in log.read_text()
    assert not (host.layout().units / UNIT).exists()


def test_the_hardened_unit_reaches_the_engine_and_its_state(
    host: ServiceHost, systemd: PrivateSystemd, engine_url: str
) -> None:
    image = ensure_demo_image(engine_address(engine_url), lambda _what, _done, _total: None)
    engine = f'[docker]\nhost = "{engine_url}"\npull = "never"\nprune-on-exit = false\n'
    keys = f'token = "t"\nrunner-image = "{image}"\n{engine}'
    config = host.write_config(host.layout().etc_config, keys, backend="docker")
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "state-dir" not in line))
    manager = SystemdManager(host.layout(), systemd.commands)

    install(manager, RUNNER, config, host.said.append)

    assert "ProtectSystem=full" in (host.layout().units / UNIT).read_text()
    wait_until(lambda: [one["state"] for one in sets(host)] == ["ok"], "the engine and GitHub answer")
    found = systemd.commands(["find", "/var/lib/runscaler", "-name", "holder.json"])
    assert "/var/lib/runscaler/config-" in found.out
    manager.stop(UNIT)


def test_the_program_starts_under_the_unit_that_the_go_tool_installed(
    host: ServiceHost, systemd: PrivateSystemd
) -> None:
    config = host.write_config(host.root / "etc/runscaler/config.toml", 'token = "t"\n')
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "state-dir" not in line))
    unit = host.layout().units / "runscaler.service"
    command = " ".join((*RUNNER, "--config", f'"{config}"'))
    unit.write_text(
        f"[Service]\nType=simple\nExecStart={command}\nRestart=on-failure\nRestartSec=10s\n"
        f'NoNewPrivileges=true\nProtectSystem=strict\nReadWritePaths="{config.parent}"\n'
    )
    manager = SystemdManager(host.layout(), systemd.commands)
    manager.reload()

    manager.start("runscaler.service")

    wait_until(lambda: host.health() and [one["state"] for one in sets(host)] == ["ok"], "it serves")
    assert len(list(config.parent.glob(".runscaler/*/holder.json"))) == 1
    manager.stop("runscaler.service")


def test_credentials_that_systemd_hands_over_reach_github_and_nobody_else(
    tmp_path: Path, host: ServiceHost, systemd: PrivateSystemd
) -> None:
    """A token and an App's key in files that only root can read, by `LoadCredential`."""
    token = "ghp_" + "h4nded0ver" * 4
    files = {"github-token": token, "app-key": private_key()}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    loaded = "".join(f"LoadCredential={name}:{tmp_path / name}\n" for name in files)
    (host.layout().units / f"{UNIT}.d/credentials.conf").write_text(f"[Service]\n{loaded}")
    app = f'client-id = "{CLIENT_ID}", private-key = "file:$CREDENTIALS_DIRECTORY/app-key"'
    config = host.write_config(
        host.layout().etc_config,
        f'[[scaleset]]\nurl = "{host.github_url}/my-org"\nname = "by-token"\n'
        'token = "file:$CREDENTIALS_DIRECTORY/github-token"\n'
        f'[[scaleset]]\nurl = "{host.github_url}/app-org"\nname = "by-app"\napp = {{ {app} }}\n',
    )
    manager = SystemdManager(host.layout(), systemd.commands)

    install(manager, RUNNER, config, host.said.append)

    wait_until(lambda: [one["state"] for one in sets(host)] == ["ok", "ok"], "GitHub takes both")
    told = (tmp_path / "output").read_text() + str(host.health())
    shown = systemd.commands(["systemctl", "show", UNIT]).out
    assert [secret for secret in (token, private_key().splitlines()[5]) if secret in told + shown] == []
    manager.stop(UNIT)
