"""What the process backend guarantees beyond the contract."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.certificates import Authority
from support.disk import full_disk
from support.processes import in_shell, process_settings, zombies
from support.run_sh import write_runner

from runscaler.backends.base import BackendContext, ResourceState
from runscaler.backends.process import ProcessBackend
from runscaler.backends.process.launch import environment, populate
from runscaler.backends.process.process_tree import RUNNER_PROCESSES
from runscaler.backends.process.runner_directory import RunnerDirectory
from runscaler.clock import SystemClock
from runscaler.errors import BackendError, Interrupted, StartFailed
from runscaler.interrupt import Interrupt
from runscaler.testing.backend_contract import PATIENCE, Observed, Orders
from runscaler.testing.backend_rig import wait_for_output

COUNT_CERTIFICATES = """
lines=$(wc -l <$NODE_EXTRA_CA_CERTS); head -n $lines $SSL_CERT_FILE
echo ===; grep -c BEGIN $SSL_CERT_FILE; echo end"""
DIRECTORY = RunnerDirectory(Path("/state/process/runner-1"))
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def rig(process_rig):
    return process_rig


@pytest.fixture
def backend(rig, owner):
    backend = rig.open(owner)
    yield backend
    for resource in backend.inventory():
        backend.remove(resource, force=True, interrupt=Interrupt())
    backend.close()


@pytest.fixture
def start(rig, backend):
    """A function that starts a runner whose command is a shell script."""

    def start(script="exec sleep 600", **settings):
        made = Orders(rig).make()
        chosen = process_settings(in_shell(script), **settings)
        return backend.start(replace(made, settings=chosen), Interrupt())

    return start


def remove(backend, resource, *, force=True):
    backend.remove(resource, force=force, interrupt=Interrupt())


def marks_of(rig, resource):
    return json.loads((rig.home(resource) / "marks.json").read_text())


def change_marks(rig, resource, **changes):
    path = rig.home(resource) / "marks.json"
    path.write_text(json.dumps(marks_of(rig, resource) | changes))


# all processes of a runner


def test_processes_that_left_the_process_group_end_with_the_runner(rig, backend, start):
    resource = start("setsid sleep 600 & (setsid sleep 600 &) ; echo begun; exec sleep 600")
    wait_for_output(backend, resource, b"begun")

    remove(backend, resource)

    assert rig.processes() == []


def test_a_removed_runner_is_forgotten(rig, backend, start, owner):
    resource = start()
    mark = f"{owner}/{resource.runner}"
    assert RUNNER_PROCESSES.living_pid(mark)

    remove(backend, resource)

    assert RUNNER_PROCESSES.exit_code(mark) is None


def test_processes_that_cleared_their_environment_end_with_the_runner(backend, start):
    resource = start("env -i sleep 600 & echo $!; exec sleep 600")
    orphan = psutil.Process(int(wait_for_output(backend, resource, b"\n")))

    remove(backend, resource)

    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_processes_that_an_ended_runner_left_end_with_its_removal(rig, backend, start):
    observed = Observed(backend)
    resource = start("(setsid sleep 600 &); env -i sleep 600 & echo $!; exit 3")
    observed.end_of(resource)
    orphan = psutil.Process(int(backend.logs(resource, 100, Interrupt())))
    assert orphan.is_running()

    remove(backend, resource, force=False)

    assert rig.processes() == []
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    observed.stop()


def test_the_signal_that_killed_a_runner_is_reported(backend, start):
    observed = Observed(backend)

    resource = start("kill -9 $$")

    ending = observed.end_of(resource).ending
    assert (ending.exit_code, ending.signal) == (None, signal.SIGKILL)
    observed.stop()


def test_a_job_is_noticed_by_its_worker_process(backend, start):
    resource = start("sh -c 'sleep 600; :' /x/bin/Runner.Worker & echo begun; exec sleep 600")
    wait_for_output(backend, resource, b"begun")

    clock, never = SystemClock(), Interrupt()
    while not backend.runs_a_job(resource, Interrupt()):  # until the shell has its new command line
        clock.pause(0.01, never)


# SIGTERM before the kill


def test_run_sh_passes_sigterm_on_and_the_steps_are_left_to_its_listener(rig, backend, tmp_path):
    """docs/protocol.md § 8.3"""
    told = tmp_path / "told"
    runner = tmp_path / "runner"
    runner.mkdir()
    write_runner(runner, told)
    order = replace(Orders(rig).make(), settings=process_settings(runner_dir=runner))
    resource = backend.start(order, Interrupt())
    wait_for_output(backend, resource, b"listening")

    backend.remove(resource, force=True, interrupt=Interrupt(), grace=PATIENCE)

    assert told.read_text() == "canceled\n"
    assert rig.processes() == []


def test_a_run_sh_behind_a_shell_that_dies_of_sigterm_is_waited_for(rig, backend, start, tmp_path):
    told = tmp_path / "told"
    write_runner(tmp_path, told)
    resource = start(f"cd {tmp_path}; ./run.sh; true")
    wait_for_output(backend, resource, b"listening")

    backend.remove(resource, force=True, interrupt=Interrupt(), grace=PATIENCE)

    assert told.read_text() == "canceled\n"
    assert rig.processes() == []


# adoption


def test_a_runner_outlives_a_daemon_that_was_killed(rig, backend, owner):
    daemon = """
