"""``malkoha rules`` from adding to removing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_add_list_test_update_remove(tmp_path: Path, malkoha_: Callable[..., Any]) -> None:
    rules = tmp_path / "mine"
    rules.mkdir()
    (rules / "a.yar").write_text("rule a { condition: nothing }")
    added = malkoha_("rules", "add", rules)
    assert (added.status, added.out) == (0, "mine\t1 yara\n")
    assert "mine\t1 yara" in malkoha_("rules", "list").out
    tested = malkoha_("rules", "test")
    assert tested.status == 2
    assert "mine/a.yar:1: rule a: unknown identifier `nothing`" in tested.out
    assert "1 rules cannot be used" in tested.err
    (rules / "a.yar").write_text("rule a { condition: true }")
    assert malkoha_("rules", "update").status == 0
    assert malkoha_("rules", "test").status == 0
    assert malkoha_("rules", "remove", "mine").status == 0
    assert malkoha_("rules", "remove", "mine").status == 2
