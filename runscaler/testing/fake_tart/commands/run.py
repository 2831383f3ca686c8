"""`run`: takes the locks, asks the host, and serves signals for the life of the VM (docs/tart.md § 3, 5)."""

from __future__ import annotations

import fcntl
import os
import signal
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import flocked, write_json
from runscaler.testing.fake_tart.guest_process import SIGNALS, GuestProcess
from runscaler.testing.fake_tart.host import Host
from runscaler.testing.fake_tart.output import Failure, Json, say, validation_error
from runscaler.testing.fake_tart.vms import Vm, local_vms

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call

KEYCHAIN_TEXT = "Failed to generate keypair: Interaction is not allowed with the Security Server."
START_FAILED = 'Error Domain=VZErrorDomain Code=1 "The virtual machine failed to start." UserInfo={}'


def run(call: Call) -> int:
    vm = Vm(call.home, call.name)
    if not vm.exists():
        raise validation_error(f'the specified VM "{vm.name}" does not exist')
    vm.require_complete()
    with flocked(call.home):
        config = without_collision(call, vm)
        lock = os.open(vm.config_path, os.O_RDWR)  # closing it, or opening the file again, would unlock it
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f'VM "{vm.name}" is already running!', 2) from None
    check_host(call, config)
    host = Host(call)
    host.admit(vm, config)
    try:
        return run_guest(call, vm)
    finally:
        host.leave()


def without_collision(call: Call, vm: Vm) -> Json:
    """The VM's configuration, with a new MAC if another running VM has the same."""
    config = vm.config()
    others = [other for other in local_vms(call.home) if other.name != vm.name]
    if any(other.pid() and other.config()["macAddress"] == config["macAddress"] for other in others):
        say("There is already a running VM with the same MAC address!")
        say("Resetting VM to assign a new MAC address...")
        config["macAddress"] = call.knobs.random.mac()
        write_json(vm.config_path, config)
    return config


def check_host(call: Call, config: Json) -> None:
    if call.knobs.state("keychain_locked"):
        raise Failure(KEYCHAIN_TEXT)
    host_cpu = call.knobs.state("host_cpu")
    if host_cpu and config["cpuCount"] > host_cpu:
        raise Failure(START_FAILED)


def run_guest(call: Call, vm: Vm) -> int:
    """From start to end of the VM. However it ends, nothing of its guest is left on return."""
    for number in SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    if vm.is_suspended():
        say("restoring VM state from a snapshot...")
        os.unlink(vm.file("state.vzvmsave"))
        say("resuming VM...")
    guest = GuestProcess(call, vm)
    try:
        return serve_signals(call, vm, guest)
    finally:
        guest.end()


def serve_signals(call: Call, vm: Vm, guest: GuestProcess) -> int:
    rules = list(call.knobs.matching("run", "during", [vm.name]))
    if rules:
        signal.setitimer(signal.ITIMER_REAL, max(0.001, rules[0].get("after", 0.0)))
    while True:
        number = signal.sigwait(SIGNALS)
        if number in call.knobs.ignored_signals:
            continue
        if number == signal.SIGCHLD and guest.has_ended():
            return guest.report_end()
        if number == signal.SIGALRM:
            call.knobs.apply(rules[0])
        if number == signal.SIGINT:
            say("Stopping VM...")
            return 0
        if number == signal.SIGUSR1:
            return suspend(vm, guest)
        if number == signal.SIGUSR2:
            say("Requesting guest OS to stop...")
            guest.end()
            return guest.report_end()


def suspend(vm: Vm, guest: GuestProcess) -> int:
    say("pausing VM to take a snapshot...")
    guest.end()
    say("creating a snapshot...")
    open(vm.file("state.vzvmsave"), "w").close()
    say("snapshot created successfully! shutting down the VM...")
    return 0
