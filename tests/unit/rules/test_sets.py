"""Sets of rules: added as copies, updated from their origin, listed, removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.errors import UsageError
from malkoha.rules import sets
from malkoha.store import Home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "My Rules"
    (made / "deep").mkdir(parents=True)
    (made / "a.yar").write_text("rule a { condition: true }")
    (made / "deep" / "b.yml").write_text("title: b")
    (made / "readme.txt").write_text("no rule")
    (made / "link.yar").symlink_to("/etc/passwd")
    return made


def test_a_set_is_a_copy_of_its_rules(tmp_path: Path, folder: Path) -> None:
    home = Home(tmp_path / "home")
    made = sets.add(home, folder)
    assert (made.name, made.files, made.skipped) == ("my-rules", {"yara": 1, "sigma": 1}, 0)
    assert sets.every(home) == [made]
    assert [name for name, _ in sets.files(home, "yara")] == ["my-rules/a.yar"]
    assert [name for name, _ in sets.files(home, "sigma")] == ["my-rules/deep/b.yml"]


def test_update_copies_anew_and_keeps_the_kinds(tmp_path: Path, folder: Path) -> None:
    home = Home(tmp_path / "home")
    sets.add(home, folder, kinds=("yara",), name="mine")
    (folder / "c.yar").write_text("rule c { condition: true }")
    assert sets.update(home, "mine").files == {"yara": 2}
    assert sets.files(home, "sigma") == []


def test_one_file_is_a_set_too(tmp_path: Path, folder: Path) -> None:
    home = Home(tmp_path / "home")
    assert sets.add(home, folder / "a.yar").name == "a"


def test_what_cannot_be_added_leaves_the_old_set(tmp_path: Path, folder: Path) -> None:
    home = Home(tmp_path / "home")
    sets.add(home, folder, name="mine")
    (tmp_path / "empty").mkdir()
    for place, name in ((tmp_path / "empty", "mine"), (tmp_path / "gone", "mine"), (folder, "../x")):
        with pytest.raises(UsageError):
            sets.add(home, place, name=name)
    assert [each.name for each in sets.every(home)] == ["mine"]
    assert sorted(path.name for path in home.rules.iterdir()) == ["mine"]


def test_large_files_are_skipped_and_counted(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "FILE_SIZE", 10)
    assert sets.add(Home(tmp_path / "home"), folder).skipped == 1


def test_remove(tmp_path: Path, folder: Path) -> None:
    home = Home(tmp_path / "home")
    sets.add(home, folder, name="mine")
    sets.remove(home, "mine")
    assert sets.every(home) == []
    with pytest.raises(UsageError, match="no set of rules 'mine'"):
        sets.remove(home, "mine")
