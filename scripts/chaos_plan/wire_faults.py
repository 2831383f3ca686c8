"""Which faults of docs/protocol.md § 10 a plan may set at the simulator, and how many of each.

Left out is what a run of minutes cannot judge:

- What lasts until somebody mends it, or makes the daemon wait for a minute or more by right: F1, F20,
  F27 to F29, F62, F83 (its fault is withdrawn by hand), F79 (a ghost is believed after two looks a
  minute apart) and F76 (a runner that never connects is replaced when jobs have waited 3 min).
- What loses jobs by right: F22 (leases end while the host sleeps), two kinds of F56 (the jobs go to
  another set, which is faster for ever), F82 (GitHub agrees to a removal and gives a job all the same:
  one whose beginning is told late dies with its runner).
- F53 with 404: the simulator keeps what it says is gone, and a message that is gone is rightly forgotten.
- F55: a message whose id begins again and whose delivery is lost besides is seen by the next session only.
- F61 has nothing to drop from one label. F86 is the job's own doing.
- What is a deed of its own: F35 and F54 (kill the daemon), F36 (a session expires), F52 and F57 (bursts
  of jobs), F75 (the engine refuses), F77 (kill a runner).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

JIT = "/generatejitconfig"


@dataclass(frozen=True, slots=True)
class WireFault:
    """`most` is its greatest count, `choices` what its parameters may be."""

    most: int
    choices: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    path: str = ""
    named: bool = False
    """It acts when it is set, on one scale set."""
    once: bool = False
    """The daemon takes half a minute or more for it, by right: one of it is enough for a plan."""
    offers: bool = False
    """There is nothing to break where GitHub assigns jobs unasked."""
    lossy: bool = False
    """It hides or garbles what is said about jobs: the daemon's counters may differ."""


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
    "F34": WireFault(1, named=True, once=True),
    "F37": WireFault(1, named=True),
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
    "F58": WireFault(1, named=True, once=True, lossy=True),
    "F59": WireFault(1, {"action": ("relabel",), "value": ("other",)}, named=True),
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
    "F78": WireFault(1, named=True),
    "F80": WireFault(1),
    "F81": WireFault(2),
    "F84": WireFault(2),
    "F85": WireFault(1, once=True),
}
