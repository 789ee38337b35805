from __future__ import annotations

from pathlib import Path

from malkoha.store import Home, Store


def paths(thing: Home | Store) -> dict[str, Path]:
    names = [name for name, value in vars(type(thing)).items() if isinstance(value, property)]
    return {name: getattr(thing, name) for name in names}


def test_every_path_lies_inside_and_is_the_only_one_of_its_name(tmp_path: Path) -> None:
    for thing in (Home(tmp_path), Home(tmp_path).analysis(7)):
        found = paths(thing)
        assert len(set(found.values())) == len(found) > 5
        assert all(path.is_relative_to(thing.root) and path != thing.root for path in found.values())


def test_an_analysis_is_a_folder_with_its_number(tmp_path: Path) -> None:
    store = Home(tmp_path).analysis(7)
    assert store.root == tmp_path / "analyses" / "7"
    assert not store.root.exists()
    assert store.create() is store
    store.create()
    for path in (store.records, store.stap, store.stdout, store.stderr, store.task):
        path.write_bytes(b"")
