"""The files of the dashboard, which come from this package and load nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from importlib.resources import files

from runscaler.web.reply import Reply

FOLDER = "dashboard"
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
PAGES = {
    "/": "index.html",
    **{
        f"/{FOLDER}/{name}": name
        for name in (
            "style.css",
            "icon.svg",
            "start.js",
            "main.js",
            "connection.js",
            "model.js",
            "elements.js",
            "format.js",
            "reasons.js",
            "summary.js",
            "charts.js",
            "sets.js",
            "timeline.js",
            "happenings.js",
        )
    },
}
"""Each path and its file. No other file can be asked for."""
SAFE_HEADERS = (
    (
        "Content-Security-Policy",
        "; ".join(
            (
                "default-src 'none'",
                *(f"{what}-src 'self'" for what in ("script", "style", "img", "connect")),
                *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors")),
            )
        ),
    ),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
)


def page(path: str) -> Reply:
    """The file of a path in `PAGES`."""
    name = PAGES[path]
    return Reply(
        HTTPStatus.OK,
        _content(name),
        TYPES[name.rpartition(".")[2]],
        headers=SAFE_HEADERS,
        cache="no-cache",  # an update must not meet scripts of the version before it
    )


@cache
def _content(name: str) -> bytes:
    return files("runscaler.web").joinpath(FOLDER, name).read_bytes()
