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


def test_each_attempt_has_a_folder_and_the_newest_counts(home: Home) -> None:
    first = home.attempt(7, 1).create()
    assert home.analysis(7) == first == Store(home.folder(7))
    for path, text in ((first.task, "task"), (first.sample, "sample"), (first.run, "{}"), (first.report_json, "old")):
        path.write_text(text)
    first.records.write_bytes(b"records")
    second = home.attempt(7, 2)
    second.follow(first, ran=False)
    assert home.analysis(7) == second
    assert {path.name for path in second.root.iterdir()} == {"task.json", "sample"}
    third = home.attempt(7, 10)
    third.follow(first, ran=True)
    assert home.analysis(7) == third
    assert third.records.read_bytes() == b"records"
    assert third.run.exists()
    assert not third.report_json.exists()
    third.discard(home.folder(7))
    assert home.analysis(7) == second
    first.discard(home.folder(7))
    assert first.sample.exists()
    assert second.sample.exists()
    assert not first.records.exists()
    first.follow(first, ran=True)


def test_a_chain_is_copied_since_it_is_written_again(home: Home) -> None:
    first = home.attempt(1, 1).create()
    first.chain.write_text("{}")
    second = home.attempt(1, 2)
    second.follow(first, ran=False)
    assert second.chain.stat().st_ino != first.chain.stat().st_ino
