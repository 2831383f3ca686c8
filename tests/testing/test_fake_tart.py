"""The fake tart against tart.md, statement by statement."""

import fcntl
import hashlib
import json
import os
import select
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest

from runscaler.clock import SystemClock
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_home import IMAGE, FakeTart, Rule, runner_script

PATIENCE = 60.0
CLOCK = SystemClock()
MAC = "02:00:00:00:00:01"
TOO_LITTLE = "Error: LessThanMinimalResourcesError: VM should have"
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


@pytest.fixture
def tart(tmp_path):
    with FakeTart(tmp_path, limit=100) as fake:
        fake.add_image()
        fake.latency(clone=0, set=0, boot_socket=0, boot_agent=0, exec_connect=0, stop=0, delete=0, list=0)
        fake.latency(pull=0, prune=0)
        yield fake


def wait_for(condition):
    deadline = CLOCK.monotonic() + PATIENCE
    while not (value := condition()):
        assert CLOCK.monotonic() < deadline
        CLOCK.pause(0.01, Interrupt())
    return value


def clone(tart, *names):
    for name in names:
        tart.call("clone", IMAGE, name, check=True)


def set_mac(tart, name, mac=MAC):
    config = tart.config(name) | {"macAddress": mac}
    (tart.vm_path(name) / "config.json").write_text(json.dumps(config))


@contextmanager
def running(tart, name="vm", **options):
    """A VM whose agent answers."""
    if name not in tart.vms():
        clone(tart, name)
    process = tart.spawn("run", name, "--no-graphics", **options)
    try:
        tart.wait_until_ready(name)
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def sh(tart, script, *words, stdin=b"", name="vm"):
    return tart.call("exec", "-i", name, "/bin/sh", "-c", script, *words, stdin=stdin)


def listed(tart, source="local"):
    return json.loads(tart.call("list", "--source", source, "--format", "json").stdout)


def held(path):
    """Does somebody else hold the `flock` of it?"""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def answer(result):
    return result.returncode, result.stdout.decode(), result.stderr.decode()


# texts, codes, streams


