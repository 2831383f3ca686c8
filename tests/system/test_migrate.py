"""`migrate` from a fake of the Go tool's daemon to the real one, under fakes of systemctl and launchctl that
start real processes; the simulator is GitHub, both daemons have the same port."""

from __future__ import annotations

import plistlib
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.daemon import wait_until
from support.fake_services.world import GO_TOOL, RUNNER, TOKEN, ServiceHost

from runscaler import __version__
from runscaler.clock import SystemClock
from runscaler.errors import BackendDown, HostError
from runscaler.ops.service import migrate as migrate_module
from runscaler.ops.service.launchd import LaunchdManager
from runscaler.ops.service.migrate import Migration, Tools
from runscaler.ops.service.systemd import SystemdManager
from runscaler.testing.simulator import SimulatedGitHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runscaler.interrupt import Interrupt
    from runscaler.ops.service.manager import ServiceManager


@pytest.fixture(scope="module")
def github() -> Iterator[SimulatedGitHub]:
    with SimulatedGitHub(fast=True) as made:
        yield made


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, github: SimulatedGitHub) -> Iterator[ServiceHost]:
    made = ServiceHost(tmp_path, monkeypatch, github.config_url("my-org").rpartition("/")[0])
    yield made
    made.close()


class HastyClock(SystemClock):
    """A minute is over with each short pause."""

    def __init__(self) -> None:
        super().__init__()
        self._paused = 0.0

    def monotonic(self) -> float:
        return self._paused

    def pause(self, seconds: float, interrupt: Interrupt) -> None:
        self._paused += 60.0
        super().pause(0.05, interrupt)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back takes real time, also on a hasty clock."""
    monkeypatch.setattr(migrate_module, "OLD_SECONDS", 1e5)


class Volumes:
    """In place of the engine; `error` is what the next removal raises."""

    def __init__(self) -> None:
        self.removed: list[tuple[str, str]] = []
        self.error: Exception | None = None

    def remove(self, url: str, name: str) -> bool:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.removed.append((url, name))
        return True


def migrate(
    host: ServiceHost,
    manager: ServiceManager | None = None,
    agents: ServiceManager | None = None,
    **changed: object,
) -> None:
    settings = {"remove_volume": Volumes().remove, "clock": SystemClock(), "version": __version__, **changed}
    Migration(
        manager or SystemdManager(host.layout()), RUNNER, Tools(report=host.said.append, **settings), agents
    ).run()


def old_answers(host: ServiceHost) -> bool:
    return bool(wait_until(host.health, "a daemon answers").get("go"))


def installed_units(host: ServiceHost, *, is_user: bool = False) -> list[str]:
    return sorted(path.name for path in host.layout(is_user=is_user).units.glob("*.service*"))


def test_a_service_of_the_host_is_brought_over_with_all_that_it_had(host: ServiceHost) -> None:
    legacy = host.write_config(host.layout().legacy_config)
    content = legacy.read_bytes()
    host.install_go_unit(legacy)
    assert old_answers(host)

    migrate(host)

    manager, config = SystemdManager(host.layout()), host.layout().etc_config
    health, definition = host.health(), manager.definition("runner.service")
    assert health["version"] == __version__
    assert health["pid"] == manager.state("runner.service").pid
    assert (config.read_bytes(), config.stat().st_mode & 0o777) == (content, 0o600)
    assert not legacy.parent.exists()
    assert installed_units(host) == ["runner.service", "runner.service.d"]
    assert manager.state("runner.service").is_enabled
    assert definition is not None
    assert definition.config == config
    assert definition.variables.items() >= {
        "FROM_UNIT": "unit", "FROM_FILE": "a file", "RUNNER_TOKEN": TOKEN
    }.items()  # fmt: skip
    assert definition.file.stat().st_mode & 0o777 == 0o600
    for step in ("found", "copied", "wrote", "stopped", "started", "is ready", "removed", "done"):
        assert step in host.text


def test_a_second_run_has_nothing_to_do(host: ServiceHost) -> None:
    host.install_go_unit(host.write_config(host.layout().legacy_config))
    migrate(host)
    pid, host.said[:] = host.health()["pid"], []

    migrate(host)

    assert host.health()["pid"] == pid
    assert "removed" not in host.text


def test_a_unit_of_the_same_name_is_replaced(host: ServiceHost) -> None:
    config = host.write_config(host.layout().etc_config)
    host.install_go_unit(config, name="runner.service")
    assert old_answers(host)

    migrate(host)

    definition = SystemdManager(host.layout()).definition("runner.service")
    assert definition is not None
    assert definition.is_ours
    assert definition.config == config
    assert "FROM_UNIT" in definition.variables
    assert not old_answers(host)
    assert installed_units(host) == ["runner.service", "runner.service.d"]


def test_a_users_service_leaves_etc_alone(host: ServiceHost) -> None:
    layout = host.layout(is_user=True)
    legacy = host.write_config(layout.legacy_config)
    host.install_go_unit(legacy, is_user=True)
    assert old_answers(host)

    migrate(host, SystemdManager(layout))

    assert legacy.exists()
    assert not layout.etc_config.exists()
    assert layout.user_config.read_bytes() == legacy.read_bytes()
    assert installed_units(host, is_user=True) == ["runner.service", "runner.service.d"]
    assert not old_answers(host)


def test_a_configuration_elsewhere_stays_there(host: ServiceHost) -> None:
    config = host.write_config(host.root / "srv/my runner.toml")
    host.install_go_unit(config)
    assert old_answers(host)

    migrate(host)

    definition = SystemdManager(host.layout()).definition("runner.service")
    assert definition is not None
    assert definition.config == config
    assert config.exists()
    assert not host.layout().etc_config.exists()


def test_an_existing_configuration_is_never_overwritten(host: ServiceHost) -> None:
    legacy = host.write_config(host.layout().legacy_config)
    mine = host.write_config(host.layout().etc_config, "max-runners = 3\n")
    content = mine.read_bytes()
    host.install_go_unit(legacy)
    assert old_answers(host)

    migrate(host)

    assert mine.read_bytes() == content
    assert legacy.exists()
    assert "exists with other content" in host.text


# -- a fault at each step -------------------------------------------------------------------------------


def break_copy(host: ServiceHost) -> dict[str, object]:
    (host.root / "etc/runner").write_text("in the way")
    return {}


def break_check(host: ServiceHost) -> dict[str, object]:
    host.write_config(host.layout().legacy_config, "max-runers = 3\n")
    return {}


def break_ready(host: ServiceHost) -> dict[str, object]:
    return {"version": "9.9.9", "clock": HastyClock()}


def break_calls(*words: str) -> Callable[[ServiceHost], dict[str, object]]:
    def broken(host: ServiceHost) -> dict[str, object]:
        host.break_call(" ".join(words))
        return {}

    broken.__name__ = "-".join(words)
    return broken


BREAKS = [
    break_copy,
    break_check,
    break_calls("daemon-reload"),
    break_calls("enable", "runner.service"),
    break_calls("stop", "runscaler.service"),
    break_calls("start", "runner.service"),
    break_ready,
    break_calls("disable", "runscaler.service"),
]


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.__name__)
def test_after_a_failure_the_old_service_works_and_the_command_can_be_repeated(
    host: ServiceHost, broken: Callable[[ServiceHost], dict[str, object]]
) -> None:
    legacy = host.write_config(host.layout().legacy_config)
    unit = host.install_go_unit(legacy)
    assert old_answers(host)
    before = unit.read_text()
    changed = broken(host)

    with pytest.raises(HostError, match=r"the old service (runs again|was not touched)"):
        migrate(host, **changed)

    manager = SystemdManager(host.layout())
    assert old_answers(host)
    assert unit.read_text() == before
    assert manager.state("runscaler.service").is_running
    assert manager.state("runscaler.service").is_enabled
    assert installed_units(host) == ["runscaler.service", "runscaler.service.d"]
    assert not host.layout().etc_config.exists()
    assert legacy.exists()

    if (host.root / "etc/runner").is_file():
        (host.root / "etc/runner").unlink()
    host.write_config(legacy)
    migrate(host)
    assert host.health()["pid"] == manager.state("runner.service").pid
    assert installed_units(host) == ["runner.service", "runner.service.d"]


def test_a_unit_of_the_same_name_is_put_back_after_a_failure(host: ServiceHost) -> None:
    unit = host.install_go_unit(host.write_config(host.layout().etc_config), name="runner.service")
    drop_in = unit.with_name("runner.service.d") / "z.conf"
    drop_in.write_text("[Service]\nType=simple\nLimitNOFILE=99\n")
    host.run("systemctl", "daemon-reload")
    assert old_answers(host)
    before, changed = unit.read_text(), drop_in.read_text()

    with pytest.raises(HostError, match="the old service runs again"):
        migrate(host, version="9.9.9", clock=HastyClock())

    assert (unit.read_text(), drop_in.read_text()) == (before, changed)
    assert old_answers(host)
    assert not list(unit.parent.rglob("*.before-migrate"))


def test_a_migration_that_was_killed_is_begun_anew(host: ServiceHost) -> None:
    """As it was when the new unit was written, the old service stopped, and nothing more."""
    config = host.write_config(host.layout().etc_config)
    unit = host.install_go_unit(config, name="runner.service")
    host.run("systemctl", "stop", "runner.service")
    unit.rename(unit.with_name("runner.service.before-migrate"))
    unit.write_text("[Service]\nType=notify\nExecStart=/nonexistent\n")
    host.run("systemctl", "daemon-reload")

    migrate(host)

    assert "interrupted" in host.text
    assert wait_until(host.health, "it answers")["version"] == __version__
    assert installed_units(host) == ["runner.service", "runner.service.d"]


def test_what_could_not_be_removed_at_the_end_is_removed_by_the_next_run(host: ServiceHost) -> None:
    docker = f'[[scaleset]]\nname = "d"\nurl = "{host.github_url}/my-org"\ntoken = "t"\nbackend = "docker"\n'
    head = f'health-port = {host.port}\nstate-dir = "{host.root}/state"\n'
    legacy = host.write_config(host.layout().legacy_config)
    legacy.write_text(head + docker)
    host.install_go_unit(legacy)
    volumes = Volumes()
    volumes.error = BackendDown("cannot remove volume runscaler-shared: a container uses it")
    assert old_answers(host)

    with pytest.raises(HostError, match=r"the new service runs, but .* a container uses it"):
        migrate(host, remove_volume=volumes.remove)
    assert host.health()["version"] == __version__
    migrate(host, remove_volume=volumes.remove)

    assert volumes.removed == [("unix:///var/run/docker.sock", "runscaler-shared")]
    assert not legacy.exists()


def test_another_program_on_the_port_is_not_taken_for_the_new_service(host: ServiceHost) -> None:
    """The Go tool, started by hand too, holds the port: the new daemon can't start."""
    legacy = host.write_config(host.layout().legacy_config)
    host.install_go_unit(legacy)
    assert old_answers(host)
    host.run("systemctl", "stop", "runscaler.service")
    with subprocess.Popen([*GO_TOOL, "--config", str(legacy)]) as by_hand:
        assert old_answers(host)

        with pytest.raises(HostError, match=r"start runner.service"):
            migrate(host)

        by_hand.terminate()
    assert not host.layout().etc_config.exists()
    assert legacy.exists()