import sys
from pathlib import Path
from support.processes import ProcessRig
from runscaler.interrupt import Interrupt
from runscaler.names import OwnerId
from runscaler.testing.backend_contract import Orders
rig = ProcessRig(Path(sys.argv[1]))
started = rig.open(OwnerId(sys.argv[2])).start(Orders(rig).make(), Interrupt())
print(started.id, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", daemon, rig.state_dir, owner],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
    ) as killed:
        name = killed.stdout.readline().decode().strip()
        killed.kill()

    (adopted,) = backend.inventory()
    assert (adopted.id, adopted.state) == (name, ResourceState.RUNNING)

    observed = Observed(backend)
    observed.first()
    psutil.Process(marks_of(rig, adopted)["pid"]).kill()

    ending = observed.end_of(adopted).ending
    assert (ending.exit_code, ending.signal) == (None, None)
    assert ending.at > 0
    observed.stop()


def test_a_process_whose_pid_was_never_recorded_is_found(rig, backend, start, owner):
    resource = start()
    pid = marks_of(rig, resource)["pid"]
    change_marks(rig, resource, pid=0, process_created=0.0)

    (listed,) = rig.open(owner).inventory()

    assert listed.state is ResourceState.RUNNING
    assert marks_of(rig, resource)["pid"] == pid


def test_a_start_that_never_launched_its_process_has_ended(rig, backend, start, owner):
    resource = start()
    rig.destroy(resource)
    home = RunnerDirectory(rig.home(resource))
    home.path.mkdir()
    (home.path / "marks.json").write_text(json.dumps({**_bare_marks(resource)}))

    (listed,) = rig.open(owner).inventory()

    assert (listed.id, listed.state) == (resource.id, ResourceState.ENDED)
    assert listed.ending.exit_code is None


def _bare_marks(resource):
    return {
        "owner": resource.owner,
        "url": resource.key.url,
        "group": resource.key.group,
        "scale_set": resource.key.name,
        "slot": 0,
        "runner": resource.runner,
        "created_at": 1.0,
    }


def test_a_process_that_reused_the_pid_is_left_alone(rig, backend, start):
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as other:
        resource = start()
        rig.destroy(resource)
        home = rig.home(resource)
        home.mkdir()
        marks = _bare_marks(resource) | {"pid": other.pid, "process_created": 1.0}
        (home / "marks.json").write_text(json.dumps(marks))

        (listed,) = backend.inventory()
        remove(backend, resource)

        assert listed.state is ResourceState.ENDED
        assert other.poll() is None
        other.kill()


def test_setting_the_clock_ends_no_runner(rig, backend, start):
    resource = start()
    change_marks(rig, resource, process_created=marks_of(rig, resource)["process_created"] - 3600)

    assert backend.inventory()[0].state is ResourceState.RUNNING


