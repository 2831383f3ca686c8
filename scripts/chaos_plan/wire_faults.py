"""The faults of docs/protocol.md § 10 that a plan may inject at the simulator, with the limits of each.

Left out are faults that a run of a few minutes cannot judge:

- Those that last until somebody repairs them, or for which the daemon rightly waits a minute or more: F1,
  F20, F27 to F29, F62, F83 (it is withdrawn by hand), F94 and F95 (a refused credential is tried again after
  a minute).
- F93, which is how the simulator behaves without `labels_mutable`; F79, of which F91 is the worse kind.
- Those that rightly lose jobs: F22 (leases end while the host sleeps), two kinds of F56 (the jobs go to
  another scale set that is always faster) and F82 (GitHub agrees to remove a runner and still gives it a job;
  if the start of the job is reported late, the job ends with its runner).
- F53 with 404: the simulator keeps the message that it reports as gone, but the daemon may forget it.
- F55: if the message ids start again and the delivery is lost too, only the next session gets the message.
- F61, which drops labels: the scale sets have only one. F86, which the job itself causes.
- Those that are actions of their own: F35 and F54 (kill the daemon), F36 (a session expires), F52 and F57
  (bursts of jobs), F75 (the engine refuses), F77 and F97 (kill a runner, whose job's lease runs on).

Of the slow ones a plan has at most `SLOW_AT_MOST` kinds, each once: the daemon needs two signs and up to
3 min to be sure, and their slots are missing meanwhile. When all faults are over, the run waits for that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

JIT = "/generatejitconfig"
SLOW_AT_MOST = 2
"""So many kinds of slow faults has a plan at most."""


@dataclass(frozen=True, slots=True)
class WireFault:
    """`choices` are the values that its parameters may have."""

    max_count: int
    choices: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    path: str = ""
    needs_scale_set: bool = False
    """It acts at once, on one scale set, instead of on later calls."""
    once: bool = False
    """The daemon rightly takes half a minute or more to recover, so a plan has it only once."""
    slow: bool = False
    """The daemon rightly takes minutes to recover. Such a fault is `once` as well."""
    offers: bool = False
    """It needs a GitHub that offers jobs instead of assigning them."""
    lossy: bool = False
    """It loses or garbles messages about jobs, so that the daemon's counters may differ from GitHub's."""


FAULTS: Mapping[str, WireFault] = {
    "delay": WireFault(20, {"seconds": (0.1, 0.3, 1.0)}),
    "F2": WireFault(1, {"seconds": (0.5, 1.0, 3.0)}),
    "F3": WireFault(3),
    "F4": WireFault(3),
    "F5": WireFault(3),
    "F6": WireFault(1, path=JIT, once=True),
    "F7": WireFault(2, {"seconds": (0.001,)}),
    "F8": WireFault(2),
    "F9": WireFault(2, {"shape": ("invalid", "list", "string")}),
    "F10": WireFault(1),
    "F11": WireFault(20),
    "F12": WireFault(2, {"text": ("something broke", "")}),
    "F13": WireFault(8),
    "F14": WireFault(1, {"retryAfter": (1, 2), "date": (True, False)}),
    "F15": WireFault(1, {"retryAfter": (1, 2)}),
    "F16": WireFault(1, {"seconds": (1.0, 3.0)}),
    "F17": WireFault(1, {"value": ("-5", "soon")}),
    "F18": WireFault(1, {"mib": (9,)}),
    "F19": WireFault(1),
    "F21": WireFault(2),
    "F23": WireFault(1),
    "F24": WireFault(1, {"kind": ("no-exp", "not-a-jwt", "past")}),
    "F25": WireFault(1),
    "F26": WireFault(3),
    "F30": WireFault(1, {"seconds": (120.0, -120.0)}, once=True),
    "F31": WireFault(2),
    "F32": WireFault(1),
    "F33": WireFault(1, {"field": ("token", "url")}),
    "F34": WireFault(1, needs_scale_set=True, once=True),
    "F37": WireFault(1, needs_scale_set=True),
    "F38": WireFault(1, {"field": ("url", "token", "statistics")}),
    "F39": WireFault(2),
    "F40": WireFault(1, {"hang": (False, True)}),
    "F41": WireFault(2),
    "F42": WireFault(2),
    "F43": WireFault(2, lossy=True),
    "F44": WireFault(2, {"seconds": (1.0, 3.0)}, lossy=True),
    "F45": WireFault(1, lossy=True),
    "F46": WireFault(1, lossy=True),
    "F47": WireFault(2, {"outer": (False, True)}, lossy=True),
    "F48": WireFault(1, {"name": ("runner-ffffffff", "")}, lossy=True),
    "F49": WireFault(2, {"kind": ("missing", "zero", "empty", "year-1", "unparsable")}, lossy=True),
    "F50": WireFault(3),
    "F51": WireFault(1, {"kind": ("element", "text")}, lossy=True),
    "F53": WireFault(3, {"status": (500, 503)}),
    "F54": WireFault(1, once=True),
    "F56": WireFault(2, {"kind": ("409", "500", "slow"), "seconds": (1.0,)}, offers=True),
    "F58": WireFault(1, needs_scale_set=True, once=True, lossy=True),
    "F59": WireFault(1, {"action": ("relabel",), "value": ("+other",)}, needs_scale_set=True),
    "F60": WireFault(1),
    "F63": WireFault(1, once=True),
    "F64": WireFault(1),
    "F65": WireFault(2),
    "F66": WireFault(2),
    "F67": WireFault(2, {"assigned": (40,)}),
    "F68": WireFault(2, {"kind": ("negative", "huge", "missing", "strings")}),
    "F69": WireFault(3),
    "F70": WireFault(2),
    "F71": WireFault(2),
    "F72": WireFault(4, {"status": (0, 500), "seconds": (0.0, 0.5)}),
    "F73": WireFault(1, {"kind": ("id", "garbage")}),
    "F74": WireFault(2),
    "F76": WireFault(1, once=True, slow=True),
    "F78": WireFault(1, needs_scale_set=True),
    "F80": WireFault(1),
    "F81": WireFault(2),
    "F84": WireFault(2),
    "F85": WireFault(1, once=True),
    "F87": WireFault(2, {"seconds": (1.0, 10.0), "lost": (False, True)}, lossy=True),
    "F88": WireFault(1, once=True, slow=True, lossy=True),
    "F89": WireFault(2, offers=True),
    "F90": WireFault(2, {"field": ("", "runnerId", "result")}),
    "F91": WireFault(1, {"share": (0.3, 0.6)}, once=True, slow=True),
    "F92": WireFault(1, {"status": (403, 500)}),
    "F98": WireFault(1, needs_scale_set=True, once=True, lossy=True),
    "bound": WireFault(1, once=True, slow=True),
}
