from __future__ import annotations

from pathlib import Path

from runscaler.config.reference import reference
from runscaler.config.schema import top_leaves

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


def test_the_page_is_what_the_model_says() -> None:
    stale = "run: python -m runscaler.config.reference docs/configuration.md"

    assert PAGE.read_text("utf-8") == reference(), stale


def test_every_key_has_a_row_and_a_whole_one() -> None:
    page = reference()
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert len(rows) >= len(top_leaves())
    assert all(f"| `{path[-1]}` |" in page for path in top_leaves())
    assert not any("Undefined" in row or "|  |  |" in row for row in rows)
