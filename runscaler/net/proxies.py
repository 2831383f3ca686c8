"""Which forward proxy a URL takes, and the variables that tell programs about it (docs/networks.md).

The variables are read anew each time. Where there are none, macOS has proxies in its settings.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

LOCAL = ("localhost", "127.0.0.1", "::1")
"""What a runner reaches without a proxy in any case: itself."""
_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d+))?")
_SEPARATOR = re.compile(r"[,\s]+")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def proxy_for(url: str, chosen: str = "") -> str:
    """The URL of the proxy for `url`; empty: none. `chosen` takes the place of HTTPS_PROXY and HTTP_PROXY.

    NO_PROXY counts in any case, and nothing on loopback takes a proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    found = getproxies()
    proxy = chosen or found.get(parts.scheme) or found.get("all") or ""
    if not proxy or is_loopback(host):
        return ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if goes_direct(host, port, found.get("no", "")) or ("no" not in found and proxy_bypass(host)):
        return ""
    return proxy


def runner_variables(chosen: str, *, shares_loopback: bool) -> dict[str, str]:
    """The variables that tell a runner of the proxies of this process, or of `chosen` in their place.

    In both cases, as some programs read only lower-case names. A proxy on this host's loopback is left out
    for a runner that does not share it.
    """
    found = getproxies()
    proxies = {
        f"{scheme}_proxy": chosen or found.get(scheme) or found.get("all") or ""
        for scheme in ("http", "https")
    }
    values = {name: url for name, url in proxies.items() if url and (shares_loopback or not on_loopback(url))}
    if not values:
        return {}
    direct = [entry for entry in _SEPARATOR.split(found.get("no", "")) if entry]
    values["no_proxy"] = ",".join(dict.fromkeys((*direct, *LOCAL)))
    return {spelling: value for name, value in values.items() for spelling in (name, name.upper())}


def unreachable_proxy(chosen: str) -> str:
    """The address of a proxy on this host's loopback, which containers and VMs cannot reach; empty: none."""
    found = getproxies()
    urls = (chosen,) if chosen else (found.get("https", ""), found.get("http", ""), found.get("all", ""))
    return next((address_of(url) for url in urls if url and on_loopback(url)), "")


def address_of(proxy: str) -> str:
    """Host and port of a proxy's URL, without user and password, which may hold any character."""
    rest = proxy.rpartition("@")[2]
    try:
        name = urlsplit(rest if "://" in rest else f"//{rest}").netloc
    except ValueError:
        name = ""
    return name or "(malformed)"


def on_loopback(url: str) -> bool:
    address = address_of(url)
    found = _PORT.fullmatch(address)
    return found is not None and is_loopback(found[1])


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this host itself."""
    name = host.lower().strip("[]").rstrip(".")
    address = _address(name)
    if address is not None:
        return address.is_loopback
    return name == "localhost" or name.endswith(".localhost")


def goes_direct(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY says that this host takes no proxy.

    Its entries are separated by commas or blanks: `*`; a domain, with or without a leading dot, which means
    its subdomains too; an address, IPv6 with or without brackets; a network such as 10.0.0.0/8 or fd00::/8.
    Each may end in `:PORT`. Names are not resolved, so that an address or network matches addresses only.
    """
    name = host.lower().strip("[]").rstrip(".")
    return any(_matches(entry, name, port) for entry in _SEPARATOR.split(no_proxy.lower()) if entry)


def _matches(entry: str, name: str, port: int) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(entry, name)
    wanted, only_port = _without_port(entry)
    if only_port is not None and only_port != port:
        return False
    expected, actual = _address(wanted), _address(name)
    if expected is not None or actual is not None:
        return expected is not None and expected == actual
    domain = wanted.removeprefix("*").strip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _without_port(entry: str) -> tuple[str, int | None]:
    found = _PORT.fullmatch(entry)
    if found is None:  # an IPv6 address without brackets
        return entry, None
    return found[1].strip("[]"), int(found[2]) if found[2] else None


def _in_network(entry: str, name: str) -> bool:
    address = _address(name)
    try:
        network = ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
    return address is not None and address in network


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