def test_without_a_service_of_the_go_tool_nothing_changes(host: ServiceHost) -> None:
    legacy = host.write_config(host.layout().legacy_config)

    migrate(host)

    assert "there is no service of the Go tool" in host.text
    assert legacy.exists()
    assert not host.layout().etc_config.exists()


# -- launchd --------------------------------------------------------------------------------------------


def test_a_launch_agent_is_brought_over_with_its_variables(host: ServiceHost) -> None:
    layout = host.layout(is_user=True)
    old = host.install_go_plist(host.write_config(layout.legacy_config), is_user=True)
    assert old_answers(host)

    migrate(host, LaunchdManager(layout))

    manager = LaunchdManager(layout)
    found = plistlib.loads(manager.file_of(manager.id).read_bytes())
    assert found["EnvironmentVariables"]["RUNNER_TOKEN"] == TOKEN
    assert host.health()["pid"] == manager.state(manager.id).pid
    assert not old.exists()
    assert found["StandardOutPath"] == str(host.home / "Library/Logs/runner.log")


@pytest.mark.parametrize("call", ["enable", "bootout", "bootstrap gui"])
def test_after_a_failure_the_old_agent_works(host: ServiceHost, call: str) -> None:
    layout = host.layout(is_user=True)
    old = host.install_go_plist(
        host.write_config(layout.user_config), is_user=True, label="io.github.ysya.runner"
    )
    before = old.read_bytes()
    assert old_answers(host)
    host.break_call(call, code=5)

    with pytest.raises(HostError, match=r"the old service (runs again|was not touched)"):
        migrate(host, LaunchdManager(layout))

    assert old.read_bytes() == before
    assert old_answers(host)
    migrate(host, LaunchdManager(layout))
    assert not old_answers(host)


