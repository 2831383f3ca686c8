"""`pull`, also within `clone`: copies from the registry folder of the host into the cache."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from runscaler.testing.fake_tart.files import copy_tree, flocked
from runscaler.testing.fake_tart.images import Image, cache_root
from runscaler.testing.fake_tart.output import Failure, say, validation_error
from runscaler.testing.fake_tart.tmp_entries import tmp_entry
from runscaler.testing.fake_tart.vms import Vm

if TYPE_CHECKING:
    from runscaler.testing.fake_tart.call import Call

KEYCHAIN_NOTE = (
    "Failed to retrieve credentials using Keychain, authentication may fail: "
    "Keychain returned unsuccessful status -25308"
)


def run(call: Call) -> None:
    if Vm(call.home, call.name).exists():
        say(f'"{call.name}" is a local image, nothing to pull here!')
    elif "/" not in call.name:
        raise Failure(f"Error: improper image name: {call.name}")
    else:
        pull(call, Image(call.name))


def pull(call: Call, image: Image) -> None:
    """Copy the image into the cache while holding the registry's lock."""
    call.fire("before", "pull", [str(image)])
    say(f"pulling {image}...")
    if call.knobs.state("keychain_locked"):
        say(KEYCHAIN_NOTE)
    say("pulling manifest...")
    registry = os.path.join(call.host, "registry")
    digest = image.digest(registry)
    if not digest:
        details = '{\\"errors\\":[{\\"code\\":\\"MANIFEST_UNKNOWN\\",\\"message\\":\\"manifest unknown\\"}]}'
        text = f'UnexpectedHTTPStatusCode(when: "pulling manifest", code: 404, details: "{details}")'
        raise validation_error(text)
    check_login(image, os.path.realpath(image.path(registry)))
    folder = os.path.join(cache_root(call.home), image.host.replace(":", "%3A"))
    os.makedirs(folder, exist_ok=True)
    with flocked(folder, waiting=lambda: say("waiting for lock...")):
        fill_cache(call, image, digest)
    call.fire("after", "pull", [str(image)])


def check_login(image: Image, path: str) -> None:
    try:
        with open(os.path.join(path, "login"), encoding="utf-8") as file:
            wanted = file.read()
    except FileNotFoundError:
        return
    host = os.environ.get("TART_REGISTRY_HOSTNAME", image.host)
    given = ":".join(os.environ.get(f"TART_REGISTRY_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if (host, given) != (image.host, wanted):
        why = "received unexpected HTTP status code 401 while retrieving an authentication token"
        raise validation_error(f'AuthFailed(why: "{why}")')


def fill_cache(call: Call, image: Image, digest: str) -> None:
    cached = Image(f"{image.repository}@{digest}")
    path, link = cached.path(cache_root(call.home)), image.path(cache_root(call.home))
    if image.digest(cache_root(call.home)) == digest:
        say(f"{cached} image is already cached and linked!")
    elif os.path.isdir(path):
        say(f"{cached} image is already cached! creating a symlink...")
    else:
        download(call, image, path)
    os.utime(path)
    if not image.by_digest:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(digest, link)


def download(call: Call, image: Image, target: str) -> None:
    source = os.path.realpath(image.path(os.path.join(call.host, "registry")))
    steps, seconds = call.knobs.state("pull_steps"), call.knobs.seconds("pull")
    say("pulling disk (24.7 GB compressed)...")
    with tmp_entry(call) as entry:
        for step in range(steps + 1):
            say(f"{100 * step // steps}%")
            if step == steps // 2:
                call.fire("during", "pull", [str(image)])
            time.sleep(seconds / steps if step < steps else 0.0)
        say("pulling NVRAM...")
        copy_tree(source, os.path.join(entry, "image"))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(entry, "image", "login"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(os.path.join(entry, "image"), target)
