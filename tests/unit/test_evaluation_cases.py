"""The cases of the evaluation: how they are read and guarded, and how their runs are kept."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from evaluation import __main__ as evaluation
from evaluation import cases, programs
from evaluation.cases import Case
from evaluation.guests import Guests
from malkoha.store import Home


def row(**more: Any) -> str:
    return json.dumps(
        {
            "id": "T1-1", "technique": "T1", "legacy_technique": None, "technique_name": "Name", "name": "title",
            "tactics": ["stealth"], "packages_needed": ["busybox", "ed"], "effect": "full", "observability": "strong",
            "script": "#!/bin/bash\necho hi\n",
        }
        | more
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({}, True),
        ({"effect": "attempt"}, True),
        ({"effect": "partial"}, False),
        ({"observability": "weak"}, False),
    ],
)
def test_atomics(tmp_path: Path, more: dict[str, str], counts: bool) -> None:
    path = tmp_path / "public.jsonl"
    path.write_text(row(**more))
    (case,) = cases.atomics(path)
    assert (case.name, case.former, case.tactics, case.counts) == ("T1-1", "", ("stealth",), counts)
    first, guard, mark, *rest = case.script.splitlines()
    assert (first, rest) == ("#!/bin/bash", ["echo hi"])
    assert mark == ": >/etc/atomic-guest"
    assert cases.WORD in guard


def test_a_script_does_nothing_without_the_word(tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(cases.guarded("#!/bin/sh\necho ran $*\n", cases._GUARD))
    refused = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (64, "")
    allowed = subprocess.run(["sh", script, cases.WORD, "x"], capture_output=True, text=True, check=False)
    assert (allowed.returncode, allowed.stdout) == (0, "ran x\n")


def test_without_the_material_there_are_our_own_cases_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MALKOHA_EVAL", str(tmp_path))
    assert {case.kind for case in cases.cases()} == {"benign", "holdout", "malicious", "techniques"}
    (tmp_path / "atomics").mkdir()
    (tmp_path / "atomics" / "public.jsonl").write_text(row())
    assert {case.kind for case in cases.cases()} == {"benign", "holdout", "malicious", "techniques", "atomics"}
    assert "ed" in cases.packages("eval")
    assert "busybox" not in cases.packages("eval")


@pytest.mark.parametrize(
    ("kind", "image", "least"),
    [("benign", "eval", 60), ("techniques", "eval", 150), ("malicious", "eval", 15), ("holdout", "holdout", 50)],
)
def test_our_own_cases_are_many_and_each_is_a_script(kind: str, image: str, least: int) -> None:
    jobs = cases.cases((kind,))
    assert len({job.name for job in jobs}) == len(jobs) >= least
    assert {job.image for job in jobs} == {image}
    assert len(cases.packages(image)) > 40
    for job in jobs:
        shell = job.script.partition("\n")[0].removeprefix("#!")
        assert subprocess.run([shell, "-n"], input=job.script, text=True, check=False).returncode == 0, job.name


def test_what_was_seen_without_a_way_out_is_run_without_one() -> None:
    def program(pattern: str) -> programs.Program:
        return programs.Program("a", "a", "/bin/a", "a", (programs.Expectation(pattern, 1),))

    assert cases._program(program("connect.*ENETUNREACH")).network == "none"
    assert cases._program(program("connect.*443")).network == ""


def test_the_key_follows_what_is_run() -> None:
    assert len({Case("benign", name, script).key for name in "ab" for script in "xy"}) == 4
    assert Case("programs", "a", "x", network="none").key != Case("programs", "a", "x").key


def test_runs_are_kept_by_case_and_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    images = {"eval": "one"}

    def command(self: Guests, *words: str) -> subprocess.CompletedProcess[bytes]:
        said.append(words)
        if words[:2] == ("image", "list"):
            answer = json.dumps([{"name": name, "id": number} for name, number in images.items()])
            return subprocess.CompletedProcess(words, 0, answer.encode(), b"")
        if "bad" in Path(words[-1]).read_text():
            return subprocess.CompletedProcess(words, 3, b"", b"first\nwhy it failed\n")
        return subprocess.CompletedProcess(words, 0, json.dumps({"info": {"id": 5}}).encode(), b"")

    monkeypatch.setattr(Guests, "command", command)
    guests = Guests(tmp_path / "runs", Home(tmp_path / "real"))
    Guests(tmp_path / "runs", Home(tmp_path / "real"))  # the links may be there
    assert guests.home.images.resolve() == tmp_path / "real" / "images"
    good, bad = Case("benign", "good", "good"), Case("benign", "bad", "bad")
    told: dict[str, str] = {}
    guests.run([good, bad], 2, lambda case, why: told.update({case.name: why}))
    assert told == {"good": "", "bad": "why it failed"}
    assert guests.folder(good) is None  # there is no report yet
    report = guests.home.analysis(5).root / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text('{"info": {}}')
    assert guests.report(good) == {"info": {}}
    assert guests.folder(bad) is None
    images["eval"] = "two"
    assert Guests(tmp_path / "runs", Home(tmp_path / "real")).folder(good) is None
    assert [words[0] for words in said].count("analyze") == 2


def test_an_image_is_built_without_what_the_mirror_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    class Mirror:
        def build(self, image: str, wanted: list[str]) -> str:
            asked.append(wanted)
            missing = [name for name in wanted if name in ("b", "d")]
            return f"malkoha: the guest could not be built: no such package: {', '.join(missing)} (correct)" * bool(
                missing
            )

    monkeypatch.setattr(evaluation, "packages", lambda image: list("abcde"))
    assert evaluation.build(cast("Guests", Mirror()), "programs") == ""
    assert asked == [list("abcde"), list("ace")]