def test_a_daemon_with_tart_becomes_an_agent_of_the_user_who_called_sudo(host: ServiceHost) -> None:
    legacy = host.write_config(host.layout().legacy_config, 'runner-image = "base"\n', backend="tart")
    old = host.install_go_plist(legacy)
    agents = LaunchdManager(host.layout(is_user=True))
    assert old_answers(host)

    migrate(host, LaunchdManager(host.layout()), agents)

    assert not old.exists()
    assert not legacy.exists()
    assert agents.file_of(agents.id).exists()
    assert agents.layout.user_config.stat().st_mode & 0o777 == 0o600
    assert host.health()["pid"] == agents.state(agents.id).pid


@pytest.mark.parametrize("has_agents", [False, True], ids=["no-sudo", "no-session"])
def test_a_daemon_with_tart_stays_where_no_agent_can_run(host: ServiceHost, has_agents: bool) -> None:
    legacy = host.write_config(host.layout().legacy_config, 'runner-image = "base"\n', backend="tart")
    host.install_go_plist(legacy)
    (host.known / "no-session").touch()
    agents = LaunchdManager(host.layout(is_user=True)) if has_agents else None
    assert old_answers(host)

    with pytest.raises(HostError, match=r"not touched: .*(LaunchAgent|no session of alice)"):
        migrate(host, LaunchdManager(host.layout()), agents)

    assert old_answers(host)
    assert not list(host.home.iterdir())
