"""`run`: its lock, MACs, leases and the host's limit (docs/tart.md § 3, 7, 8)."""

import subprocess

import pytest
from support.fake_tart import MAC, PATIENCE, answer, clone, listed, running, set_mac, sh, wait_for

from runscaler.testing.fake_tart_host import IMAGE


def test_a_vm_runs_as_long_as_its_process_has_the_lock(tart):
    with running(tart) as process:
        assert listed(tart)[0]["State"] == "running"
        assert tart.running_vms() == ["vm"]
        assert [each.pid for each in tart.runs("vm")] == [process.pid]

    assert listed(tart)[0]["State"] == "stopped"


def test_run_does_not_lose_its_lock_to_what_it_does_itself(tart):
    clone(tart, "other")
    with running(tart), running(tart, "other"):
        sh(tart, "true")

        assert {entry["State"] for entry in listed(tart)} == {"running"}


def test_a_second_run_loses_the_race_for_the_lock(tart):
    with running(tart):
        assert answer(tart.call("run", "vm")) == (2, "", 'VM "vm" is already running!\n')


def test_a_running_vm_is_not_deleted(tart):
    with running(tart):
        assert answer(tart.call("delete", "vm")) == (1, "", 'VM "vm" is running\n')

    assert tart.call("delete", "vm").returncode == 0
    assert tart.vms() == []


def test_delete_takes_several_names_and_stops_at_the_first_error(tart):
    clone(tart, "a", "b")

    assert tart.call("delete", "a", "nosuch", "b").returncode == 2
    assert tart.vms() == ["b"]


def test_a_directory_without_a_config_is_no_vm_and_stays(tart):
    clone(tart, "vm")
    (tart.vm_path("vm") / "config.json").unlink()

    assert tart.call("delete", "vm").returncode == 2
    assert tart.vms() == ["vm"]
    assert listed(tart) == []


def test_run_replaces_a_mac_that_another_running_vm_of_this_home_has(tart):
    clone(tart, "vm", "other")
    set_mac(tart, "vm")
    set_mac(tart, "other")

    with running(tart), running(tart, "other", stdout=subprocess.PIPE) as second:
        lines = [second.stdout.readline().decode() for _ in range(2)]

    assert tart.config("vm")["macAddress"] == MAC
    assert tart.config("other")["macAddress"] != MAC
    assert lines == [
        "There is already a running VM with the same MAC address!\n",
        "Resetting VM to assign a new MAC address...\n",
    ]


def test_one_mac_in_two_homes_puts_both_guests_offline(tart):
    clone(tart, "vm")
    set_mac(tart, "vm")

    with running(tart):
        alone = (tart.vm_path("vm") / "offline").exists()
        with tart.start_foreign_vm(mac=MAC):
            both = sh(tart, '[ -e "$FAKE_TART_OFFLINE" ]').returncode == 0

    assert (alone, both) == (False, True)


def test_leases_are_kept_by_mac_and_can_be_exhausted(tart):
    tart.state(lease_places=1)
    clone(tart, "vm", "other")
    with running(tart), running(tart, "other"):
        found = [tart.call("ip", name) for name in ("vm", "other")]
        offline = [(tart.vm_path(name) / "offline").exists() for name in ("vm", "other")]

    assert answer(found[0]) == (0, "192.168.64.2\n", "")
    assert answer(found[1]) == (1, "", "no IP address found\n")
    assert offline == [False, True]


def test_the_limit_counts_the_macos_guests_of_all_homes(tart):
    tart.state(limit=2)
    clone(tart, "third")
    with running(tart), tart.start_foreign_vm():
        result = answer(tart.call("run", "third"))

    assert result == (1, "", "The number of VMs exceeds the system limit (other running VMs: vm)\n")


def test_linux_guests_do_not_count(tart):
    tart.state(limit=1)
    with tart.start_foreign_vm(os_name="linux"), running(tart):
        assert tart.running_vms() == ["vm"]


def test_the_limit_is_checked_after_the_lock(tart):
    tart.state(limit=0)
    tart.latency(limit=PATIENCE)
    clone(tart, "vm")
    process = tart.spawn("run", "vm")

    wait_for(lambda: listed(tart)[0]["State"] == "running")

    process.kill()
    process.wait(PATIENCE)


@pytest.mark.parametrize("fact", [{"leaked": 2}, {"leak_on_kill": True}], ids=["leaked", "leak_on_kill"])
def test_a_leaked_count_lasts_until_the_host_reboots(tart, fact):
    tart.state(limit=2, **fact)
    for name in ("a", "b", "c"):
        clone(tart, name)
    if "leak_on_kill" in fact:
        for name in ("a", "b"):
            with running(tart, name):
                pass

    refused = tart.call("run", "c")
    tart.reboot()

    assert refused.stderr == b"The number of VMs exceeds the system limit\n"
    with running(tart, "c"):
        pass


def test_a_stopped_vm_no_longer_counts(tart):
    tart.state(limit=1)
    for name in ("a", "b"):
        with running(tart, name):
            tart.call("stop", name, check=True)


def test_run_refuses_more_cpus_than_the_host_has_though_set_accepts_them(tart):
    tart.state(host_cpu=8)
    clone(tart, "vm")
    tart.call("set", "vm", "--cpu", "64", check=True)

    assert tart.call("run", "vm").returncode == 1


def test_a_locked_keychain_fails_run_and_is_a_note_on_the_stdout_of_pull(tart):
    tart.state(keychain_locked=True)
    clone(tart, "vm")

    assert b"Failed to generate keypair" in tart.call("run", "vm").stderr
    assert b"-25308" in tart.call("pull", IMAGE).stdout


def test_a_stopped_vm_may_count_for_a_while(tart):
    tart.state(limit=1, count_lag=3600)
    with running(tart) as process:
        tart.call("stop", "vm", check=True)
        process.wait()

    assert tart.call("run", "vm").stderr == b"The number of VMs exceeds the system limit\n"
