"""`runner service` and `runner migrate` on the command line, with fakes of systemctl and launchctl."""

from __future__ import annotations

import json
import stat
import sys

import pytest
from support.fake_services.world import ServiceHost

from runscaler.errors import HostError
from runscaler.ops.service.install import install, uninstall
from runscaler.ops.service.launchd import LaunchdManager
from runscaler.ops.service.layout import Layout
from runscaler.ops.service.manager import require_rights
from runscaler.ops.service.program import program_words
from runscaler.ops.service.systemd import SystemdManager
from runscaler.simulator.options import Options
from runscaler.simulator.server import SimulatorServer
from runscaler.simulator.timers import FAST

VERBS = ("install", "uninstall", "start", "stop", "restart", "status", "logs")


@pytest.fixture(scope="module")
def github():
    server = SimulatorServer(Options(timers=FAST))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def host(tmp_path, monkeypatch, github):
    made = ServiceHost(tmp_path, monkeypatch, github.url)
    yield made
    made.close()


@pytest.fixture
def program(tmp_path):
    """`runner`, as an installation has it."""
    path = tmp_path / "opt/my runner/runner"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m runscaler "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def service(runner, host):
    """`service("start")` runs `runner service start` on the test's host."""

    def run(verb, *words):
        return runner("service", verb, "--root", str(host.root), *words)

    return run


@pytest.fixture
def config(host):
    return host.write_config(host.layout().etc_config, 'token = "t"\n')


# -- install and uninstall --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [[], ["--user"]], ids=["system", "user"])
def test_a_service_is_installed_started_shown_and_removed(service, host, program, config, level):
    ended = service("install", "--binary-path", str(program), *level)

    layout = host.layout(is_user=bool(level))
    unit = layout.units / "runner.service"
    assert ended.code == 0, ended.err
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644
    assert f'ExecStart="{program}" "run" "--config" "{config}"' in unit.read_text()
    assert host.health()["pid"] == SystemdManager(layout).state("runner.service").pid
    shown = service("status", "--json", *level)
    assert shown.code == 0
    assert shown.json == {
        "manager": "systemd",
        "level": "user" if level else "system",
        "service": "runner.service",
        "file": str(unit),
        "installed": True,
        "of_the_go_tool": False,
        "config": str(config),
        "enabled": True,
        "running": True,
        "state": "active (running)",
        "pid": host.health()["pid"],
        "detail": "",
    }

    assert service("uninstall", *level).code == 0
    assert host.health() == {}
    assert not unit.exists()
    assert not list(layout.units.glob("*.wants/*"))
    assert config.exists()


def test_without_start_it_is_only_enabled(service, host, program, config):
    assert service("install", "--no-start", "--binary-path", str(program)).code == 0

    shown = service("status", "--json")
    assert shown.code == 1
    assert (shown.json["installed"], shown.json["enabled"], shown.json["running"]) == (True, True, False)
    assert host.health() == {}


def test_a_second_install_changes_nothing_and_says_what_to_do(service, host, program, config):
    service("install", "--no-start", "--binary-path", str(program))
    unit = host.layout().units / "runner.service"
    before = unit.read_bytes()

    ended = service("install", "--no-start", "--binary-path", str(program), "--config-path", "/other.toml")

    assert ended.code == 1
    assert f"already installed: {unit}" in ended.err
    assert "runner service restart" in ended.err
    assert unit.read_bytes() == before


def test_a_second_uninstall_is_harmless(service, host):
    ended = service("uninstall")

    assert ended.code == 0
    assert "nothing to remove" in ended.out


def test_an_install_that_fails_leaves_nothing_and_can_be_repeated(service, host, program, config):
    host.break_call("enable runner.service", text="Access denied")
    ended = service("install", "--no-start", "--binary-path", str(program))

    assert ended.code == 1
    assert "Access denied" in ended.err
    assert not (host.layout().units / "runner.service").exists()
    assert service("install", "--no-start", "--binary-path", str(program)).code == 0


