"""Analyses for tests of the pages: a task with its folder, as if it had been run and reported. No machine is needed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from malkoha import submit
from malkoha.catalogue import Catalogue
from malkoha.model.event import Event
from malkoha.model.task import Options, Sample, Status, Task
from malkoha.tasks import Tasks
from malkoha.trace import store as events
from tests.reports import busy

SCRIPT = b"#!/bin/sh\necho hello\n"


def task(number: int, name: str = "a.sh", **fields: Any) -> Task:
    """Make a task as it was handed in."""
    sample = Sample(
        name=name.encode("utf-8", "surrogateescape"), size=len(SCRIPT), sha256=hashlib.sha256(SCRIPT).hexdigest(),
        type="POSIX shell script", md5=hashlib.md5(SCRIPT).hexdigest(),
    )  # fmt: skip
    facts: dict[str, Any] = {"id": number, "target": f"/x/{name}", "sample": sample, "options": Options()}
    return Task(**{**facts, "added_at": datetime(2026, 6, 1, 12, 0, number % 60, tzinfo=UTC), **fields})


def queued(tasks: Tasks, number: int, name: str = "a.sh", **fields: Any) -> Task:
    """Put a task into the table, with its folder and its sample."""
    made = task(number, name, **fields)
    store = tasks.home.analysis(number).create()
    store.sample.write_bytes(SCRIPT)
    submit.save(made, store)
    return tasks.add(made)


def reported(
    tasks: Tasks, number: int, report: dict[str, Any], name: str = "a.sh", *, parquet: bool = True, **fields: Any
) -> Task:
    """Put a task into the table that has a report and, with ``parquet``, the events that the report tells of."""
    made = queued(tasks, number, name, status=Status.REPORTED, **fields)
    store = tasks.home.analysis(number)
    store.report_json.write_bytes(msgspec.json.encode(report))
    store.report_html.write_text("<html>")
    if parquet:
        events.write(trace(report), store.events)
    Catalogue(tasks).record(number, store)
    return made


def dropped(tasks: Tasks, number: int, content: bytes) -> str:
    """Put a file that was taken from the guest into an analysis; return its name."""
    store = tasks.home.analysis(number)
    store.dropped.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(content).hexdigest()
    (store.dropped / name).write_bytes(content)
    return name


def trace(report: dict[str, Any]) -> list[Event]:
    """Make events of the calls in a report; the launcher, whose key is 0, starts each process that has no parent."""
    found: list[Event] = []
    for process in report["behavior"]["processes"]:
        begun = int(process["first_seen"] * 1e9)
        facts = {"pid": process["pid"], "tid": process["pid"], "comm": process["process_name"][:15]}
        found.append(
            Event(
                seq=0, kind="fork", time_ns=begun, pid=process["ppid"], tid=process["ppid"],
                args={"child_pid": process["pid"], "child_tid": process["pid"], "thread": False},
            )
        )  # fmt: skip
        argv = process["command_line"].split(" ")
        args = {"filename": argv[0], "exe": process["exe"] or argv[0], "argv": argv, "cwd": "/tmp"}
        found.append(Event(seq=0, kind="exec", time_ns=begun, args=args, ppid=process["ppid"], **facts))
        found += [_event(call, facts) for call in process["calls"]]
        if process["ended"]:
            code = {"code": process["exit_code"] or 0, "signal": process["exit_signal"] or 0, "group": True}
            found.append(Event(seq=0, kind="exit", time_ns=int(process["ended"] * 1e9), args=code, **facts))
    found.sort(key=lambda event: event.time_ns)
    return [msgspec.structs.replace(event, seq=number) for number, event in enumerate(found, 1)]


def _event(call: dict[str, Any], facts: dict[str, Any]) -> Event:
    names = call["argument_names"]
    values = call["arguments"].values()
    args = {names[at] if at < len(names) else f"p{at}": value for at, value in enumerate(values)}
    return Event(
        seq=0, kind="syscall", time_ns=int(call["time"] * 1e9), duration_ns=12_000, api=call["api"], args=args,
        ret_text=call["return_value"], errno=call["status"], abi="x86-64", **facts,
    )  # fmt: skip


def rich(content: bytes = b"") -> dict[str, Any]:
    """Give a report that has something in every part; ``content`` is that of the file that the sample wrote."""
    report = busy()
    when = report["behavior"]["processes"][1]["first_seen"]
    cause = {"pid": 612, "key": 2, "process_name": "update.bin", "api": "connect", "seq": 9, "cid": 3, "note": ""}
    flow = {"src": "10.20.0.2", "sport": 40000, "dst": "198.51.100.7", "dport": 80, "time": when, "sent": 80,
            "received": 4000, "answered": True, "cause": cause}  # fmt: skip
    report["network"] |= {
        "mode": "sim", "way": "namespace", "packets": 21, "hosts": ["198.51.100.7"], "tcp": [flow],
        "domains": [{"domain": "c2.example", "ip": "198.51.100.7"}],
        "dns": [{"request": "c2.example", "type": "A", "answers": [{"data": "198.51.100.7"}], "cause": cause}],
        "http": [{"method": "GET", "uri": "http://c2.example/p", "host": "c2.example", "status": 200, "time": when}],
        "findings": [{"kind": "beacon", "target": "c2.example", "count": 4, "description": "asks every 2 s"}],
        "sessions": [{"service": "http", "dst": "198.51.100.7", "dport": 80, "transport": "tcp", "cause": cause}],
    }  # fmt: skip
    writer = {"pid": 612, "key": 2, "process_name": "update.bin", "first": when, "last": when}
    report["dropped"] = [
        {"name": "payload", "filepath": "/tmp/.x/payload", "size": len(content), "true_size": len(content),
         "sha256": hashlib.sha256(content).hexdigest(), "type": "POSIX shell script", "writers": [writer],
         "writers_total": 1, "taken": when, "why": "closed", "version": 2, "deleted": True, "preview": "x"}
    ]  # fmt: skip
    report["buffer"] = [{"pid": 613, "key": 3, "process_name": "sh", "first": when, "size": 4, "text": "id\n", "cut": 0,
                         "source": "processes", "path": "", "source_pids": [612]}]  # fmt: skip
    return report