def test_a_directory_without_marks_is_deleted(rig, backend, start):
    resource = start()
    home = rig.home(resource)
    rig.destroy(resource)
    home.mkdir()
    (home / "marks.json").touch()

    assert backend.inventory() == []
    assert not home.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"slot": int("9" * 4000)},
        {"slot": -1},
        {"runner": "/etc/passwd"},
        {"runner": "runner-00000000"},
        {"runner_id": 2**63},
        {"pid": 2**31},
        {"created_at": 1e300},
        {"url": "https://[x"},
        {"scale_set": "a" * 600},
        {"group": "a\nb"},
    ],
    ids=lambda it: next(iter(it)),
)
def test_a_directory_with_marks_that_cannot_be_read_is_left_alone_and_named_once(
    rig, backend, start, log_lines, change
):
    resource = start()
    home = rig.home(resource)
    rig.destroy(resource)
    home.mkdir()
    (home / "marks.json").write_text(json.dumps({**_bare_marks(resource), **change}))

    assert backend.inventory() == []
    assert backend.inventory() == []

    assert home.exists()
    assert len([line for line in log_lines if "left alone" in line and str(home) in line]) == 1
    shutil.rmtree(home)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "9" * 70_000])
def test_marks_that_are_no_json_are_left_alone(rig, backend, start, content):
    resource = start()
    home = rig.home(resource)
    rig.destroy(resource)
    home.mkdir()
    (home / "marks.json").write_text(content)

    assert backend.inventory() == []
    assert home.exists()
    shutil.rmtree(home)


def test_a_runner_that_lost_its_marks_is_not_touched(rig, backend, start):
    resource = start()
    marks = (rig.home(resource) / "marks.json").read_text()
    (rig.home(resource) / "marks.json").write_text("not json")

    assert backend.inventory() == []
    assert len(rig.processes()) == 1

    (rig.home(resource) / "marks.json").write_text(marks)
    assert [listed.id for listed in backend.inventory()] == [resource.id]


@pytest.mark.parametrize("look", ["inventory", "remove"])
def test_a_runner_that_somebody_deleted_leaves_no_zombie(rig, backend, start, look):
    resource = start()
    rig.destroy(resource)

    if look == "inventory":
        assert backend.inventory() == []
    else:
        remove(backend, resource, force=False)

    assert zombies() == []


# secrets and environment


def test_only_the_runner_gets_the_jit_configuration(rig, backend):
    order = replace(Orders(rig).make(), settings=process_settings(in_shell("env; exec sleep 600")))
    encoded = order.jit().encoded.reveal()

    resource = backend.start(order, Interrupt())

    assert encoded.encode() in wait_for_output(backend, resource, encoded.encode())
    (process,) = rig.processes()
    assert encoded not in " ".join(process.cmdline())
    files = [path for path in rig.home(resource).rglob("*") if path.is_file() and path.name != "output.log"]
    assert [path for path in files if encoded.encode() in path.read_bytes()] == []


def test_only_this_user_has_access_to_the_directory(rig, backend, start):
    resource = start()
    home = rig.home(resource)

    modes = {path.name: path.stat().st_mode & 0o777 for path in (home, *home.iterdir())}

    assert modes == {home.name: 0o700, "marks.json": 0o600, "output.log": 0o600, "work": 0o700}


def test_the_daemons_variables_are_not_inherited():
    daemon = {"RUNNER_TOKEN": "s3cr3t", "ANY_NAME": "s3cr3t", "PATH": "/bin", "LC_ALL": "C"}

    variables = environment(process_settings(), "owner/runner", DIRECTORY, daemon)

    assert "s3cr3t" not in variables.values()
    assert (variables["PATH"], variables["LC_ALL"]) == ("/bin", "C")
    assert variables["RUNNER_MANUALLY_TRAP_SIG"] == "1"
    assert variables["ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE"] == "1"