def test_a_start_that_fails_says_where_to_look(service, host, program, config):
    unit = host.layout().units / "runner.service"
    service("install", "--no-start", "--binary-path", str(program))
    config.write_text(config.read_text() + "[nonsense]\n")

    ended = service("start")

    assert ended.code == 1
    assert "runner service logs" in ended.err
    assert unit.exists()


def test_a_token_that_only_the_shell_has_is_warned_about(service, host, program, monkeypatch):
    config = host.write_config(host.root / "c.toml", 'token = "env:MY_TOKEN"\n')
    monkeypatch.setenv("MY_TOKEN", "t0ken")

    ended = service("install", "--no-start", "--binary-path", str(program), "--config-path", str(config))

    assert ended.code == 0
    assert "reads MY_TOKEN from the environment" in ended.out
    assert "systemctl edit runner" in ended.out
    assert "t0ken" not in (host.layout().units / "runner.service").read_text()


# -- refusals ---------------------------------------------------------------------------------------------


def test_a_configuration_with_errors_is_refused_with_all_of_them(service, host, program, config):
    config.write_text(config.read_text() + "max-runers = 3\n")

    ended = service("install", "--binary-path", str(program))

    assert ended.code == 1
    assert "max-runners" in ended.err
    assert not host.layout().units.exists()


def test_without_a_configuration_it_says_how_to_make_one(service, program, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended = service("install", "--binary-path", str(program))

    assert ended.code == 1
    assert "there is no configuration" in ended.err
    assert "runner init" in ended.err


def test_a_missing_program_is_refused(service, config):
    ended = service("install", "--binary-path", "/nonexistent/runner")

    assert ended.code == 1
    assert "there is no program /nonexistent/runner" in ended.err


def test_a_file_that_is_not_executable_is_no_program(tmp_path):
    path = tmp_path / "runner"
    path.write_text("")

    with pytest.raises(HostError, match="not executable"):
        program_words(str(path))


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "logs"])
def test_a_host_without_systemd_is_told_so(service, host, program, config, verb):
    (host.root / "run/systemd/system").rmdir()

    ended = service(verb)

    assert ended.code == 1
    assert "this host does not run systemd" in ended.err


def test_a_users_systemd_that_does_not_answer_is_told_with_its_cure(service, host, config):
    host.break_call("show-environment", text="Failed to connect to bus: No medium found")

    ended = service("start", "--user")

    assert ended.code == 1
    assert "No medium found" in ended.err
    assert "enable-linger" in ended.err


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "logs"])
def test_what_is_not_installed_cannot_be_used(service, verb):
    ended = service(verb)

    assert ended.code == 1
    assert "not installed" in ended.err
    assert "runner service install" in ended.err


def test_only_root_may_change_services_of_the_host(tmp_path):
    layout = Layout(False, 1000, 1000, "alice", tmp_path)

    with pytest.raises(HostError, match="only root") as error:
        require_rights(layout, "service install")

    assert error.value.fixes == (
        "sudo runner service install", "for your own user: runner service install --user"
    )  # fmt: skip


def test_a_users_service_under_sudo_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")

    with pytest.raises(HostError, match="not those of alice"):
        require_rights(Layout(True, 0, 0, "root", tmp_path), "service install")


def test_beside_a_service_of_the_go_tool_it_names_migrate(service, host, program, config):
    host.install_go_unit(config)

    ended = service("install", "--binary-path", str(program))

    assert ended.code == 1
    assert "runner migrate" in ended.err


# -- daily use --------------------------------------------------------------------------------------------


def test_start_stop_and_restart_are_harmless_when_repeated(service, host, program, config):
    service("install", "--binary-path", str(program))
    first = host.health()["pid"]

    assert service("start").code == 0
    assert host.health()["pid"] == first
    assert service("restart").code == 0
    assert host.health()["pid"] != first
    assert service("stop").code == 0
    assert service("stop").code == 0
    assert host.health() == {}
    assert service("status").code == 1


