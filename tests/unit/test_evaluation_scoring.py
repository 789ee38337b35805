"""The scoring of the evaluation: which technique counts as recognised, and what is a false alarm."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation import scoring
from evaluation.__main__ import table
from evaluation.cases import Case


def atomic(name: str = "a", technique: str = "T1685", former: str = "", counts: bool = True) -> Case:
    return Case("atomics", name, "", technique=technique, former=former, tactics=("stealth", "impact"), counts=counts)


def report(*codes: str, level: str = "clean", status: int = 0) -> dict[str, Any]:
    matches = [{"name": f"names_{code}", "severity": 2, "ttp": {code: "its name"}} for code in codes]
    own = {"verdict": {"level": level, "score": 1.5}, "exit_status": status}
    return {"info": {"id": 7}, "signatures": matches, "malkoha": own}


@pytest.mark.parametrize(
    ("technique", "former", "named", "is_hit"),
    [
        ("T1059.004", "", "T1059.004", True),
        ("T1059.004", "", "T1059", True),  # the parent
        ("T1059", "", "T1059.004", True),  # a sub-technique
        ("T1059.004", "", "T1059.006", False),  # a sibling
        ("T1059", "", "T1057", False),
        ("T1685", "T1562.001", "T1562.001", True),  # the former id
        ("T1685", "T1562.001", "T1562", True),
        ("T1685", "", "T1562.001", False),
        ("T105", "", "T1059", False),
    ],
)
def test_hits(technique: str, former: str, named: str, is_hit: bool) -> None:
    assert scoring.hit(atomic(technique=technique, former=former), report("T9999", named)) is is_hit


def test_what_has_no_report_is_missed() -> None:
    assert not scoring.hit(atomic(), None)
    assert not scoring.hit(atomic(), report())


def test_recall_counts_only_what_counts() -> None:
    found = scoring.atomics(
        [
            (atomic("hit"), report("T1685")),
            (atomic("other", "T1486"), report("T1685")),
            (atomic("weak", counts=False), report("T1685")),
            (atomic("never run"), None),
        ]
    )
    assert found["recall"] == {"found": 1, "of": 3, "percent": 33.3}
    assert found["recall_not_counted"] == {"found": 1, "of": 1, "percent": 100.0}
    assert found["by_technique"]["T1486"] == {"found": 0, "of": 1, "percent": 0.0}
    assert found["by_technique"]["T1685"] == {"found": 1, "of": 2, "percent": 50.0}
    assert found["by_tactic"]["stealth"] == found["by_tactic"]["impact"] == found["recall"]
    assert found["not_run"] == ["never run"]
    assert [(miss["case"], miss.get("matched")) for miss in found["missed"]] == [
        ("other", ["names_T1685"]),
        ("never run", None),
    ]


def test_false_alarms_are_shares_of_what_ran() -> None:
    judged = [
        (Case("benign", "calm", ""), report("T1083")),
        (Case("benign", "odd", ""), report("T1083", "T1005", level="suspicious", status=1)),
        (Case("benign", "bad", ""), report(level="malicious")),
        (Case("benign", "absent", ""), None),
    ]
    found = scoring.benign(judged)
    assert found["false_alarms"] == {"found": 2, "of": 3, "percent": 66.7}
    assert (found["malicious"], found["failed"], found["not_run"]) == (["bad"], ["odd"], ["absent"])
    assert found["alarms"][0]["matched"] == {"names_T1083": 2, "names_T1005": 2}
    assert list(found["matched"].items()) == [("names_T1083", 2), ("names_T1005", 1)]


def test_malicious_jobs_are_wanted_above_clean() -> None:
    judged = [
        (Case("malicious", "caught", ""), report("T1486", level="malicious")),
        (Case("malicious", "doubted", ""), report("T1053", level="suspicious")),
        (Case("malicious", "missed", ""), report(level="clean")),
        (Case("malicious", "absent", ""), None),
    ]
    found = scoring.malicious(judged)
    assert (found["recognised"]["found"], found["malicious"]["found"], found["not_run"]) == (2, 1, ["absent"])
    assert [one["case"] for one in found["below"]] == ["doubted", "missed"]
    shown = table({"malicious": found, "errors": {}})
    assert shown.splitlines()[0] == "malicious 2 of 3 (66.7 %) above clean, 1 of 3 (33.3 %) malicious"
    assert "clean       1.5 missed" in shown


def test_nothing_has_no_share() -> None:
    assert scoring.atomics([])["recall"] == {"found": 0, "of": 0, "percent": None}


def test_the_table_names_what_went_wrong() -> None:
    result = {
        "atomics": scoring.atomics([(atomic("one"), report("T1")), (atomic("two"), None)]),
        "benign": scoring.benign([(Case("benign", "odd", ""), report("T2", level="suspicious", status=3))]),
        "errors": {"two": "the machine did not start"},
    }
    shown = table(result)
    for part in (
        "atomics   0 of 2 (0.0 %) recognised",
        "(analysis 7: names_T1)",
        "(analysis -: no report)",
        "benign    1 of 1 (100.0 %) above clean, 0 malicious",
        "failed    odd",
        "not run   atomics two",
        "error     two: the machine did not start",
    ):
        assert part in shown
