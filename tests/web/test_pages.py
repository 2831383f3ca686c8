"""The files of the dashboard as they are served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runscaler.web import pages
from runscaler.web.pages import FOLDER, PAGES

FILES = Path(pages.__file__).parent / FOLDER
EVERYTHING = [*PAGES, "/api/v1/status", "/api/v1/events"]


def test_every_file_is_served_and_no_other():
    assert sorted(PAGES.values()) == sorted(path.name for path in FILES.iterdir())


@pytest.mark.parametrize("path", PAGES)
def test_a_file_has_its_type_and_the_policy(world, path):
    answer = world.get(path)

    kind = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    assert answer.code == 200
    assert answer.body == (FILES / PAGES[path]).read_bytes()
    assert answer.headers["Content-Type"].startswith(kind[PAGES[path].rpartition(".")[2]])
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", EVERYTHING)
def test_a_page_of_another_name_cannot_read_it(world, path):
    assert world.get(path, host="evil.example").code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", EVERYTHING)
def test_it_is_read_only(world, path, method):
    assert world.get(path, method=method).code == 405


ELSEWHERE = (
    "/dashboard",
    "/dashboard/",
    "/dashboard/../app.py",
    "/dashboard/%2e%2e/app.py",
    "//",
    "/api/v1/",
)


@pytest.mark.parametrize("path", [*ELSEWHERE, "/x" * 999])
def test_any_other_path_is_a_404(world, path):
    assert world.get(path).code == 404


def test_no_script_makes_html_of_text():
    for path in FILES.glob("*.js"):
        unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function"
        assert re.search(unsafe, path.read_text()) is None, path.name
