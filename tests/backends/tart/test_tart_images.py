from __future__ import annotations

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tart import IMAGE, order_of, tart_settings, wait_until

from runscaler.backends.tart.home import TartHome
from runscaler.backends.tart.images import cached, fqn, full_name, is_remote
from runscaler.backends.tart.pull_listener import CloneListener, PullListener
from runscaler.errors import ImageMissing, Interrupted
from runscaler.interrupt import Interrupt
from runscaler.testing.fake_tart_host import NO_NETWORK, VANISHED, Rule


def prepare(backend, settings, told=None, interrupt=None):
    backend.prepare(settings, told or (lambda *_: None), interrupt or Interrupt())


def test_a_missing_image_is_pulled_with_progress(rig, backend):
    rig.tart.add_image(IMAGE, cached=False)
    rig.tart.latency(pull=1.5)
    told = []

    prepare(backend, tart_settings(), lambda *progress: told.append(progress))

    assert cached(TartHome(rig.tart.home), IMAGE) is not None
    assert told[-1][0] == f"pulling {IMAGE}"
    assert {total for _, _, total in told[1:]} == {24_700_000_000}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_a_present_image_is_not_pulled_and_needs_no_registry(rig, backend):
    rig.tart.add_image(IMAGE)
    rig.tart.rules(Rule("pull", do="exit", text=NO_NETWORK))

    prepare(backend, tart_settings(IMAGE))
    prepare(backend, tart_settings(IMAGE.removesuffix(":latest")))

    assert rig.tart.calls("pull") == []


def test_an_image_whose_name_extends_that_of_a_cached_one_is_pulled(rig, backend):
    rig.tart.add_image("ghcr.io/acme/x:15")
    rig.tart.add_image("ghcr.io/acme/x:1", cached=False)

    prepare(backend, tart_settings("ghcr.io/acme/x:1"))

    assert len(rig.tart.calls("pull")) == 1


def test_an_image_that_its_registry_does_not_have_has_its_own_error(rig, backend):
    """T3"""
    with pytest.raises(ImageMissing, match="no such image") as caught:
        prepare(backend, tart_settings("ghcr.io/acme/nothing:latest"))

    assert "typing mistake" in caught.value.fixes[0]


def test_an_image_to_which_its_registry_denies_access_has_its_own_error(rig, backend):
    """T3"""
    rig.tart.add_image(IMAGE, cached=False, login=("me", "secret"))

    with pytest.raises(ImageMissing, match="denies access") as caught:
        prepare(backend, tart_settings())

    assert "tart login" in caught.value.fixes[0]


def test_a_login_in_the_environment_reaches_the_registry(rig, backend):
    rig.tart.add_image(IMAGE, cached=False, login=("me", "secret"))
    rig.environ.update(TART_REGISTRY_USERNAME="me", TART_REGISTRY_PASSWORD="secret")

    prepare(backend, tart_settings())

    assert cached(TartHome(rig.tart.home), IMAGE) is not None


def test_a_registry_that_cannot_be_reached_has_its_own_error(rig, backend):
    """T3"""
    rig.tart.rules(Rule("pull", do="exit", text=NO_NETWORK))

    with pytest.raises(ImageMissing, match="cannot be reached") as caught:
        prepare(backend, tart_settings())

    assert "DNS" in caught.value.fixes[0]


def test_a_pull_without_progress_is_killed(rig, quick):
    """T3"""
    rig.tart.add_image(IMAGE, cached=False)
    rig.tart.rules(Rule("pull", when="during", do="hang"))

    with pytest.raises(ImageMissing, match="made no progress for 1s"):
        prepare(quick, tart_settings())

    assert rig.tart.calls("pull")[0].code is None
    rig.tart.rules()
    prepare(quick, tart_settings())


def test_a_pull_that_is_killed_has_its_own_error(rig, backend):
    """T3"""
    rig.tart.add_image(IMAGE, cached=False)
    rig.tart.rules(Rule("pull", when="during", do="kill"))

    with pytest.raises(ImageMissing, match="ended by signal 9"):
        prepare(backend, tart_settings())


def test_concurrent_callers_pull_an_image_once(rig, backend):
    """T3"""
    rig.tart.add_image(IMAGE, cached=False)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prepare(backend, tart_settings()), range(8)))

    assert len(rig.tart.calls("pull")) == 1


def test_a_pull_can_be_interrupted(rig, backend):
    rig.tart.add_image(IMAGE, cached=False)
    rig.tart.rules(Rule("pull", when="during", do="hang"))
    interrupt = Interrupt()

    with ThreadPoolExecutor(1) as pool:
        pull = pool.submit(prepare, backend, tart_settings(), None, interrupt)
        rig.called("pull")
        interrupt.set()

        with pytest.raises(Interrupted):
            pull.result()


def test_a_pull_that_waits_for_another_says_so(rig, backend):
    """T4"""
    rig.tart.add_image(IMAGE, cached=False)
    folder = rig.tart.home / "cache" / "OCIs" / "ghcr.io"
    folder.mkdir(parents=True)
    held, told = os.open(folder, os.O_RDONLY), []
    fcntl.flock(held, fcntl.LOCK_EX)

    with ThreadPoolExecutor(1) as pool:
        pull = pool.submit(prepare, backend, tart_settings(), lambda *progress: told.append(progress[0]))
        wait_until(lambda: f"waiting for another pull before {IMAGE}" in told)
        os.close(held)
        pull.result()

    assert cached(TartHome(rig.tart.home), IMAGE) is not None


