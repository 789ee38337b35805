"""From a folder to report.json, again and again, and what happens when parts are missing."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from malkoha import pipeline
from malkoha.config import Settings
from malkoha.errors import ProcessingError
from malkoha.model.report import Report
from malkoha.reporting import json_report
from malkoha.reporting.base import Reporter
from malkoha.signatures import runner
from malkoha.store import Store
from malkoha.trace import stap, store
from tests.records import Recording, blob
from tests.unit.processing.folder import analysis
from tests.unit.signatures.test_runner import QUICK, Loops, Opens, Raises

HELLO = Path(__file__).parents[1] / "data" / "traces" / "helloworld.stap"
HOSTILE = Path(__file__).parents[1] / "data" / "traces" / "hostile.stap"
SCHEMA = msgspec.json.decode((Path(__file__).parents[2] / "docs" / "report.schema.json").read_bytes())
CUCKOO = [
    "info", "metadata", "target", "static", "strings", "behavior", "network", "dropped", "buffer", "extracted",
    "procmemory", "memory", "screenshots", "signatures", "debug", "virustotal", "suricata", "misp",
]  # fmt: skip


def report_of(store: Store) -> dict[str, Any]:
    returned = pipeline.process(store, Settings())
    written: dict[str, Any] = msgspec.json.decode(store.report_json.read_bytes())
    assert returned == written
    jsonschema.validate(written, SCHEMA)
    return written


def test_helloworld(tmp_path: Path) -> None:
    folder = analysis(tmp_path, log=HELLO).store
    folder.stdout.write_bytes(b"hello world!\n")
    report = report_of(folder)
    assert list(report) == [*CUCKOO, "malkoha"]
    assert [process["process_name"] for process in report["behavior"]["processes"]] == ["bash", "cat", "ping"]
    assert report["behavior"]["summary"]["resolves_host"] == ["www.360.com"]
    own = report["malkoha"]
    assert own["trace"] == {
        "engine": "kprobe", "events": 36, "lost": 0, "bytes": 1234, "ended": "all processes gone", "indirect": 0,
        "unexercised": [], "not_understood": 0,
    }  # fmt: skip
    why = ["discovers_accounts", "runs_shell_script"]  # it shows /etc/passwd
    assert own["verdict"] == {"score": 1.0, "level": "clean", "why": why}
    assert (own["output"]["stdout"], own["errors"]) == ("hello world!\n", ["the agent was slow"])
    assert (own["processes_total"], own["calls_total"], own["exit_status"]) == (3, 36, 512)
    assert own["timings"]["process_s"] > 0
    assert own["timings"]["report_s"] is not None
    assert own["timings"]["total_s"] > 3.0
    assert (report["info"]["id"], report["info"]["duration"], report["info"]["options"]) == (1, 3.0, "arguments=-v")
    assert report["target"]["file"]["sha256"] == report["target"]["file"]["sha256"].lower()


def test_a_sample_that_does_much(tmp_path: Path) -> None:
    log = tmp_path / "log"
    calls = [
        'openat(AT_FDCWD, "/etc/ld.so.preload", O_WRONLY|O_CREAT, 0644) = 3',
        'openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = 4',
    ]
    log.write_text("".join(f"Mon Nov 23 21:00:00 2026.00000{i} x@1[5] {call}\n" for i, call in enumerate(calls)))
    report = report_of(analysis(tmp_path, log=log).store)
    assert [match["name"] for match in report["signatures"]] == ["persistence_ld_so_preload", "reads_password_hashes"]
    assert report["signatures"][0]["ttp"] == {
        "T1014": "Rootkit",
        "T1574.006": "Hijack Execution Flow: Dynamic Linker Hijacking",
    }
    ioc, call = report["signatures"][0]["marks"]
    assert (ioc["type"], ioc["ioc"], call["call"]["api"], call["cid"]) == ("ioc", "/etc/ld.so.preload", "openat", 0)
    assert report["malkoha"]["verdict"]["level"] == "malicious"
    assert report["info"]["score"] == report["malkoha"]["verdict"]["score"] == 9.1


def test_a_broken_signature_is_named_in_the_report_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = partial(runner.run, signatures=[Raises, Loops, Opens], limits=QUICK)
    monkeypatch.setattr(runner, "run", broken)
    report = report_of(analysis(tmp_path, log=HELLO).store)
    assert [match["name"] for match in report["signatures"]] == ["opens"]
    assert [line for line in report["malkoha"]["errors"] if line.startswith("signature")] == [
        "signature raises failed: ValueError: broken",
        "signature loops was stopped: it took more than 0.2 s for one event",
    ]
    assert report["malkoha"]["verdict"]["why"] == ["opens"]


def test_again_from_disk_gives_the_same(tmp_path: Path) -> None:
    folder = analysis(tmp_path, log=HELLO).store
    first = report_of(folder)
    moved = tmp_path / "elsewhere"
    shutil.move(folder.root, moved)
    second = report_of(Store(moved))
    for report in (first, second):
        report["malkoha"].pop("timings")
    assert first == second


def hello_records() -> Recording:
    """What the tracepoint engine writes of `bash x.sh` that runs cat."""
    at, path = 0xFFFFFFFFFFFFFF9C, 0x1000
    log = Recording(pid=50, comm=b"agent").fork(100)
    log.pid = 100
    log.call("setsid", (), 100).enter("execve", (path,), blob(0, b"/root/x.sh"))
    log.comm = b"bash"
    log.exec(b"/usr/bin/bash", b"/bin/bash", b"/root/x.sh").exit("execve", 0)
    log.call("openat", (at, path, 0), 3, blob(1, b"x.sh")).call("read", (3, path, 80), 80)
    log.enter("clone", (0x1200011,)).fork(101).exit("clone", 101)
    log.exec(b"/usr/bin/cat", b"cat", b"/etc/passwd", pid=101)
    log.enter("openat", (at, path, 0), blob(1, b"/etc/passwd"), pid=101, tid=101).exit("openat", 3, pid=101, tid=101)
    log.enter("read", (3, path, 9), pid=101, tid=101).exit("read", 9, pid=101, tid=101)
    return log.task_exit(0, pid=101, tid=101).enter("exit_group").task_exit(2 << 8)


def test_records_of_the_tracepoint_engine(tmp_path: Path) -> None:
    folder = analysis(tmp_path).store
    hello_records().write(folder.records)
    report = report_of(folder)
    (bash,) = report["behavior"]["processtree"]
    assert (bash["ppid"], bash["process_name"], bash["command_line"]) == (50, "bash", "/bin/bash /root/x.sh")
    assert [child["command_line"] for child in bash["children"]] == ["cat /etc/passwd"]
    first, cat = report["behavior"]["processes"]
    assert [call["api"] for call in first["calls"]] == ["execve", "openat", "read", "clone", "exit_group"]
    assert (first["names"], first["exe"], first["exit_code"], cat["exit_code"]) == (["bash"], "/usr/bin/bash", 2, 0)
    assert report["behavior"]["summary"]["file_read"] == ["/root/x.sh", "/etc/passwd"]
    assert report["behavior"]["summary"]["command_line"] == ["/bin/bash /root/x.sh", "cat /etc/passwd"]
    assert report["malkoha"]["omitted"] == {"launcher_calls": 1}
    assert report["malkoha"]["errors"] == ["the agent was slow"]


def test_records_of_the_kprobe_engine_leave_their_lines(tmp_path: Path) -> None:
    folder = analysis(tmp_path).store
    line = b"Mon Nov 23 21:00:00 2026.000001 %s@1[100] %s\n"
    log = Recording(pid=50).fork(100)
    log.pid = 100
    log.text(line % (b"agent", b'execve("x", ["x", "cut)')).exec(b"/tmp/x", b"x", b"whole", b"line")
    log.text(line % (b"a\nb", b'openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = 3')).text(b"torn li").task_exit()
    log.write(folder.records)
    report = report_of(folder)
    lines = folder.stap.read_text().splitlines()
    assert len(lines) == 3
    assert lines[1].endswith('a_b@1[100] openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = 3')
    assert report["behavior"]["summary"]["command_line"] == ["x whole line"]
    assert [match["name"] for match in report["signatures"]] == ["reads_password_hashes"]
    assert report["malkoha"]["trace"]["not_understood"] == 1
    assert "trace: 1 lines of the trace were not understood; they are kept as they are" in report["malkoha"]["errors"]


def test_a_hostile_log(tmp_path: Path) -> None:
    report = report_of(analysis(tmp_path, log=HOSTILE).store)
    assert report["malkoha"]["trace"]["not_understood"] == 4
    assert "é" in "".join(report["behavior"]["processes"][2]["names"])


def test_no_trace_and_no_sample(tmp_path: Path) -> None:
    report = report_of(analysis(tmp_path, sample=None).store)
    assert report["behavior"]["processes"] == []
    assert report["target"]["category"] == "file"
    assert report["malkoha"]["trace"]["events"] == 0


def test_a_broken_module_is_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(trace: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("malkoha.processing.behavior.behavior", broken)
    report = report_of(analysis(tmp_path, log=HELLO).store)
    assert report["malkoha"]["errors"][-1] == "processing module behavior failed: RuntimeError: boom"
    assert report["behavior"]["processes"] == []
    assert report["target"]["file"]["size"] == 10


class Broken(Reporter):
    name = "broken"

    def write(self, report: Report, store: Store) -> Path:
        raise ValueError("no template")


def test_a_broken_reporter_leaves_report_json(tmp_path: Path) -> None:
    folder = analysis(tmp_path, log=HELLO).store
    pipeline.write_all(pipeline.make(folder), folder, reporters=[Broken])
    report = json_report.read(folder.report_json)
    assert report.malkoha.errors[-1] == "reporter broken failed: ValueError: no template"


def test_what_the_reader_of_the_trace_remarks(tmp_path: Path) -> None:
    folder = analysis(tmp_path, log=HELLO).store
    store.write(
        stap.parse(HELLO), folder.events, lambda: ["trace: 7 bytes at the end of the trace hold no whole record"]
    )
    folder.records.write_bytes(b"\x01\x02\x03\x04\x05\x06\x07")
    report = report_of(folder)
    assert report["malkoha"]["errors"] == [
        "the agent was slow",
        "trace: 7 bytes at the end of the trace hold no whole record",
    ]
    assert report["behavior"]["processes"] == []


def test_a_run_that_did_not_end(tmp_path: Path) -> None:
    folder = analysis(tmp_path).store
    folder.run.write_text("{}")
    with pytest.raises(ProcessingError, match="damaged"):
        pipeline.process(folder, Settings())
    folder.run.unlink()
    with pytest.raises(ProcessingError, match="did not run to its end"):
        pipeline.process(folder, Settings())
    assert not folder.report_json.exists()


def test_the_schema_in_the_documentation_is_that_of_the_structs() -> None:
    assert msgspec.json.decode(json_report.schema()) == SCHEMA, (
        "run: python -m malkoha.reporting.json_report docs/report.schema.json"
    )


def test_a_report_is_read_back(tmp_path: Path) -> None:
    folder = analysis(tmp_path, log=HELLO).store
    report_of(folder)
    report = json_report.read(folder.report_json)
    assert isinstance(report, Report)
    assert report.behavior.processtree[0].children[1].process_name == "ping"
