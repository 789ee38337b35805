"""Submission of archives: which members become tasks, what is said of the others, and that refusals leave nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from malkoha import archives, submit
from malkoha.config import Settings
from malkoha.errors import HostError, SubmitError
from malkoha.model.task import Options, Task
from malkoha.store import Home
from tests.unit.processing.test_containers import SCRIPT, sealed, tarred, zipped

ELF = b"\x7fELF\x02\x01\x01" + bytes(60)


def given(home: Home, tmp_path: Path, data: bytes, **extra: str) -> archives.Submitted:
    (tmp_path / "x.zip").write_bytes(data)
    return archives.submit(home, Settings(), str(tmp_path / "x.zip"), Options(extra=extra), priority=2)


def names(submitted: archives.Submitted) -> list[bytes]:
    return [task.sample.name for task in submitted.tasks if task.sample]


def test_a_task_for_each_member_that_can_be_run(home: Home, tmp_path: Path) -> None:
    made = {"readme.txt": b"hi", "d/run": SCRIPT, "e/bin": ELF, "m.py": b"print(1)", "again": SCRIPT, "none.sh": b""}
    submitted = given(home, tmp_path, zipped(made))
    assert names(submitted) == [b"run", b"bin", b"m.py"]
    first = submitted.tasks[0]
    assert (first.target, first.priority) == (f"{tmp_path}/x.zip: d/run", 2)
    assert home.analysis(first.id).sample.read_bytes() == SCRIPT
    assert submit.load(home.analysis(first.id)) == first
    assert submitted.remarks == []


def test_what_is_no_archive_is_submitted_as_it_is(home: Home, tmp_path: Path) -> None:
    assert names(given(home, tmp_path, SCRIPT)) == [b"x.zip"]
    assert names(given(home, tmp_path, zipped({"META-INF/MANIFEST.MF": b"", "a": ELF}))) == [b"x.zip"]
    assert names(given(home, tmp_path, zipped({"a": ELF}), unpack="no")) == [b"x.zip"]


def test_names_are_for_the_guest_only(home: Home, tmp_path: Path) -> None:
    submitted = given(home, tmp_path, tarred({"/etc/\udcff\n": SCRIPT, "a/..": ELF}, "w:gz"))
    assert names(submitted) == [b"\xff\n", b"sample"]
    assert submitted.tasks[0].target.endswith(r"x.zip: /etc/\xff\n")


@pytest.mark.parametrize("wanted", ["d/run", "run"])
def test_a_chosen_member(home: Home, tmp_path: Path, wanted: str) -> None:
    assert names(given(home, tmp_path, zipped({"a": ELF, "d/run": b"text"}), member=wanted)) == [b"run"]


def test_passwords(home: Home, tmp_path: Path) -> None:
    assert names(given(home, tmp_path, sealed({"a": ELF}, "infected"))) == [b"a"]
    assert names(given(home, tmp_path, sealed({"a": ELF}, "other"), password="other")) == [b"a"]


def test_more_than_some_are_left_out_and_named(home: Home, tmp_path: Path) -> None:
    submitted = given(home, tmp_path, zipped({f"{n}.sh": b"#%d" % n for n in range(12)}))
    assert len(submitted.tasks) == archives.MOST
    assert "2 more that can be run left out: 10.sh, 11.sh" in submitted.remarks[0]


@pytest.mark.parametrize(
    ("data", "extra", "words"),
    [
        (zipped({"a.txt": b"x"}), {}, r"nothing that can be run \(--option member=NAME takes one of a.txt"),
        (zipped({}), {}, "nothing that can be run"),
        (zipped({"a": ELF})[:40], {}, "nothing that can be run: damaged"),
        (b"7z\xbc\xaf'\x1c" + bytes(40), {}, "nothing that can be run: damaged: "),
        (sealed({"a": ELF}, "other"), {}, r"no password that was tried fits \(--option password=TEXT"),
        (zipped({"a": ELF}), {"member": "b"}, r"holds no member b \(it holds a\)"),
        (zipped({"c/a": ELF, "d/a": SCRIPT}), {"member": "a"}, r"several members a \(they are c/a, d/a\)"),
        (zipped({"a": ELF}), {"unpack": "maybe"}, "unpack=maybe is not known"),
        (SCRIPT, {"member": "b"}, "has no members"),
    ],
)
def test_refusals_are_one_line_and_leave_nothing(
    home: Home, tmp_path: Path, data: bytes, extra: dict[str, str], words: str
) -> None:
    with pytest.raises(SubmitError, match=words) as caught:
        given(home, tmp_path, data, **extra)
    assert "\n" not in str(caught.value)
    assert not home.analyses.exists() or not list(home.analyses.iterdir())


def test_a_failure_on_the_way_leaves_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Task] = []
    real = submit.submit

    def second_fails(*args: Any, **kwargs: Any) -> Task:
        if made:
            raise HostError("no space")
        made.append(real(*args, **kwargs))
        return made[0]

    monkeypatch.setattr(submit, "submit", second_fails)
    with pytest.raises(HostError):
        given(home, tmp_path, zipped({"a": ELF, "b": SCRIPT}))
    assert made
    assert not list(home.analyses.iterdir())