def test_its_version_is_a_real_one_and_says_that_it_is_fake(tart):
    code, out, _ = answer(tart.call("--version"))

    version, _, build = out.strip().partition("+")
    assert (code, build) == (0, "fake")
    assert [int(part) for part in version.split(".")] == [2, 32, 1]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["get", "nosuch"], 2, 'the specified VM "nosuch" does not exist'),
        (["set", "nosuch", "--cpu", "4"], 2, 'the specified VM "nosuch" does not exist'),
        (["stop", "nosuch"], 2, 'the specified VM "nosuch" does not exist'),
        (["delete", "nosuch"], 2, 'the specified VM "nosuch" does not exist'),
        (["exec", "nosuch", "true"], 2, 'the specified VM "nosuch" does not exist'),
        (["ip", "nosuch"], 2, 'the specified VM "nosuch" does not exist'),
        (["clone", "nosuch", "new"], 2, 'the specified VM "nosuch" does not exist'),
        (["fqn", "ghcr.io/no/such"], 2, 'the specified VM "ghcr.io/no/such" does not exist'),
        (["run", "nosuch"], 1, 'Error: the specified VM "nosuch" does not exist'),
        (["exec", "vm", "true"], 2, 'VM "vm" is not running'),
        (["stop", "vm"], 2, 'VM "vm" is not running'),
        (["get", "half"], 1, "VM is missing some of its files (config.json, disk.img or nvram.bin)"),
        (["run", "half"], 1, "VM is missing some of its files (config.json, disk.img or nvram.bin)"),
        (["prune"], 64, "Error: at least one pruning criteria must be specified"),
        (
            ["set", "vm", "--cpu", "1"],
            1,
            f"{TOO_LITTLE} 2 CPU cores at minimum (requested 1)",
        ),
        (
            ["set", "vm", "--memory", "1"],
            1,
            f"{TOO_LITTLE} {4 << 30} bytes of memory at minimum (requested {1 << 20})",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_refusal_has_its_text_and_code(tart, words, code, text):
    clone(tart, "vm", "half")
    (tart.vm_path("half") / "disk.img").unlink()

    assert answer(tart.call(*words)) == (code, "", f"{text}\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["list", "--frob"], "Unknown option '--frob'"),
        (["clone", IMAGE], "Missing expected argument '<new-name>'"),
        (["clone", IMAGE, "a", "b"], "Unexpected argument 'b'"),
        (["clone", IMAGE, "a/b"], "<new-name> should be a local name"),
        (["set", "vm", "--cpu"], "Missing value for '--cpu <cpu>'"),
        (["set", "vm", "--cpu", "many"], "The value 'many' is invalid for '--cpu <cpu>'"),
        (["list", "--format", "xml"], "The value 'xml' is invalid for '--format <format>'"),
        (["run", "--json", "vm"], "Unknown option '--json'"),
        (["push", "vm"], "Unexpected argument 'push'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_has_code_64_and_a_usage_line(tart, words, text):
    code, out, error = answer(tart.call(*words))

    assert (code, out) == (64, "")
    assert error.startswith(f"Error: {text}\nUsage: tart ")


def test_help_has_code_0(tart):
    assert tart.call("--help").returncode == tart.call("run", "--help").returncode == 0


def test_json_is_swifts_with_escaped_slashes_and_spaced_colons(tart):
    text = tart.call("list", "--source", "oci", "--format", "json").stdout.decode()

    assert '"Name" : "ghcr.io\\/acme\\/sequoia:latest"' in text
    assert [entry["Name"].partition("@")[0] for entry in json.loads(text)] == [IMAGE, IMAGE.partition(":")[0]]


def test_list_tells_of_local_vms_sorted_by_name(tart):
    clone(tart, "b", "a")

    first, second = listed(tart)

    assert (first["Name"], second["Name"]) == ("a", "b")
    assert (first["Source"], first["Running"], first["State"]) == ("local", False, "stopped")
    assert first.keys() == {"Source", "Name", "Disk", "Size", "Accessed", "Running", "State"}


def test_before_2_31_list_says_size_on_disk(tart):
    tart.state(before_2_31=True)
    clone(tart, "vm")

    assert "SizeOnDisk" in listed(tart)[0]
    assert "Accessed" not in listed(tart)[0]


def test_get_tells_of_a_local_vm(tart):
    clone(tart, "vm")
    tart.call("set", "vm", "--cpu", "6", "--memory", "16384", check=True)

    found = json.loads(tart.call("get", "vm", "--format", "json").stdout)

    assert (found["OS"], found["CPU"], found["Memory"]) == ("darwin", 6, 16384)
    assert (found["Running"], found["State"], found["Display"]) == (False, "stopped", "1024x768")


def test_set_rewrites_the_same_file_and_drops_the_display_refit(tart):
    clone(tart, "vm")
    path = tart.vm_path("vm") / "config.json"
    before = path.stat().st_ino

    tart.call("set", "vm", "--cpu", "4", check=True)

    assert path.stat().st_ino == before
    assert "displayRefit" not in tart.config("vm")
    assert tart.config("vm")["hardwareModel"]


# clone and garbage


def test_clone_copies_the_vm_and_its_guest_and_nothing_else(tart):
    clone(tart, "first")
    for name in ("runscaler.json", "run.log", "control.sock"):
        (tart.vm_path("first") / name).touch()

    tart.call("clone", "first", "second", check=True)

    names = {path.name for path in tart.vm_path("second").iterdir()}
    assert names == {"config.json", "disk.img", "nvram.bin", "guest"}
    assert (tart.guest_home("second") / "actions-runner" / "run.sh").stat().st_mode & 0o111


def test_clone_onto_an_existing_name_silently_replaces_it(tart):
    clone(tart, "vm")
    (tart.vm_path("vm") / "runscaler.json").touch()

    assert answer(tart.call("clone", IMAGE, "vm")) == (0, "", "")

    assert not (tart.vm_path("vm") / "runscaler.json").exists()


def test_a_running_vm_that_is_replaced_looks_stopped(tart):
    with running(tart):
        clone(tart, "vm")

        assert listed(tart)[0]["State"] == "stopped"


def test_a_clone_gets_a_random_mac_iff_a_local_vm_has_the_images(tart):
    clone(tart, "first", "second")

    images = "7e:00:00:00:00:01"
    assert tart.config("first")["macAddress"] == images
    assert tart.config("second")["macAddress"] != images


def test_one_unreadable_config_fails_every_clone(tart):
    clone(tart, "bad")
    (tart.vm_path("bad") / "config.json").write_text("{")

    code, _, error = answer(tart.call("clone", IMAGE, "vm"))

    assert (code, error) == (1, "Error: The data couldn’t be read because it isn’t in the correct format.\n")
    assert tart.vms() == ["bad"]


def test_a_refused_mac_fails_every_command_on_that_vm(tart):
    clone(tart, "vm")
    set_mac(tart, "vm", "nonsense")

    assert [tart.call(*words).returncode for words in (["get", "vm"], ["run", "vm"])] == [1, 1]


def test_clones_hold_the_lock_of_the_home_and_wait_for_each_other(tart):
    tart.rules(Rule("clone", do="hang", when="during", name="first"))
    hung = tart.spawn("clone", IMAGE, "first")
    wait_for(lambda: held(tart.home))
    second = tart.spawn("clone", IMAGE, "second")
    wait_for(lambda: len(list((tart.home / "tmp").iterdir())) == 2)

    assert second.poll() is None
    hung.kill()

    assert (hung.wait(PATIENCE), second.wait(PATIENCE)) == (-signal.SIGKILL, 0)
    assert tart.vms() == ["second"]


def test_what_a_killed_clone_left_in_tmp_goes_with_the_next_command_but_not_with_clone(tart):
    tart.rules(Rule("clone", do="kill", when="during", times=1))

    assert tart.call("clone", IMAGE, "vm").returncode == -signal.SIGKILL
    clone(tart, "vm")
    left = list((tart.home / "tmp").iterdir())
    tart.call("list")

    assert len(left) == 1
    assert list((tart.home / "tmp").iterdir()) == []


def test_what_a_living_clone_has_in_tmp_stays(tart):
    tart.rules(Rule("clone", do="hang", when="during"))
    hung = tart.spawn("clone", IMAGE, "vm")
    wait_for(lambda: held(tart.home))

    tart.call("list")

    assert len(list((tart.home / "tmp").iterdir())) == 1
    hung.kill()
    hung.wait(PATIENCE)


def test_garbage_that_cannot_be_collected_is_noise_on_stderr(tart):
    (tart.home / "tmp").mkdir()
    (tart.home / "tmp" / "0B5F").touch()

    code, _, error = answer(tart.call("list"))

    assert (code, error) == (0, "Failed to perform garbage collection: “0B5F” couldn’t be removed.\n")


def test_an_interrupted_clone_cancels_cleanly(tart):
    tart.rules(Rule("clone", do="delay", seconds=PATIENCE, when="during"))
    cut = tart.spawn("clone", IMAGE, "vm")
    wait_for(lambda: held(tart.home))

    cut.send_signal(signal.SIGINT)

    assert cut.wait(PATIENCE) == 1
    assert tart.leftovers() == []


# images


def test_pull_says_what_it_does(tart):
    tart.add_image("ghcr.io/acme/other:15", cached=False)
    tart.state(pull_steps=2)

    code, out, _ = answer(tart.call("pull", "ghcr.io/acme/other:15"))

    assert (code, out.splitlines()) == (
        0,
        [
            "pulling ghcr.io/acme/other:15...",
            "pulling manifest...",
            "pulling disk (24.7 GB compressed)...",
            "0%",
            "50%",
            "100%",
            "pulling NVRAM...",
        ],
    )


def test_pull_asks_the_registry_even_if_cached_and_adds_latest(tart):
    out = tart.call("pull", "ghcr.io/acme/sequoia").stdout.decode()

    assert out.startswith("pulling ghcr.io/acme/sequoia:latest...\npulling manifest...\n")
    assert out.endswith("image is already cached and linked!\n")


def test_a_moved_tag_is_told_by_its_fqn(tart):
    old = tart.call("fqn", IMAGE).stdout
    digest = tart.add_image(IMAGE, runner_script("exit 1"), cached=False)

    tart.call("pull", IMAGE, check=True)

    assert tart.call("fqn", IMAGE).stdout.decode() == f"ghcr.io/acme/sequoia@{digest}\n"
    assert digest not in old.decode()


def test_an_unknown_image_is_a_404_for_pull_and_clone(tart):
    for words in (["pull", "ghcr.io/no/such"], ["clone", "ghcr.io/no/such", "vm"]):
        code, _, error = answer(tart.call(*words))

        assert code == 1
        assert error.startswith('Error: UnexpectedHTTPStatusCode(when: "pulling manifest", code: 404')


def test_a_private_image_wants_its_login_from_the_environment(tart, monkeypatch):
    tart.add_image("ghcr.io/acme/secret:1", cached=False, login=("me", "hunter2"))

    refused = tart.call("pull", "ghcr.io/acme/secret:1")
    monkeypatch.setenv("TART_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("TART_REGISTRY_PASSWORD", "hunter2")

    assert (refused.returncode, refused.stderr[:18]) == (1, b"Error: AuthFailed(")
    assert tart.call("pull", "ghcr.io/acme/secret:1").returncode == 0


def test_clone_pulls_what_is_not_cached_and_needs_no_registry_for_what_is(tart):
    tart.add_image("localhost:5000/acme/other:1", cached=False)
    tart.remove_from_registry(IMAGE)

    pulled = tart.call("clone", "localhost:5000/acme/other:1", "a").stdout
    cached = tart.call("clone", IMAGE, "b").stdout

    assert (pulled.startswith(b"pulling localhost:5000/acme/other:1...\n"), cached) == (True, b"")
    assert tart.vms() == ["a", "b"]
    assert (tart.home / "cache/OCIs/localhost%3A5000/acme/other/1").is_symlink()


def test_a_second_pull_from_a_registry_waits_for_the_first(tart):
    tart.add_image("ghcr.io/acme/other:1", cached=False)
    tart.add_image("ghcr.io/acme/third:1", cached=False)
    tart.rules(Rule("pull", do="hang", when="during", name="ghcr.io/acme/other:1"))
    first = tart.spawn("pull", "ghcr.io/acme/other:1")
    wait_for(lambda: (tart.home / "cache/OCIs/ghcr.io").exists() and held(tart.home / "cache/OCIs/ghcr.io"))

    second = tart.spawn("pull", "ghcr.io/acme/third:1", stdout=subprocess.PIPE)
    lines = [second.stdout.readline() for _ in range(3)]
    first.kill()
    rest = second.communicate(timeout=PATIENCE)[0]
    first.wait(PATIENCE)

    assert lines[2] == b"waiting for lock...\n"
    assert rest.endswith(b"pulling NVRAM...\n")


def test_prune_older_than_0_empties_the_cache_and_leaves_vms(tart):
    clone(tart, "vm")

    tart.call("prune", "--entries", "caches", "--older-than", "0", check=True)

    assert listed(tart, "oci") == []
    assert tart.vms() == ["vm"]


def test_prune_by_age_spares_what_was_used_since(tart):
    tart.add_image("ghcr.io/acme/old:1")
    for path in (tart.home / "cache/OCIs/ghcr.io/acme").glob("*/sha256:*"):
        os.utime(path, (0, 0))
    clone(tart, "vm")

    tart.call("prune", "--older-than", "1", check=True)

    assert IMAGE in {entry["Name"] for entry in listed(tart, "oci")}
    assert "ghcr.io/acme/old:1" not in {entry["Name"] for entry in listed(tart, "oci")}


def test_prune_with_a_budget_keeps_what_fits(tart):
    tart.call("prune", "--space-budget", "1", check=True)
    kept = listed(tart, "oci")
    tart.call("prune", "--space-budget", "0", check=True)

    assert (len(kept), listed(tart, "oci")) == (2, [])


def test_deleting_an_image_name_takes_it_out_of_the_cache(tart):
    tart.call("delete", IMAGE, check=True)

    assert listed(tart, "oci") == []


# run and its locks


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


def test_run_swaps_a_mac_that_a_running_vm_of_this_home_has(tart):
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


def test_leases_are_kept_by_mac_and_run_out(tart):
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


def test_run_refuses_more_cpus_than_the_host_has_which_set_took(tart):
    tart.state(host_cpu=8)
    clone(tart, "vm")
    tart.call("set", "vm", "--cpu", "64", check=True)

    assert tart.call("run", "vm").returncode == 1


def test_a_locked_keychain_fails_run_and_is_a_note_on_the_stdout_of_pull(tart):
    tart.state(keychain_locked=True)
    clone(tart, "vm")

    assert b"Failed to generate keypair" in tart.call("run", "vm").stderr
    assert b"-25308" in tart.call("pull", IMAGE).stdout


# signals of run, stop, suspend


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (signal.SIGINT, "Stopping VM...\n"),
        (signal.SIGUSR2, "Requesting guest OS to stop...\nguest has stopped the virtual machine\n"),
    ],
)
def test_a_signal_ends_run_with_0(tart, number, text):
    with running(tart, stdout=subprocess.PIPE) as process:
        sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null &")

        process.send_signal(number)

        assert (process.communicate(timeout=PATIENCE)[0].decode(), process.returncode) == (text, 0)
        assert tart.guest_processes("vm") == []


def test_a_suspended_vm_is_told_apart_and_resumed(tart):
    with running(tart) as process:
        process.send_signal(signal.SIGUSR1)
        assert process.wait(PATIENCE) == 0
    suspended = listed(tart)[0]["State"]
    with running(tart, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()

    assert (suspended, line) == ("suspended", b"restoring VM state from a snapshot...\n")
    assert listed(tart)[0]["State"] == "stopped"


def test_stop_drops_the_state_of_a_suspended_vm(tart):
    clone(tart, "vm")
    (tart.vm_path("vm") / "state.vzvmsave").touch()

    assert tart.call("stop", "vm").returncode == 0
    assert listed(tart)[0]["State"] == "stopped"


def test_the_clone_of_a_suspended_vm_keeps_its_mac(tart):
    clone(tart, "vm")
    (tart.vm_path("vm") / "state.vzvmsave").touch()

    tart.call("clone", "vm", "copy", check=True)

    assert tart.config("copy")["macAddress"] == tart.config("vm")["macAddress"]


def test_stop_kills_what_ignores_its_interrupt(tart):
    tart.rules(Rule("run", do="ignore", signal=signal.SIGINT))
    with running(tart) as process:
        assert tart.call("stop", "vm", "--timeout", "0").returncode == 0
        assert process.wait(PATIENCE) == -signal.SIGKILL


@pytest.mark.parametrize("command", ["shutdown -h now", "/sbin/shutdown -h now", "sudo /sbin/halt", "halt"])
def test_a_guest_that_shuts_down_ends_run_with_0(tart, command):
    with running(tart, stdout=subprocess.PIPE) as process:
        sh(tart, command)

        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert out.endswith(b"guest has stopped the virtual machine\n")


def test_a_guest_that_crashes_ends_run_with_1(tart):
    with running(tart, stdout=subprocess.PIPE) as process:
        tart.crash_guest("vm")

        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert b"due to error: Error Domain=VZErrorDomain" in out


# exec


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


def test_without_i_stdin_is_empty_and_with_it_ends_when_ours_does(tart):
    with running(tart):
        assert tart.call("exec", "vm", "cat", stdin=b"lost").stdout == b""
        assert tart.call("exec", "-i", "vm", "cat", stdin=b"kept").stdout == b"kept"


def test_a_megabyte_passes_both_ways(tart):
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


def test_a_lost_connection_kills_the_direct_child_alone(tart):
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


def test_exec_retries_until_its_patience_ends(tart):
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


def test_execs_run_beside_each_other(tart):
    with running(tart), ThreadPoolExecutor(10) as pool:
        found = list(pool.map(lambda number: sh(tart, f"echo {number}").stdout, range(10)))

    assert found == [f"{number}\n".encode() for number in range(10)]


def test_pgrep_sees_the_processes_of_its_own_guest_alone(tart):
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


def test_a_restarted_agent_cuts_execs_and_leaves_the_runner(tart):
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


# the guest dies with its VM


STUBBORN = "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP INT; sleep 600 & wait' >/dev/null 2>&1 &"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_whole_guest_dies_however_run_ends(tart, number):
    with running(tart) as process:
        sh(tart, STUBBORN + " set -m; sleep 600 >/dev/null 2>&1 </dev/null & echo")
        assert len(tart.guest_processes("vm")) >= 2

        process.send_signal(number)
        process.wait(PATIENCE)

        wait_for(lambda: not tart.guest_processes("vm"))
    tart.call("delete", "vm", check=True)
    wait_for(lambda: not tart.leftovers())


def test_a_guest_does_not_keep_what_was_passed_to_run(tart):
    slot = os.open(tart.folder / "slot.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(slot, fcntl.LOCK_EX)
    with running(tart, pass_fds=(slot,)) as process:
        os.close(slot)
        sh(tart, "sleep 600 >/dev/null 2>&1 </dev/null &")
        meanwhile = held(tart.folder / "slot.lock")

        process.kill()
        process.wait(PATIENCE)

        assert (meanwhile, held(tart.folder / "slot.lock")) == (True, False)


def test_a_vm_can_be_deleted_and_run_again_as_soon_as_its_run_was_killed(tart):
    with running(tart) as process:
        sh(tart, "(while :; do echo >>file; done) >/dev/null 2>&1 </dev/null &")
        process.kill()
        process.wait(PATIENCE)
        assert tart.call("delete", "vm").returncode == 0
    with running(tart) as process:
        process.kill()
        process.wait(PATIENCE)
        with running(tart):
            assert sh(tart, "true").returncode == 0


# the host, the journal, the knobs


def test_fifty_clone_run_and_go_at_once(tart):
    """Each stage for all, then the next: a clone beside a delete may fail, as the real one does."""

    def life(number):
        name = f"vm-{number}"
        with running(tart, name):
            return sh(tart, f"echo {number}", name=name).stdout

    names = [f"vm-{number}" for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda name: clone(tart, name), names))
        lives = list(pool.map(life, range(50)))
        deleted = [result.returncode for result in pool.map(lambda name: tart.call("delete", name), names)]

    assert lives == [f"{number}\n".encode() for number in range(50)]
    assert deleted == [0] * 50
    wait_for(lambda: not tart.leftovers())
    tart.assert_nothing_left()


def test_the_journal_tells_of_each_call(tart, monkeypatch):
    monkeypatch.setenv("TART_REGISTRY_PASSWORD", "hunter2")
    with running(tart):
        sh(tart, "cat", stdin=b"the JIT configuration")
    (call,) = tart.calls("exec")

    assert call.argv == ("exec", "-i", "vm", "/bin/sh", "-c", "cat")
    assert (call.code, call.home, call.stdin_length) == (0, str(tart.home), 21)
    assert call.stdin_sha256 == hashlib.sha256(b"the JIT configuration").hexdigest()
    assert call.start < call.end
    assert "TART_REGISTRY_PASSWORD" in call.environment
    assert "hunter2" not in tart.journal_text()
    assert "JIT" not in tart.journal_text()


def test_a_killed_call_has_no_end_in_the_journal(tart):
    tart.rules(Rule("list", do="kill"))
    tart.call("list")

    (call,) = tart.calls("list")
    assert (call.end, call.code) == (None, None)


def test_a_rule_counts_its_calls(tart):
    tart.rules(
        Rule("list", do="exit", code=3, nth=2, times=2),
        Rule("get", do="exit", code=4, name="vm-*", times=1),
    )

    lists = [tart.call("list").returncode for _ in range(4)]
    gets = [tart.call("get", name).returncode for name in ("other", "vm-1", "vm-1")]

    assert (lists, gets) == ([0, 3, 3, 0], [2, 4, 2])


def test_new_rules_count_anew(tart):
    for _ in range(2):
        tart.rules(Rule("list", do="exit", code=3, times=1))
        assert [tart.call("list").returncode for _ in range(2)] == [3, 0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("list", do="exit", text="no", code=3), (3, "", "no\n")),
        (Rule("list", do="exit", text="[garbage", code=0, stream="stdout"), (0, "[garbage\n", "")),
        (Rule("list", do="text", text="noise"), (0, "[\n\n]\n", "noise\n")),
        (Rule("list", do="exit", text="late", when="after"), (1, "[\n\n]\n", "late\n")),
        (Rule("list", do="kill", signal=signal.SIGTERM), (-signal.SIGTERM, "", "")),
        (Rule("list", do="delay", seconds=0.01), (0, "[\n\n]\n", "")),
        (Rule("list", do="exit", chance=0.0), (0, "[\n\n]\n", "")),
        (Rule("list", do="exit", contains="oci"), (0, "[\n\n]\n", "")),
    ],
    ids=lambda value: f"{value.do} {value.when} {value.stream}" if isinstance(value, Rule) else "",
)
def test_a_rule_does_its_deed(tart, rule, expected):
    tart.rules(rule)

    assert answer(tart.call("list", "--source", "local", "--format", "json")) == expected


def test_a_hanging_call_hangs_until_it_is_killed(tart):
    tart.rules(Rule("list", do="hang"))
    hung = tart.spawn("list", stdout=subprocess.PIPE)
    wait_for(lambda: tart.calls("list"))

    assert select.select([hung.stdout], [], [], 0)[0] == []
    hung.kill()
    assert hung.communicate(timeout=PATIENCE)[0] == b""


def test_the_version_is_a_knob_and_may_fail(tart):
    tart.state(version="2.27.0")
    assert tart.call("--version").stdout == b"2.27.0+fake\n"

    tart.rules(Rule("--version", do="exit", code=0, text="SNAPSHOT", stream="stdout"))
    assert answer(tart.call("--version")) == (0, "SNAPSHOT\n", "")


def test_a_clone_may_fail_after_its_vm_exists(tart):
    tart.rules(Rule("clone", do="exit", text="no room", when="after"))

    assert tart.call("clone", IMAGE, "vm").returncode == 1
    assert tart.vms() == ["vm"]


def test_a_pull_inside_a_clone_fails_by_a_rule_for_pull(tart):
    tart.add_image("ghcr.io/acme/other:1", cached=False)
    tart.rules(Rule("pull", do="exit", text="no network"))

    assert answer(tart.call("clone", "ghcr.io/acme/other:1", "vm")) == (1, "", "no network\n")


def test_a_delete_may_die_half_way(tart):
    clone(tart, "vm")
    tart.rules(Rule("delete", do="kill", when="during"))

    tart.call("delete", "vm")

    assert tart.vms() == ["vm"]
    assert not (tart.vm_path("vm") / "config.json").exists()


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Rule("run", do="exit", when="during", code=0), 0),
        (Rule("run", do="exit", when="during", after=0.05, text="due to error"), 1),
        (Rule("run", do="kill", when="during", after=0.05), -signal.SIGKILL),
        (Rule("run", do="kill", when="during", signal=signal.SIGSEGV), -signal.SIGSEGV),
    ],
    ids=["0", "1", "SIGKILL", "SIGSEGV"],
)
def test_run_may_end_by_itself(tart, rule, code):
    tart.rules(rule)
    clone(tart, "vm")

    assert tart.call("run", "vm").returncode == code
    wait_for(lambda: len(tart.leftovers()) == 1)


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_connection_may_be_lost_at_each_stage_of_an_exec(tart, when):
    tart.rules(Rule("exec", do="exit", text="Error: unavailable (14): lost", when=when, contains="touch"))
    with running(tart):
        lost = sh(tart, "cat; touch done")
        done = sh(tart, "ls").stdout.decode().split()

    assert lost.returncode == 1
    assert ("done" in done) == (when == "after")


def test_one_seed_gives_the_same_chances(tmp_path):
    def macs(folder):
        with FakeTart(tmp_path / folder, seed=7) as tart:
            tart.add_image()
            clone(tart, "a", "b", "c")
            return [tart.config(name)["macAddress"] for name in ("a", "b", "c")]

    first, again = macs("first"), macs("again")

    assert first == again
    assert len(set(first)) == 3


def test_a_latency_with_jitter_is_taken(tart):
    tart.latency(list=(0.01, 0.005))

    assert tart.call("list").returncode == 0


def test_the_end_of_the_context_kills_what_runs(tmp_path):
    with FakeTart(tmp_path) as tart:
        tart.add_image()
        clone(tart, "vm")
        process = tart.spawn("run", "vm")
        tart.wait_until_ready("vm")
        sh(tart, STUBBORN)

    assert process.wait(PATIENCE) == -signal.SIGKILL
    assert [left for left in tart.leftovers() if "process" in left] == []


def test_a_reboot_stops_every_vm(tart):
    with running(tart) as process:
        tart.reboot()

        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert listed(tart)[0]["State"] == "stopped"