@pytest.mark.parametrize(("user", "allowed"), [(0, "1"), (1000, None)])
def test_a_runner_may_run_as_root_if_the_daemon_does(monkeypatch, user, allowed):
    monkeypatch.setattr(os, "geteuid", lambda: user)

    variables = environment(process_settings(), "owner/runner", DIRECTORY, {})

    assert variables.get("RUNNER_ALLOW_RUNASROOT") == allowed


def test_proxy_and_ca_of_the_scale_set_reach_the_runner():
    settings = process_settings(proxy="http://proxy:3128", ca="/etc/ca.pem")

    variables = environment(settings, "owner/runner", DIRECTORY, {"HTTPS_PROXY": "http://other"})

    assert variables["HTTPS_PROXY"] == variables["http_proxy"] == "http://proxy:3128"
    assert variables["NODE_EXTRA_CA_CERTS"] == "/state/process/runner-1/ca.pem"
    assert (
        variables["SSL_CERT_FILE"] == variables["GIT_SSL_CAINFO"] == "/state/process/runner-1/ca-bundle.pem"
    )


def test_a_proxy_of_the_daemon_s_loopback_is_the_runner_s_too(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")

    variables = environment(process_settings(), "owner/runner", DIRECTORY, {})

    assert variables["https_proxy"] == "http://127.0.0.1:3128"
    assert variables["no_proxy"] == "inside.example,localhost,127.0.0.1,::1"


def test_a_runner_trusts_the_own_authority_beside_the_public_ones(backend, start, tmp_path):
    authority = Authority(tmp_path, "company")

    resource = start(
        f"cmp $NODE_EXTRA_CA_CERTS {authority.pem} && {COUNT_CERTIFICATES}", ca=str(authority.pem)
    )

    own, _, count = wait_for_output(backend, resource, b"\nend").partition(b"===\n")
    assert own == authority.pem.read_bytes()
    assert int(count.split()[0]) > 50


def test_a_start_fails_clearly_without_the_file_of_ca(start):
    with pytest.raises(StartFailed, match=r"ca /nowhere\.pem cannot be read: No such file"):
        start(ca="/nowhere.pem")


# the template


@pytest.fixture
def template(tmp_path):
    """An unpacked runner that was configured by hand."""
    template = tmp_path / "template"
    (template / "bin").mkdir(parents=True)
    (template / "bin" / ".runner").write_text("not at the top, so a file like any other")
    (template / ".credentials").write_text("s3cr3t")
    run = template / "run.sh"
    run.write_text("#!/bin/sh\nls -A . bin\nexec sleep 600\n")
    run.chmod(0o755)
    return template


def test_a_template_is_copied_without_its_identity_files_and_its_run_sh_runs(rig, backend, template):
    settings = process_settings(runner_dir=template)

    resource = backend.start(replace(Orders(rig).make(), settings=settings), Interrupt())

    output = wait_for_output(backend, resource, b".runner")
    assert b"run.sh" in output
    assert b".credentials" not in output
    assert [found.level for found in backend.check(settings)] == ["ok"]


def test_symbolic_links_of_a_template_stay_links(tmp_path, template):
    (template / "current").symlink_to("bin")

    populate(tmp_path / "work", process_settings(runner_dir=template), lambda: None)

    assert (tmp_path / "work" / "current").readlink() == Path("bin")


def test_copying_a_template_can_be_interrupted(tmp_path, template):
    interrupt = Interrupt()
    copied = []

    def step():
        interrupt.wait(0)
        copied.append(1)
        interrupt.set()

    with pytest.raises(Interrupted):
        populate(tmp_path / "work", process_settings(runner_dir=template), step)

    assert copied == [1]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            process_settings(runner_dir="/no/such/directory"),
            "runner-dir /no/such/directory is not a directory",
        ),
        (process_settings(runner_dir=Path(__file__).parent), "./run.sh is missing"),
        (process_settings(__file__), "is missing or cannot be executed"),
        (process_settings("'unclosed"), "cannot be split into words"),
    ],
)
def test_unusable_settings_are_reported_and_cannot_start(rig, backend, settings, said):
    (finding,) = backend.check(settings)
    assert finding.level == "error"
    assert said in finding.message
    assert finding.fixes

    with pytest.raises(StartFailed):
        backend.start(replace(Orders(rig).make(), settings=settings), Interrupt())
    assert rig.leftovers() == []


