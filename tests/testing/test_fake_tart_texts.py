"""Texts, exit codes, streams and JSON of the fake tart (docs/tart.md § 4, 5)."""

import json

import pytest
from support.fake_tart import answer, clone, listed

from runscaler.testing.fake_tart_host import IMAGE

TOO_LITTLE = "Error: LessThanMinimalResourcesError: VM should have"


def test_its_version_has_the_real_format_and_says_that_it_is_fake(tart):
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


def test_list_shows_local_vms_sorted_by_name(tart):
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


def test_get_describes_a_local_vm(tart):
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
