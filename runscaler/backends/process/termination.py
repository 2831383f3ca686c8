"""SIGTERM before a runner is killed, so that it can cancel its job (docs/behaviour.md § 6.2).

The signal goes to the process group of the main process: run.sh, or whatever starts it. A run.sh that traps
signals runs the listener in a group of its own and passes the signal on to that; steps get theirs from the
listener, in its order (docs/protocol.md § 8.3). So what ends here is the group; what it leaves is killed.
"""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from runscaler.backends.process.process_tree import is_alive
from runscaler.backends.wakeable_selector import WakeableSelector

if TYPE_CHECKING:
    from collections.abc import Callable

    import psutil

    from runscaler.backends.process.process_tree import ProcessTree
    from runscaler.backends.process_exit import ExitDescriptor
    from runscaler.clock import Clock
    from runscaler.interrupt import Interrupt

_POLL_INTERVAL = 0.05
"""Seconds between looks at a process without an exit descriptor."""


def terminate(
    tree: ProcessTree,
    seconds: float,
    clock: Clock,
    interrupt: Interrupt,
    exit_descriptor: Callable[[int], ExitDescriptor | None],
) -> None:
    """Send SIGTERM to the main process and its group, and return when they have ended, after `seconds` at
    most. At once if the main process is gone. Raises `Interrupted`."""
    main = tree.main_process()
    if main is None:
        return
    deadline = clock.monotonic() + seconds
    with suppress(ProcessLookupError, PermissionError):
        group = os.getpgid(main.pid)
        members = [process for process in tree.living() if _group_of(process) == group]
        os.killpg(group, signal.SIGTERM)
        with closing(WakeableSelector()) as selector:
            for process in members:
                _await_end(process, deadline, clock, interrupt, exit_descriptor, selector)


def _group_of(process: psutil.Process) -> int:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return 0


def _await_end(
    process: psutil.Process,
    deadline: float,
    clock: Clock,
    interrupt: Interrupt,
    exit_descriptor: Callable[[int], ExitDescriptor | None],
    selector: WakeableSelector,
) -> None:
    descriptor = exit_descriptor(process.pid)
    if descriptor is None:
        while is_alive(process) and clock.monotonic() < deadline:
            clock.pause(_POLL_INTERVAL, interrupt)
        return
    with closing(descriptor):
        selector.register(descriptor, process.pid)
        with interrupt.cancelling(selector.wake):
            if is_alive(process):
                selector.select(max(0.0, deadline - clock.monotonic()))
        selector.unregister(descriptor)
        interrupt.wait(0)
