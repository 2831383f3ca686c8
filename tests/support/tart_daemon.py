"""A backend in a process of its own, which a test kills: `tart_daemon.py STATE_DIR IMAGE ACTION`.

It prints "done" when the action is done, and then waits to be killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

from support.tart import OWNER, order_of

from runscaler.backends.base import BackendContext
from runscaler.backends.tart import TartBackend
from runscaler.clock import SystemClock
from runscaler.config.model import ScaleSetSettings, TartSettings
from runscaler.config.secrets import Secret
from runscaler.interrupt import Interrupt


def settings_of(image):
    return ScaleSetSettings(
        url="https://github.com/my-org",
        name="macs",
        token=Secret("t"),
        backend="tart",
        runner_image=image,
        tart=TartSettings(cpu=2),
    )


def main(state_dir, image, action):
    backend = TartBackend(BackendContext(OWNER, Path(state_dir), SystemClock()), environ=os.environ)
    settings = settings_of(image)
    if action == "warm":
        backend.make_warm(settings, backend.claim_place(2), Interrupt())
    else:
        rig = SimpleNamespace(settings=lambda _script: settings)
        resource = backend.start(order_of(rig, settings=settings), Interrupt())
        if action == "remove":
            backend.remove(resource, force=True, interrupt=Interrupt())
    sys.stdout.write(json.dumps("done") + "\n")
    sys.stdout.flush()
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
