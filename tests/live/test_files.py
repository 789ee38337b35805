"""What a sample writes is there, whatever it does afterwards: content, hashes, writers, limits."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.live.commandline import Analysis, Malkoha, compiled

pytestmark = pytest.mark.live

Entry = dict[str, Any]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(Path(__file__).with_name("files.c"), tmp_path_factory.mktemp("files") / "writer")


@pytest.fixture(scope="module")
def everything(sample: Path, shared: Malkoha) -> Analysis:
    return shared.analyze(sample)


def of(analysis: Analysis, path: str) -> list[Entry]:
    return [entry for entry in analysis.report["dropped"] if entry["filepath"] == path]


def content(analysis: Analysis, entry: Entry) -> bytes:
    data = analysis.store.root.joinpath(str(entry["path"])).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert len(data) == entry["size"]
    return data


def test_the_run_ended_with_the_machine(everything: Analysis) -> None:
    assert everything.ended == "machine off"
    assert everything.own["trace"]["lost"] == 0


@pytest.mark.parametrize(
    ("path", "data", "gone"),
    [
        ("/root/deleted", b"written and deleted", True),
        ("/root/before", b"renamed", False),
        ("/dev/shm/shared", b"in shared memory", True),
        ("/root/holes", b"\0" * 9997 + b"end", False),
        ("/root/twice", b"onetwo", False),
        ("/root/named", b"was nameless", False),
        ("/root/mapped", b"m" * 10000, True),
        ("/root/heredoc", b"from the document\n", True),
        ("/tmp/writer", b"the sample's new self", True),
        ("/root/last", b"not closed before power-off", False),
    ],
)
def test_content_and_fate(everything: Analysis, path: str, data: bytes, gone: bool) -> None:
    entry = of(everything, path)[-1]
    assert content(everything, entry) == data
    assert (entry["deleted"], entry["cut"], entry["missing"]) == (gone, 0, 0)


def test_who_wrote_and_when(everything: Analysis) -> None:
    twice = of(everything, "/root/twice")[-1]
    parent = next(process for process in everything.processes if process["pid"] == twice["pids"][0])
    assert len(set(twice["pids"])) == twice["writers_total"] == 2
    assert [writer["process_name"] for writer in twice["writers"]] == ["writer", "writer"]
    first, second = twice["writers"]
    assert parent["first_seen"] <= first["first"] <= second["first"] <= twice["taken"]
    (by_shell,) = of(everything, "/root/heredoc")
    assert [writer["process_name"] for writer in by_shell["writers"]] == ["dash"]
    assert of(everything, "/root/last")[-1]["why"] == "end of the run"
    assert of(everything, "/root/before")[0]["moved_to"] == "/root/after"


def test_what_never_had_a_name(everything: Analysis, sample: Path) -> None:
    (payload,) = of(everything, "/memfd:payload")
    assert content(everything, payload) == sample.read_bytes()
    assert (payload["why"], payload["deleted"]) == ("executed", True)
    assert "ELF" in payload["type"]
    nameless = [entry for entry in everything.report["dropped"] if entry["size"] == len("stays nameless")]
    assert [content(everything, entry) for entry in nameless] == [b"stays nameless"]


def test_a_large_file_is_cut_and_that_is_said(everything: Analysis) -> None:
    entry = of(everything, "/root/large")[-1]
    expected = b"".join(bytes([ord("A") + number]) * (1 << 20) for number in range(10))
    assert content(everything, entry) == expected
    assert (entry["true_size"], entry["cut"]) == (50 << 20, 40 << 20)
    assert any("larger than the limit" in error for error in everything.own["errors"])


def test_the_unchanged_part_of_a_file_is_read_as_well(everything: Analysis) -> None:
    entry = of(everything, "/usr/bin/perl")[-1]
    data = content(everything, entry)
    assert data.startswith(b"\x7fELF")
    assert data.endswith(b"appended")
    assert entry["missing"] == 0
    assert len(data) > 1 << 20


def test_a_here_document_is_there_as_it_was_read(everything: Analysis) -> None:
    document, _ = everything.report["buffer"]
    assert document["text"] == "echo from the document >/root/heredoc; rm /root/heredoc\n"
    assert (document["size"], document["cut"], document["source"]) == (len(document["text"]), 0, "processes")
    assert document["text"].split(" >")[0] in everything.store.report_html.read_text()


def test_a_script_from_a_pipe_with_a_name_is_there(everything: Analysis) -> None:
    _, script = everything.report["buffer"]
    assert (script["text"], script["source"], script["cut"]) == (": from the pipe\n", "processes", 0)


def test_a_log_is_not_taken_line_by_line(everything: Analysis) -> None:
    versions = of(everything, "/root/log")
    assert content(everything, versions[-1]) == b"line\n" * 30
    assert len(versions) < 10


def test_many_files_and_a_massacre(sample: Path, shared: Malkoha) -> None:
    analysis = shared.analyze(sample, "--arguments", "many")
    found = [entry for entry in analysis.report["dropped"] if entry["filepath"].startswith("/root/many/")]
    assert len(found) == 1000
    for entry in found[:20]:
        assert content(analysis, entry).decode() == entry["name"]
    (refusal,) = [error for error in analysis.own["errors"] if "were not taken" in error]
    assert refusal.startswith("files: 2001 versions"), "the last of them is the one that was open"


def test_memory_of_what_lives_and_of_the_machine(shared: Malkoha, tmp_path: Path) -> None:
    source = (
        "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
        "int main(void) { char *text = malloc(100); int i; FILE *f; if (!fork()) _exit(0);\n"
        'f = fopen("/root/kept-open", "w");\n'
        'for (i = 0; i < 6; i++) text[i] = "pirect"[i] - 1; fputs("still open", f); fflush(f); pause(); }\n'
    )
    sample = compiled(source, tmp_path / "sleeper")
    analysis = shared.analyze(sample, "--memory", "--timeout", "3")
    assert analysis.ended == "timeout"
    (process,) = analysis.report["procmemory"]
    assert process["process_name"] == "sleeper"
    (heap,) = [region for region in process["regions"] if region["path"] == "[heap]"]
    data = analysis.store.root.joinpath(process["file"]).read_bytes()
    hidden = bytes(byte - 1 for byte in b"pirect")
    assert hidden in data[heap["offset"] : heap["offset"] + heap["size"]], "made at run time, not in the file"
    assert hidden not in sample.read_bytes()
    assert analysis.report["memory"]["size"] == analysis.store.machine_memory.stat().st_size
    assert analysis.report["memory"]["ended_before"] == 1
    assert analysis.report["memory"]["used"] < analysis.report["memory"]["size"]
    assert hidden in analysis.store.machine_memory.read_bytes()
    (kept,) = of(analysis, "/root/kept-open")
    assert (content(analysis, kept), kept["why"]) == (b"still open", "idle")
