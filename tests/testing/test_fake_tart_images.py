"""`pull`, `prune` and the cache (docs/tart.md § 2, 5)."""

import os
import subprocess

from support.fake_tart import PATIENCE, answer, clone, held, listed, wait_for

from runscaler.testing.fake_tart_host import IMAGE, Rule, runner_script


def test_pull_reports_its_steps(tart):
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


def test_fqn_reveals_a_moved_tag(tart):
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


def test_a_private_image_needs_its_login_from_the_environment(tart, monkeypatch):
    tart.add_image("ghcr.io/acme/secret:1", cached=False, login=("me", "hunter2"))

    refused = tart.call("pull", "ghcr.io/acme/secret:1")
    monkeypatch.setenv("TART_REGISTRY_USERNAME", "me")
    monkeypatch.setenv("TART_REGISTRY_PASSWORD", "hunter2")

    assert (refused.returncode, refused.stderr[:18]) == (1, b"Error: AuthFailed(")
    assert tart.call("pull", "ghcr.io/acme/secret:1").returncode == 0


def test_clone_pulls_only_images_that_are_not_cached(tart):
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


def test_prune_by_age_spares_what_was_used_recently(tart):
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


def test_deleting_an_image_removes_it_from_the_cache(tart):
    tart.call("delete", IMAGE, check=True)

    assert listed(tart, "oci") == []