# directories


def test_directories_that_a_job_made_unwritable_are_removed(rig, backend, start):
    resource = start("mkdir -p go/mod; touch go/mod/file; chmod 0500 go/mod go; echo begun; exec sleep 600")
    wait_for_output(backend, resource, b"begun")

    remove(backend, resource)

    assert rig.leftovers() == []


def test_on_a_full_disk_an_ended_runner_is_reported_and_can_be_removed(rig, backend, start):
    lives, ends = start(), start()
    change_marks(rig, lives, pid=0)
    with full_disk():
        observed = Observed(backend)
        observed.first()
        psutil.Process(marks_of(rig, ends)["pid"]).kill()
        ended = observed.end_of(ends)
        observed.stop()
        listed = {each.id: each for each in backend.inventory()}
        remove(backend, ends, force=False)

    assert ended.ending.signal == signal.SIGKILL
    assert listed[ends.id].ending.signal == signal.SIGKILL
    assert listed[lives.id].state is ResourceState.RUNNING
    assert not rig.home(ends).exists()


def test_an_id_that_is_no_runner_name_leads_to_no_path(rig, backend, start):
    resource = start()

    for stranger in ("../" + resource.id, "/etc", ""):
        remove(backend, replace(resource, id=stranger))
        assert backend.logs(replace(resource, id=stranger), 100, Interrupt()) == b""

    assert [listed.id for listed in backend.inventory()] == [resource.id]


def test_without_a_state_dir_runners_live_in_a_private_temporary_directory(rig, tmp_path, monkeypatch, owner):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    backend = ProcessBackend(BackendContext(owner, None, SystemClock()))

    resource = backend.start(Orders(rig).make(), Interrupt())

    base = tmp_path / f"runscaler-{os.getuid()}"
    assert base.stat().st_mode & 0o777 == 0o700
    assert (base / "process" / owner / resource.id).is_dir()
    remove(backend, resource)
    backend.close()
    assert list(base.iterdir()) == []


def test_a_temporary_directory_with_access_for_others_is_refused(rig, tmp_path, monkeypatch, owner):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    base = tmp_path / f"runscaler-{os.getuid()}"
    base.mkdir()
    base.chmod(0o777)
    backend = ProcessBackend(BackendContext(owner, None, SystemClock()))

    with pytest.raises(BackendError, match="not a directory of this user alone"):
        backend.start(Orders(rig).make(), Interrupt())


# the built-in agent


def test_a_temporary_directory_of_another_user_is_refused(rig, tmp_path, monkeypatch, owner):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if os.getuid() == 4711:
        pytest.skip("this is that other user")
    backend = ProcessBackend(BackendContext(owner, None, SystemClock()))

    with pytest.raises(BackendError, match="not a directory of this user alone"):
        backend.start(Orders(rig).make(), Interrupt())


def test_without_a_template_the_built_in_agent_takes_the_jit_configuration(rig, backend):
    """It leads to no server here, which the agent reports and exits with 1 (docs/protocol.md § 9.5)."""
    observed = Observed(backend)
    order = replace(Orders(rig).make(), settings=process_settings())
    assert [found.level for found in backend.check(order.settings)] == ["ok"]

    resource = backend.start(order, Interrupt())

    assert observed.end_of(resource).ending.exit_code == 1
    assert b"An error occurred" in backend.logs(resource, 10_000, Interrupt())
    observed.stop()


def test_the_disk_of_its_runners_is_that_of_the_state_directory(owner, tmp_path):
    with_state_dir = ProcessBackend(BackendContext(owner, tmp_path, SystemClock()))
    without = ProcessBackend(BackendContext(owner, None, SystemClock()))

    assert with_state_dir.disk_paths() == [tmp_path]
    assert [path.parent for path in without.disk_paths()] == [Path(tempfile.gettempdir())]
