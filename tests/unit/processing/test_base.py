"""What modules may ask of those before them."""

from __future__ import annotations

from pathlib import Path

from malkoha.processing.base import Earlier
from malkoha.processing.strings import StringsModule
from malkoha.processing.target import TargetModule
from tests.unit.processing.folder import analysis


def test_earlier_sections_are_asked_for_by_class(tmp_path: Path) -> None:
    earlier = Earlier({"strings": ["a"]})
    assert earlier.get(StringsModule) == ["a"]
    assert earlier.get(TargetModule) is None
    facts = analysis(tmp_path)
    assert (facts.task.id, facts.run.engine, facts.store.sample.name) == (1, "kprobe", "sample")
