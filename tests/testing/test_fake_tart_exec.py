"""`exec` and the guest agent (docs/tart.md § 6)."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import psutil
from support.fake_tart import PATIENCE, PIPES, answer, clone, running, sh, wait_for


def test_exec_gives_the_commands_code_and_both_streams(tart):
    with running(tart):
        assert answer(sh(tart, "echo out; echo err >&2; exit 7")) == (7, "out\n", "err\n")


def test_code_255_stands_for_a_signal(tart):
    with running(tart):
        assert sh(tart, "kill -9 $$").returncode == 255


def test_a_command_that_cannot_start_is_code_1_and_a_grpc_text(tart):
    with running(tart):
        unknown = answer(tart.call("exec", "vm", "nosuch"))
        missing = answer(tart.call("exec", "vm", "/no/such"))

    assert unknown == (1, "", 'Error: unknown (2): exec: "nosuch": executable file not found in $PATH\n')
    assert missing == (1, "", "Error: unknown (2): fork/exec /no/such: no such file or directory\n")


def test_everything_after_the_name_is_the_command(tart):
    with running(tart):
        flag = tart.call("exec", "vm", "-i", "cat")
        dashes = tart.call("exec", "vm", "--", "cat")

    assert b'exec: "-i": executable file not found' in flag.stderr
    assert b'exec: "--": executable file not found' in dashes.stderr


def test_stdin_is_empty_without_i_and_ends_with_ours_with_i(tart):
    with running(tart):
        assert tart.call("exec", "vm", "cat", stdin=b"lost").stdout == b""
        assert tart.call("exec", "-i", "vm", "cat", stdin=b"kept").stdout == b"kept"


def test_a_megabyte_passes_in_both_directions(tart):
    data = os.urandom(1 << 20)
    with running(tart):
        assert tart.call("exec", "-i", "vm", "cat", stdin=data).stdout == data


def test_a_command_that_reads_none_of_its_stdin_still_ends(tart):
    with running(tart):
        assert sh(tart, "exit 3", stdin=bytes(1 << 20)).returncode == 3


def test_a_command_lives_in_its_guests_home_with_the_agents_path(tart):
    with running(tart):
        found = sh(tart, 'echo "$HOME" "$PWD" "$TMPDIR" "$PATH" /Users/admin/x').stdout.decode().split()

    home = str(tart.guest_home("vm"))
    assert found[:3] == [home, home, f"{home}/tmp"]
    assert found[3].endswith(":/bin:/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin")
    assert found[4] == f"{home}/x"


def test_the_hosts_environment_is_not_the_guests(tart, monkeypatch):
    monkeypatch.setenv("OF_THE_HOST", "1")
    with running(tart):
        assert b"OF_THE_HOST" not in tart.call("exec", "vm", "env").stdout


def test_the_agent_logs_arguments_and_not_stdin(tart):
    with running(tart):
        sh(tart, "cat", "an-argument", stdin=b"a-secret")

        assert "an-argument" in tart.agent_log("vm")
        assert "a-secret" not in tart.agent_log("vm")


def test_a_lost_connection_kills_only_the_direct_child(tart):
    script = "sleep 600 & echo $$ $!; wait"
    with running(tart):
        caller = tart.spawn("exec", "vm", "/bin/sh", "-c", script, stdout=subprocess.PIPE)
        child, grandchild = map(int, caller.stdout.readline().split())

        caller.kill()
        caller.communicate(timeout=PATIENCE)

        wait_for(lambda: child not in {each.pid for each in tart.guest_processes("vm")})
        assert psutil.pid_exists(grandchild)


def test_a_grandchild_with_stdout_keeps_exec_from_returning(tart):
    with running(tart):
        caller = tart.spawn(
            "exec", "vm", "/bin/sh", "-c", "sleep 600 2>/dev/null & echo $!", stdout=subprocess.PIPE
        )
        grandchild = int(caller.stdout.readline())
        tart.call("exec", "vm", "true")
        still = caller.poll() is None

        os.kill(grandchild, signal.SIGKILL)

        assert (still, caller.wait(PATIENCE)) == (True, 0)
        caller.stdout.close()


def test_a_background_child_without_descriptors_does_not(tart):
    with running(tart):
        assert sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null & echo started").stdout == b"started\n"


def test_exec_fails_when_the_vm_dies(tart):
    with running(tart) as process:
        caller = tart.spawn("exec", "vm", "/bin/sh", "-c", "echo; sleep 600", **PIPES)
        caller.stdout.readline()

        process.kill()

        _, error = caller.communicate(timeout=PATIENCE)
        assert (caller.returncode, error[:24]) == (1, b"Error: unavailable (14):")


def test_exec_retries_until_its_time_out(tart):
    tart.state(agent={"v*": "never"})
    tart.latency(exec_pause=0.01, exec_patience=0.1)
    clone(tart, "vm")
    process = tart.spawn("run", "vm")
    wait_for(lambda: (tart.vm_path("vm") / "control.sock").exists())

    code, _, error = answer(tart.call("exec", "vm", "true"))

    assert code == 1
    assert error.startswith("Failed to connect to the VM using its control socket: ")
    assert error.endswith(", is the Tart Guest Agent running?\n")
    process.kill()
    process.wait(PATIENCE)


def test_exec_waits_for_a_guest_that_boots(tart):
    tart.latency(boot_agent=0.3, exec_pause=0.01)
    clone(tart, "vm")
    process = tart.spawn("run", "vm")
    wait_for(lambda: (tart.vm_path("vm") / "control.sock").exists())

    assert tart.call("exec", "vm", "true").returncode == 0
    process.kill()
    process.wait(PATIENCE)


def test_execs_run_concurrently(tart):
    with running(tart), ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda number: sh(tart, f"echo {number}").stdout, range(10)))

    assert found == [f"{number}\n".encode() for number in range(10)]


def test_pgrep_sees_only_the_processes_of_its_own_guest(tart):
    worker = "/Users/admin/actions-runner/bin/Runner.Worker >/dev/null 2>&1 </dev/null & echo $!"
    with running(tart), running(tart, "other"):
        before = sh(tart, "pgrep -f Runner.Worker")
        pid = sh(tart, worker).stdout
        here, there = (sh(tart, "pgrep -f Runner.Worker", name=name) for name in ("vm", "other"))
        sh(tart, "pkill -9 -f Runner.Worker")
        after = sh(tart, "pgrep -f Runner.Worker")

    assert (before.returncode, before.stdout) == (1, b"")
    assert (here.returncode, here.stdout) == (0, pid)
    assert (there.returncode, after.returncode) == (1, 1)


def test_a_restarted_agent_ends_execs_and_leaves_the_runner(tart):
    with running(tart):
        runner = int(sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null & echo $!").stdout)
        watch = tart.spawn("exec", "vm", "/bin/sh", "-c", "echo; exec sleep 600", stdout=subprocess.PIPE)
        watch.stdout.readline()

        tart.restart_agent("vm")

        assert watch.wait(PATIENCE) == 1
        watch.stdout.close()
        tart.wait_until_ready("vm")
        assert [each.pid for each in tart.guest_processes("vm")] == [runner]


def test_a_frozen_guest_answers_nothing_and_dies_with_its_vm(tart):
    with running(tart) as process:
        sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null &")
        tart.freeze_guest("vm")
        (sleeper,) = tart.guest_processes("vm")
        wait_for(lambda: sleeper.status() == psutil.STATUS_STOPPED)
        caller = tart.spawn("exec", "vm", "true")
        wait_for(lambda: len(tart.calls("exec")) == 2)

        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE) == 0
        assert tart.guest_processes("vm") == []
        caller.kill()
        caller.wait(PATIENCE)


def test_many_small_pieces_pass_in_both_directions(tart):
    data = bytes(1 << 20)
    with running(tart):
        assert sh(tart, "dd bs=512 2>/dev/null", stdin=data).stdout == data
