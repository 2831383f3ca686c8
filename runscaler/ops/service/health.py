"""Asks a daemon's health server whether it is ready, and which process answers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import psutil

from runscaler.untrusted import parse_json

SECONDS = 5.0
MAX_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class HealthAnswer:
    """`pid` is 0 from a program that does not tell its own, such as the Go tool."""

    version: str
    pid: int
    is_ready: bool


def health_address(host: str, port: int) -> str:
    """The URL of a health server. One that listens on all addresses is reached over loopback."""
    try:
        address = ipaddress.ip_address(host or "127.0.0.1")
    except ValueError:
        return f"http://{host}:{port}"
    if address.version == 6:
        return f"http://[{'::1' if address.is_unspecified else address}]:{port}"
    return f"http://{'127.0.0.1' if address.is_unspecified else address}:{port}"


def ask(address: str) -> HealthAnswer | None:
    """The answer at this address; None if there is none, or none of a daemon's."""
    code, health = _get(f"{address}/healthz")
    if code == 0 or not isinstance(health, dict) or not isinstance(health.get("scale_sets"), list):
        return None
    pid, version = health.get("pid"), health.get("version")
    return HealthAnswer(
        version=version if isinstance(version, str) else "",
        pid=pid if isinstance(pid, int) else 0,
        is_ready=_get(f"{address}/readyz")[0] == 200,
    )


def belongs_to(pid: int, main: int) -> bool:
    """Whether the process `pid` is the main process of a service, or was started by it."""
    if pid == main:
        return pid != 0
    try:
        return any(parent.pid == main for parent in psutil.Process(pid).parents())
    except (psutil.Error, ValueError):
        return False


def fetch(url: str, seconds: float = SECONDS) -> tuple[int, bytes]:
    """Status, whatever it is, and body, through no proxy. Raises OSError and HTTPException."""
    try:
        reply = build_opener(ProxyHandler({})).open(url, timeout=seconds)
    except HTTPError as error:
        reply = error
    with reply:
        return reply.status, bytes(reply.read(MAX_BYTES))


def _get(url: str) -> tuple[int, object]:
    """Status and JSON body; 0 without a usable answer."""
    try:
        status, body = fetch(url)
        return status, parse_json(body)
    except (OSError, HTTPException, ValueError):
        return 0, None
