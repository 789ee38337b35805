"""The cards of the behaviour at a glance."""

from __future__ import annotations

from typing import Any

from malkoha.processing.summary import CATEGORIES, OWN
from malkoha.reporting.overview import CARDS, LINES, overview


def report(**summary: Any) -> dict[str, Any]:
    return {"behavior": {"summary": summary}}


def test_nothing_seen_is_no_card() -> None:
    assert overview({}) == overview(report(file_read=["/a"])) == []


def test_each_category_of_a_card_has_its_turn() -> None:
    cards = overview(report(file_deleted=[f"/{n}" for n in range(50)], file_moved=[["/a", "/b"]]))
    assert [card["title"] for card in cards] == ["Files changed"]
    assert cards[0]["lines"][:3] == ["deleted /0", "moved /a → /b", "deleted /1"]
    assert (len(cards[0]["lines"]), cards[0]["total"], cards[0]["anchor"]) == (LINES, 51, "file_deleted")


def test_modes_that_lend_rights_come_first() -> None:
    modes = [("0644", ""), ("0755", "executable"), ("04755", "set-user-ID, executable")]
    entries = [{"path": "/a", "mode": mode, "means": means} for mode, means in modes]
    assert overview(report(permissions=entries))[0]["lines"] == [
        "04755 /a · set-user-ID, executable",
        "0755 /a · executable",
    ]


def test_cards_name_categories_that_are_there() -> None:
    assert {category for *_, categories in CARDS for category in categories.split()} <= {*CATEGORIES, *OWN}
