"""The Host header of a request, as a defence against DNS rebinding: a web page cannot reach a port on
loopback through a host name of its own that resolves to 127.0.0.1."""

from __future__ import annotations

import ipaddress
import re

HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9.-]{1,253}))(?::[0-9]{0,5})?\Z")


def names_loopback(host: str) -> bool:
    """Whether a Host header names the loopback interface, with any port. A missing one (HTTP/1.0) passes."""
    if not host:
        return True
    found = HOST.match(host)
    if found is None:
        return False
    name = found["six"] or found["name"]
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback and (address.version == 6) == bool(found["six"])
