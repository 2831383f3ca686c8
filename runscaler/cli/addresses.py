"""Addresses that a user gives on the command line."""

from __future__ import annotations


def is_web_address(text: str) -> bool:
    """A URL with http or https and a host; one whose port is out of range is none."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