def test_a_waiting_pull_goes_on_while_the_other_one_makes_progress(folder):
    """T4"""
    listener = PullListener(TartHome(folder), 600.0)
    assert listener.on_output(b"pulling x...\nwaiting for lock...\n") == 600.0
    making = folder / "tmp" / "7A11" / "disk.img"
    making.parent.mkdir(parents=True)

    making.write_bytes(bytes(100_000))

    assert listener.on_timeout() == 600.0
    assert listener.on_timeout() == 0.0


def test_a_silent_pull_goes_on_while_it_makes_progress(folder):
    """T3: one percent of a large image may take long."""
    listener = PullListener(TartHome(folder), 600.0)
    making = folder / "tmp" / "7A11" / "disk.img"
    making.parent.mkdir(parents=True)
    making.write_bytes(bytes(100_000))
    assert listener.on_output(b"pulling disk (24.7 GB compressed)...\n3%\n") == 600.0

    making.write_bytes(bytes(200_000))

    assert listener.on_timeout() == 600.0
    assert listener.on_timeout() == 0.0


def test_a_pull_without_progress_after_its_last_output_is_not_extended(folder):
    """T3"""
    listener = PullListener(TartHome(folder), 600.0)
    making = folder / "tmp" / "disk.img"
    making.parent.mkdir()
    making.write_bytes(bytes(100_000))

    assert listener.on_output(b"pulling disk (24.7 GB compressed)...\n3%\n") == 600.0
    assert listener.on_timeout() == 0.0


def test_a_clone_has_a_time_limit_unless_it_pulls(folder):
    listener = CloneListener(TartHome(folder), 600.0, 120.0)

    assert listener.on_output(b"some note\n") == 120.0
    assert listener.on_output(b"some note\npulling manifest...\n") == 600.0


def test_a_clone_that_copies_a_whole_disk_goes_on_while_it_makes_progress(folder):
    """T9: such a clone does not hang."""
    listener = CloneListener(TartHome(folder), 600.0, 120.0)
    copy = folder / "tmp" / "7A11" / "disk.img"
    copy.parent.mkdir(parents=True)

    copy.write_bytes(bytes(100_000))

    assert listener.on_timeout() == 120.0
    assert listener.on_timeout() == 0.0


def test_a_local_image_that_vanishes_before_the_clone_is_a_missing_image(rig, backend):
    """T5"""
    rig.tart.add_image(IMAGE)
    rig.tart.call("clone", IMAGE, "base", check=True)
    rig.wrap('[ "$1" = clone ] && "$REAL" delete base')

    with pytest.raises(ImageMissing, match="no local VM base"):
        backend.start(order_of(rig, settings=tart_settings("base")), Interrupt())

    assert rig.leftovers() == []


@pytest.mark.parametrize("answer", ["garbage", "", "[", "{}", '[{"Name": 7}, 3, {"New": {}}]'])
def test_an_unreadable_list_is_replaced_by_a_look_at_the_disk(rig, backend, answer):
    """T31"""
    rig.tart.add_image(IMAGE)
    rig.tart.rules(Rule("list", do="exit", code=0, text=answer, stream="stdout"))

    if answer.startswith("[{"):  # readable, but without our image
        prepare(backend, tart_settings())
        assert len(rig.tart.calls("pull")) == 1
    else:
        prepare(backend, tart_settings())
        assert rig.tart.calls("pull") == []


def test_a_list_that_fails_because_another_vm_vanished_is_retried(rig, backend):
    """T6"""
    rig.tart.add_image(IMAGE)
    rig.tart.rules(Rule("list", do="exit", text=VANISHED, times=2))

    prepare(backend, tart_settings())

    assert len(rig.tart.calls("list")) == 3
    assert rig.tart.calls("pull") == []


def test_a_list_that_hangs_is_replaced_by_a_look_at_the_disk(rig, quick):
    """T31"""
    rig.tart.add_image(IMAGE)
    rig.tart.rules(Rule("list", do="hang"))

    prepare(quick, tart_settings())

    assert rig.tart.calls("pull") == []


def test_an_image_that_is_pruned_just_before_its_clone_is_pulled_by_it(rig, backend):
    """T33"""
    settings = rig.settings()
    rig.wrap('[ "$1" = clone ] && rm -rf "$TART_HOME/cache/OCIs/ghcr.io"')

    resource = backend.start(order_of(rig, settings=settings), Interrupt())

    assert [listed.id for listed in backend.inventory()] == [resource.id]


def test_images_are_found_on_disk_by_all_their_names(rig):
    home = TartHome(rig.tart.home)
    digest = rig.tart.add_image("localhost:5000/acme/x:7")

    assert cached(home, "localhost:5000/acme/x:7") is not None
    assert cached(home, f"localhost:5000/acme/x@{digest}") is not None
    assert cached(home, "localhost:5000/acme/x") is None
    assert fqn(home, "localhost:5000/acme/x:7") == f"localhost:5000/acme/x@{digest}"
    assert fqn(home, "ghcr.io/not/there:1") == ""
    assert (full_name("ghcr.io/a/b"), full_name("base")) == ("ghcr.io/a/b:latest", "base")
    assert full_name("localhost:5000/x") == "localhost:5000/x:latest"
    assert not is_remote("base")
