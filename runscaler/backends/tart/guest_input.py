"""What the start script of a guest reads on its standard input, which stands in no process list and no log.

Lines: the JIT configuration; NAME=VALUE for each variable of a proxy; an empty one. The rest is the scale
set's `ca`. Without proxy and `ca` there is the first line only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runscaler.backends.certificates import read_own
from runscaler.config.proxy_url import revealed
from runscaler.net.proxies import runner_variables

if TYPE_CHECKING:
    from runscaler.config.model import ScaleSetSettings
    from runscaler.config.secrets import Secret


def guest_input(settings: ScaleSetSettings, encoded: Secret, name: str) -> bytes:
    """`name` is the VM's. Raises `StartFailed` if `ca` cannot be read."""
    proxies = runner_variables(revealed(settings.proxy), shares_loopback=False)
    ca = read_own(settings.ca, name) if settings.ca else b""
    lines = [encoded.reveal(), *(f"{variable}={value}" for variable, value in proxies.items())]
    if proxies or ca:
        lines.append("")
    return "".join(f"{line}\n" for line in lines).encode() + ca
