from __future__ import annotations

from pathlib import Path

from runscaler.config.features import REFUSED
from runscaler.config.reference import reference
from runscaler.config.schema import top_level_keys

PAGE = Path(__file__).parents[2] / "docs/configuration.md"


def test_the_page_is_generated_from_the_model() -> None:
    stale = "run: python -m runscaler.config.reference docs/configuration.md"

    assert PAGE.read_text("utf-8") == reference(), stale


def test_what_this_version_lacks_is_marked() -> None:
    page = reference()
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    def marked(name: str, note: str) -> bool:
        return any(row.startswith(f"| `{name}` |") and f"**{note}**" in row for row in rows)

    assert all(marked(path[-1], "Not in this version") for path in REFUSED)
    assert marked("backend", "swarm and orchard: not in this version")
    assert not marked("max-runners", "Not in this version")
    for table in ("swarm", "orchard"):
        assert f"## [{table}]\n\nNot in this version.\n" in page


def test_every_key_has_a_complete_row() -> None:
    page = reference()
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert len(rows) >= len(top_level_keys())
    assert all(f"| `{path[-1]}` |" in page for path in top_level_keys())
    assert not any("Undefined" in row or "|  |  |" in row for row in rows)
