"""The catalogue names every signature, and its page is up to date."""

from __future__ import annotations

from pathlib import Path

from malkoha.signatures.catalogue import SIGNATURES, markdown

PAGE = Path(__file__).parents[3] / "docs" / "signatures.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: make docs"


def test_the_page_names_all() -> None:
    assert [one.name for one in SIGNATURES if f"| `{one.name}` |" not in markdown()] == []
