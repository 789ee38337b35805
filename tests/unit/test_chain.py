"""What was downloaded becomes tasks: which, how deep, how many; and what came of them stands in the reports above."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from malkoha import chain, pipeline, submit
from malkoha.config import Analysis, Settings
from malkoha.model.report import Report
from malkoha.model.task import Options, Task
from malkoha.reporting import json_report
from malkoha.store import Home
from tests.reports import helloworld
from tests.unit.processing.test_containers import zipped

URL = "http://c2.example.net/files/"
SCRIPT = b"#!/bin/sh\necho second\n"
ELF = b"\x7fELF\x02\x01\x01" + bytes(60)
PAGE = b"<!doctype html>\nexport x=1\n"


def visited(home: Home, *contents: bytes, ran: bytes = b"", **extra: str) -> tuple[Task, dict[str, Any]]:
    """Make the analysis of a URL that was given these contents, as the simulated internet keeps them."""
    task = submit.submit(home, Settings(), URL, Options(network="sim", extra=extra))
    return task, finished(home, task, *contents, ran=ran)


def finished(home: Home, task: Task, *contents: bytes, ran: bytes = b"") -> dict[str, Any]:
    store = home.analysis(task.id)
    store.payloads.mkdir(parents=True)
    downloads = []
    for number, content in enumerate(contents):
        digest = hashlib.sha256(content).hexdigest()
        (store.payloads / digest).write_bytes(content)
        executed = [1234] if content == ran else []
        downloads.append({"url": f"{URL}f{number}?x=1", "sha256": digest, "executed": executed, "size": len(content)})
    report = msgspec.convert(helloworld(), Report)
    report.malkoha.chain = pipeline.chain(store)
    json_report.JsonReporter().write(report, store)
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain | {"network": {"downloads": downloads}, "dropped": [], "behavior": {}}


def links(home: Home, task: Task) -> list[tuple[str, int | None, str]]:
    held = json_report.read(home.analysis(task.id).report_json).malkoha.chain.links
    assert held == pipeline.chain(home.analysis(task.id)).links
    return [(link.kind, link.id, link.why or link.status) for link in held]


def test_programs_scripts_and_members_of_archives_become_tasks(home: Home) -> None:
    task, report = visited(
        home, ELF, SCRIPT, zipped({"a.sh": b"#!/bin/sh\nid\n", "read.me": b"hi"}), PAGE, b"plain text"
    )
    children = chain.extend(home, Settings(), task, report)
    assert [child.sample.name for child in children if child.sample] == [b"f0", b"f1", b"a.sh"]
    assert [child.target for child in children] == [f"{URL}f0?x=1", f"{URL}f1?x=1", f"{URL}f2?x=1: a.sh"]
    assert links(home, task) == [("program", 2, "pending"), ("script", 3, "pending"), ("archive", 4, "pending")]
    assert pipeline.chain(home.analysis(4)).parent == task.id
    assert home.analysis(2).sample.read_bytes() == ELF
    assert submit.load(home.analysis(4)) == children[2]


def test_children_inherit_how_to_run_but_not_how_their_parent_was_started(home: Home) -> None:
    task, report = visited(home, SCRIPT, client="wget", cwd="/var", member="x")
    task = msgspec.structs.replace(task, owner="eve", custom="case 7", options=msgspec.structs.replace(
        task.options, timeout_s=7, arguments="-x", package="script"))  # fmt: skip
    (child,) = chain.extend(home, Settings(), task, report)
    assert (child.owner, child.custom, child.options.timeout_s) == ("eve", "case 7", 7)
    assert (child.options.package, child.options.arguments) == (None, "")
    assert child.options.extra == {"cwd": "/var", "chain": "new"}


def test_what_ran_already_is_named_and_run_again_only_when_asked(home: Home) -> None:
    task, report = visited(home, SCRIPT, ELF, ran=SCRIPT)
    assert [child.sample.name for child in chain.extend(home, Settings(), task, report) if child.sample] == [b"f1"]
    assert links(home, task) == [("script", None, "it ran here, as process 1234"), ("program", 2, "pending")]
    task, report = visited(home, SCRIPT, ran=SCRIPT, chain="yes")
    assert len(chain.extend(home, Settings(), task, report)) == 1
    task, report = visited(home, SCRIPT, chain="no")
    assert chain.extend(home, Settings(), task, report) == []


def test_a_chain_is_neither_deep_nor_wide_nor_round(home: Home) -> None:
    settings = Settings(analysis=Analysis(chain_depth=2, chain_tasks=3))
    task, report = visited(home, SCRIPT)
    (child,) = chain.extend(home, settings, task, report)
    # the same again, something new, and two more than fit
    contents = [SCRIPT, *(b"#!/bin/sh\necho %d\n" % number for number in range(4))]
    grandchildren = chain.extend(home, settings, child, finished(home, child, *contents))
    assert [one.id for one in grandchildren] == [3, 4]
    whys = [why for _, _, why in links(home, child)]
    assert whys[0] == "analysis 2 has the same content"
    assert whys[1:3] == ["pending", "pending"]
    assert all(why.startswith("the chain has 3 analyses already") for why in whys[3:])
    assert links(home, task) == [("script", 2, "pending"), *links(home, child)]
    report = finished(home, grandchildren[0], b"#!/bin/sh\necho deep\n")
    assert chain.extend(home, settings, grandchildren[0], report) == []
    assert links(home, task)[-1][2] == "chains are followed 2 deep (analysis.chain_depth)"
    # what is processed again has its chain already
    assert chain.extend(home, settings, child, finished_again(home, child)) == []


def finished_again(home: Home, task: Task) -> dict[str, Any]:
    digest = hashlib.sha256(ELF).hexdigest()
    (home.analysis(task.id).payloads / digest).write_bytes(ELF)
    return {"network": {"downloads": [{"url": URL, "sha256": digest, "executed": []}]}}


def test_the_archive_that_does_not_fit_and_the_one_that_is_empty(home: Home) -> None:
    settings = Settings(analysis=Analysis(chain_tasks=1))
    two = zipped({"a.sh": b"#!/bin/sh\nid\n", "b.sh": b"#!/bin/sh\nls\n"})
    task, report = visited(home, zipped({"read.me": b"hi"}), two)
    assert len(chain.extend(home, settings, task, report)) == 1
    nothing, first, rest = links(home, task)
    assert "nothing that can be run" in nothing[2]
    assert (first[1], first[2]) == (2, "pending")
    assert rest[2] == "1 of its members were left out (analysis.chain_tasks)"
    assert sorted(path.name for path in home.analyses.iterdir()) == ["1", "2"]


def test_files_that_the_guest_kept_stand_in_where_nothing_was_intercepted(home: Home) -> None:
    task, report = visited(home)
    store = home.analysis(task.id)
    store.dropped.mkdir()
    entries = []
    for where, content in (("/tmp/tmp.AbC/download", SCRIPT), ("/tmp/tmpx1/page.html", ELF), ("/root/log", ELF + b"x")):
        digest = hashlib.sha256(content).hexdigest()
        (store.dropped / digest).write_bytes(content)
        entries.append({"filepath": where, "sha256": digest})
    (child,) = chain.extend(home, Settings(), task, report | {"dropped": entries})
    assert child.target == URL
    assert home.analysis(child.id).sample.read_bytes() == SCRIPT


def test_the_analyses_above_are_told_how_it_ended(home: Home) -> None:
    task, report = visited(home, SCRIPT, ELF)
    first, second = chain.extend(home, Settings(), task, report)
    (below,) = chain.extend(home, Settings(), first, finished(home, first, b"#!/bin/sh\necho 2\n"))
    verdict = {"level": "malicious", "score": 8.5, "why": ["removes_logs"]}
    chain.settle(home, below, {"malkoha": {"verdict": verdict}})
    chain.settle(home, second, None)
    for above in (task, first):
        link = next(one for one in pipeline.chain(home.analysis(above.id)).links if one.id == below.id)
        assert (link.status, link.level, link.score, link.signatures) == (
            "reported",
            "malicious",
            8.5,
            ["removes_logs"],
        )
        assert "malicious" in home.analysis(above.id).report_html.read_text()
    assert ("program", second.id, "its analysis failed") in links(home, task)
    chain.settle(home, task, report)  # nobody is above


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/a/run.sh?x=/y#z", b"run.sh"), ("http://h/", b"download"), ("http://h", b"download"),
        ("http://h/a/..", b"download"), ("/tmp/x y", b"x y"), ("ftp://h/" + "n" * 400, b"n" * 255),
    ],
)  # fmt: skip
def test_the_name_of_a_download(url: str, name: bytes) -> None:
    assert chain.called(url) == name


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (ELF, b"x", "program"), (SCRIPT, b"x", "script"), (b"import os\n", b"x.py", "script"), (PAGE, b"x", ""),
        (b"PK\x03\x04", b"x", "archive"), (b"\x1f\x8b\x08", b"x", "archive"), (b"cd /tmp; wget x\n", b"x", "script"),
        (b'{"a": 1}', b"x", ""), (b"ok\n", b"x", ""), (b"\x89PNG\r\n", b"x.png", ""), (b"", b"x", ""),
    ],
)  # fmt: skip
def test_what_is_analysed_in_turn(head: bytes, name: bytes, kind: str) -> None:
    assert chain.kind_of(head, name) == kind


def test_a_chain_that_makes_no_sense_is_none(home: Home, tmp_path: Path) -> None:
    store = home.analysis(1).create()
    store.chain.write_text("{]")
    assert pipeline.chain(store).links == []
