"""`clone`, its locks, and tmp/ (docs/tart.md § 1, 2, 5)."""

import signal

from support.fake_tart import PATIENCE, answer, clone, held, listed, running, set_mac, wait_for

from runscaler.testing.fake_tart_host import IMAGE, Rule


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
