"""Failures of a fake Mac (docs/tart.md § 17), and the texts of some (docs/tart.md § 4)."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from typing import Any

DISK_FULL = "Error: You can’t save the file “disk.img” because the volume “Macintosh HD” is out of space."
NOT_FOUND = 'Error: UnexpectedHTTPStatusCode(when: "pulling manifest", code: 404, details: "")'
UNAUTHORIZED = 'Error: AuthFailed(why: "received unexpected HTTP status code 401 while retrieving a token")'
NO_NETWORK = "Error: The Internet connection appears to be offline."
AUXILIARY_LOCKED = 'Error Domain=VZErrorDomain Code=2 "Failed to lock auxiliary storage." UserInfo={}'
START_FAILED = 'Error Domain=VZErrorDomain Code=1 "The virtual machine failed to start." UserInfo={}'
VANISHED = "Error: The file “config.json” couldn’t be opened because there is no such file."
NOT_PERMITTED = "Error: “vm” couldn’t be removed because you don’t have permission to access it."
CONNECTION_LOST = "Error: unavailable (14): Transport became inactive"
GARBAGE_NOISE = "Failed to perform garbage collection: “0B5F” couldn’t be removed."


@dataclass(frozen=True, slots=True)
class Rule:
    """One failure of a command."""

    command: str
    """`--version`, and the `pull` within `clone`, are commands, too."""
    _: KW_ONLY
    do: str
    """`exit` (text, code), `kill` (signal), `hang`, `delay` (seconds), `text` (noise), `ignore` (signal)."""
    name: str = "*"
    """A VM, an image, or the source of a clone; with `*` at the end, a prefix."""
    when: str = "before"
    """`before`, `during` or `after` the work. During: clone before the VM has its name, pull half-way, set
    before it writes, delete once config.json is gone, exec when the command in the guest has started but has
    no input yet, run when the VM has started."""
    contains: str = ""
    """Only calls whose arguments, joined by spaces, contain this."""
    nth: int = 1
    times: int = 0
    """It applies `times` times from the nth matching call on; 0: always."""
    chance: float = 1.0
    after: float = 0.0
    """Seconds after the moment that `when` names."""
    seconds: float = 0.0
    code: int = 1
    text: str = ""
    stream: str = "stderr"
    signal: int | None = None
    """By default SIGKILL for `kill`, and SIGINT for `ignore` (which is for `run`)."""

    def knob(self, number: int) -> dict[str, Any]:
        """As the fake reads it. Calls are counted per `number`."""
        facts = asdict(self) | {"id": number}
        return {key: value for key, value in facts.items() if value is not None}
