"""The scripts that run in a guest, in the shells that may be there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import pytest
from support.run_sh import write_runner
from support.tart import wait_until

from runscaler.backends.loopback_proxy import loopback_proxy
from runscaler.backends.tart.guest import START_SCRIPT, TERMINATE_SCRIPT, WAIT_SCRIPT
from runscaler.backends.tart.guest_input import guest_input
from runscaler.config.model import ScaleSetSettings
from runscaler.config.secrets import Secret
from runscaler.errors import StartFailed
from runscaler.testing.backend_rig import PATIENCE

WAITS = 'read -r code <"$HOME/go"; exit "$code"'


class Guest:
    """With its own home, in which `sleep` only records that it was called."""

    def __init__(self, shell, home):
        self.shell, self.home = shell.split(), home
        self.box, self.runner_dir = home / ".runscaler", home / "actions-runner"
        self.env = {"HOME": str(home), "PATH": f"{home}/bin:/usr/bin:/bin"}
        self.write("bin/sleep", ': >"$HOME/slept"')
        os.mkfifo(home / "go")

    def write(self, name, text):
        path = self.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def start(self, run_sh=None, stdin=b"jit\n"):
        """The pid of the shell around the runner; None: its run.sh is there already."""
        if run_sh is not None:
            self.write("actions-runner/run.sh", run_sh)
        words = ["bash", "-c", START_SCRIPT, "runscaler", str(self.runner_dir)]
        ended = subprocess.run(
            words,
            input=stdin,
            env=self.env,
            stdout=subprocess.PIPE,
            umask=0o22,
            timeout=PATIENCE,
            check=True,
        )
        return int(ended.stdout.removeprefix(b"started "))

    def terminate(self, pid):
        """What the script prints."""
        words = [*self.shell, "-c", TERMINATE_SCRIPT, "runscaler", str(pid)]
        ended = subprocess.run(words, env=self.env, stdout=subprocess.PIPE, timeout=PATIENCE, check=True)
        return ended.stdout

    def await_output(self, words):
        """Of the runner."""
        wait_until(lambda: words in (self.box / "log").read_text())

    def await_runner(self, pid):
        """A process that is waiting already."""
        words = [*self.shell, "-xc", WAIT_SCRIPT, "runscaler", str(pid)]
        waiting = subprocess.Popen(words, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in waiting.stderr:
            if line.startswith((b"+ read", b"+ sleep")):
                break
        return waiting

    def go(self, code):
        (self.home / "go").write_text(f"{code}\n")

    def printed(self, waiting):
        return waiting.communicate(timeout=PATIENCE)[0]


@pytest.fixture(params=["sh", "bash --posix"])
def guest(request, tmp_path):
    """On a Mac `sh` is a bash."""
    return Guest(request.param, tmp_path)


def test_the_end_of_a_runner_is_noticed_without_polling(guest):
    waiting = guest.await_runner(guest.start(WAITS))

    guest.go(3)

    assert guest.printed(waiting) == b"3\n"
    assert not (guest.home / "slept").exists()


def test_the_end_of_a_runner_whose_shell_is_killed_is_noticed_without_polling(guest):
    pid = guest.start(WAITS)
    waiting = guest.await_runner(pid)

    os.kill(pid, signal.SIGKILL)

    assert guest.printed(waiting) == b""
    assert not (guest.home / "slept").exists()
    guest.go(0)


def test_a_runner_that_ended_before_the_watch_began_is_noticed_at_once(guest):
    pid = guest.start(WAITS)
    first = guest.await_runner(pid)
    guest.go(4)
    guest.printed(first)

    assert guest.printed(guest.await_runner(pid)) == b"4\n"


def test_background_processes_of_a_runner_do_not_hide_its_end(guest):
    os.mkfifo(guest.home / "later")
    waiting = guest.await_runner(guest.start(f'(read -r line <"$HOME/later") & {WAITS}'))

    guest.go(0)

    assert guest.printed(waiting) == b"0\n"
    (guest.home / "later").write_text("\n")


def test_a_runner_is_watched_even_if_its_job_deleted_the_home(guest):
    pid = guest.start(WAITS)
    shutil.rmtree(guest.box)
    waiting = guest.await_runner(pid)

    guest.go(0)

    assert guest.printed(waiting) == b""


def test_files_of_an_earlier_runner_in_the_image_do_not_count(guest):
    guest.box.mkdir()
    (guest.box / "exit").write_text("0\n")
    waiting = guest.await_runner(guest.start(WAITS))

    guest.go(5)

    assert guest.printed(waiting) == b"5\n"


def test_a_job_keeps_the_guests_own_umask_and_our_files_are_private(guest):
    pid = guest.start('umask >"$HOME/umask"')

    guest.printed(guest.await_runner(pid))

    assert int((guest.home / "umask").read_text(), 8) == 0o22
    assert guest.box.stat().st_mode & 0o777 == 0o700


def test_a_runner_reports_that_github_refuses_its_version(guest):
    pid = guest.start('printenv ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE >"$HOME/said"')

    guest.printed(guest.await_runner(pid))

    assert (guest.home / "said").read_text() == "1\n"


def test_sigterm_reaches_a_runner_and_the_shell_around_it_still_tells_its_exit_code(guest):
    pid = guest.start('trap "exit 9" TERM; echo ready; cat "$HOME/go" & wait $!')
    guest.await_output("ready")

    assert guest.terminate(pid) == b"9\n"
    assert not (guest.home / "slept").exists()


def test_run_sh_traps_sigterm_and_its_listener_gets_sigint(guest):
    told = guest.home / "told"
    guest.runner_dir.mkdir()
    write_runner(guest.runner_dir, told)
    (guest.home / "bin" / "sleep").unlink()
    pid = guest.start()
    guest.await_output("listening")

    guest.terminate(pid)

    assert told.read_text() == "canceled\n"


def test_the_end_of_an_ended_runner_is_not_waited_for(guest):
    pid = guest.start("exit 0")
    guest.printed(guest.await_runner(pid))

    assert guest.terminate(pid) in (b"", b"0\n")


PEM = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
CERTIFICATES = "".join(map(PEM.format, "ab")).encode()
SHOWS_NETWORK = 'echo "$https_proxy $NO_PROXY"; cat "$NODE_EXTRA_CA_CERTS" "$SSL_CERT_FILE"; echo shown'


@pytest.fixture
def certified(tmp_path):
    """Settings of a scale set with a proxy and an own authority."""
    ca = tmp_path / "company.pem"
    ca.write_bytes(CERTIFICATES)
    return ScaleSetSettings(url="u", name="n", proxy="http://me:$x%20`y`'@proxy:3128", ca=str(ca))


def test_the_runner_gets_the_proxy_and_the_certificates(guest, certified):
    guest.write("bin/sudo", 'printf "%s " "$@" >>"$HOME/asked"; cat "$9" >>"$HOME/trusted"')

    pid = guest.start(SHOWS_NETWORK, guest_input(certified, Secret("jit"), "vm"))
    guest.await_output("shown")
    guest.printed(guest.await_runner(pid))

    log = (guest.box / "log").read_bytes()
    assert log.startswith(b"http://me:$x%20`y`'@proxy:3128 localhost,127.0.0.1,::1\n" + CERTIFICATES * 2)
    assert (guest.home / "trusted").read_bytes() == CERTIFICATES
    first = (guest.home / "asked").read_text()
    assert first.startswith("-n security add-trusted-cert -d -r trustRoot -k ")


def test_a_guest_whose_keychain_cannot_be_changed_says_so_and_runs(guest, certified):
    guest.write("bin/sudo", "exit 1")

    pid = guest.start("echo runs", guest_input(certified, Secret("jit"), "vm"))
    guest.await_output("runs")
    guest.printed(guest.await_runner(pid))

    assert (guest.box / "log").read_text().count("the system's keychain does not trust") == 2


def test_without_proxy_and_certificates_there_is_the_configuration_alone():
    assert guest_input(ScaleSetSettings(url="u", name="n"), Secret("jit"), "vm") == b"jit\n"


def test_a_proxy_of_the_host_s_loopback_is_kept_from_the_guest():
    local = ScaleSetSettings(url="u", name="n", proxy="http://127.0.0.1:3128")

    assert guest_input(local, Secret("jit"), "vm") == b"jit\n"
    (warning,) = loopback_proxy(local, "in VMs")
    assert str(warning.message).startswith("the proxy 127.0.0.1:3128 is on this host's loopback")


def test_certificates_that_cannot_be_read_fail_the_start():
    with pytest.raises(StartFailed, match=r"cannot start vm: ca /nowhere\.pem cannot be read"):
        guest_input(ScaleSetSettings(url="u", name="n", ca="/nowhere.pem"), Secret("jit"), "vm")