def test_the_journal_is_asked_for_our_unit(host, config):
    system, user = (SystemdManager(host.layout(is_user=one)) for one in (False, True))

    assert system.log_command(follow=True, lines=20) == [
        "journalctl", "--unit=runner.service", "--lines=20", "--follow"
    ]  # fmt: skip
    assert user.log_command(follow=False, lines=9) == [
        "journalctl", "--user", "--user-unit=runner.service", "--lines=9", "--no-pager"
    ]  # fmt: skip


def test_the_log_of_launchd_is_a_file(host):
    manager = LaunchdManager(host.layout())
    with pytest.raises(HostError, match="no log yet"):
        manager.log_command(follow=False, lines=5)
    (host.root / "var/log/runner.log").touch()

    assert manager.log_command(follow=True, lines=5)[:4] == ["tail", "-n", "5", "-F"]


def test_migrate_without_anything_to_migrate_succeeds(runner, host):
    ended = runner("migrate", "--root", str(host.root), "--binary-path", "/bin/true")

    assert ended.code == 0
    assert "there is no service of the Go tool" in ended.out


@pytest.mark.parametrize("words", [["service", verb] for verb in VERBS] + [["service"], ["migrate"]])
def test_every_help_page_fits_eighty_columns_and_has_an_example(runner, words):
    ended = runner(*words, "--help")

    assert ended.code == 0
    assert "Example: " in ended.out
    assert all(len(line) <= 80 for line in ended.out.splitlines())


# -- launchd ----------------------------------------------------------------------------------------------


def test_a_launch_agent_is_installed_and_removed(host, program, config):
    said = []
    manager = LaunchdManager(host.layout(is_user=True))

    install(manager, (str(program),), config, said.append)

    file = host.home / "Library/LaunchAgents/io.github.ysya.runner.plist"
    assert file.exists()
    assert (host.home / "Library/Logs/runner.log").exists()
    assert manager.state(manager.id).is_running
    assert manager.state(manager.id).is_enabled
    pid = manager.state(manager.id).pid
    manager.start(manager.id)
    assert manager.state(manager.id).pid == pid
    manager.restart(manager.id)
    assert manager.state(manager.id).pid != pid

    uninstall(manager, said.append)

    assert not file.exists()
    assert manager.state(manager.id).state == "not loaded"


def test_a_daemon_of_root_with_tart_is_refused_with_the_reason(host, program):
    config = host.write_config(host.root / "c.toml", 'token = "t"\nrunner-image = "x"\n', backend="tart")
    manager = LaunchdManager(host.layout())

    with pytest.raises(HostError, match=r"LaunchAgent of the logged-in user: .*keychain") as error:
        install(manager, (str(program),), config, lambda _: None)

    assert "runner service install --user" in error.value.fixes[0]
    assert not manager.file_of(manager.id).exists()
    install(LaunchdManager(host.layout(is_user=True)), (str(program),), config, lambda _: None, start=False)


def test_without_a_session_there_is_no_launch_agent(host):
    (host.known / "no-session").touch()

    with pytest.raises(HostError, match="no session of alice") as error:
        LaunchdManager(host.layout(is_user=True)).check()

    assert "log in" in error.value.fixes[0]


def test_the_fakes_remember_what_the_real_ones_would(host, config):
    """The texts and codes that tests of ours rely on, as systemctl(1) and launchctl(1) give them."""
    host.install_go_unit(config)
    layout = host.layout()
    (layout.units / "runscaler.service").write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(HostError, match="changed on disk"):
        SystemdManager(layout).restart("runscaler.service")
    with pytest.raises(HostError, match="not found"):
        SystemdManager(layout).start("other.service")
    assert json.loads((host.known / "runscaler.service.json").read_text())["pid"] == 0


def test_the_log_is_shown_by_the_journals_own_program(process, host, program, config, tmp_path):
    install(SystemdManager(host.layout()), (str(program),), config, lambda _: None, start=False)
    journal = tmp_path / "bin/journalctl"
    journal.write_text('#!/bin/sh\necho "$@"\n')
    journal.chmod(0o755)

    ended = process("service", "logs", "-n", "7", "-f", "--root", str(host.root))

    assert (ended.code, ended.out) == (0, "--unit=runner.service --lines=7 --follow\n")
