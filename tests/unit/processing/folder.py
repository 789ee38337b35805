"""Makes analysis folders for tests."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from malkoha.model.task import Options, Run, Sample, Task, Timings
from malkoha.processing.base import Facts
from malkoha.store import Store


def analysis(
    root: Path, *, sample: bytes | None = b"#!/bin/sh\n", name: bytes = b"x.sh", log: Path | None = None
) -> Facts:
    """Write task.json, run.json, the sample and a text trace; return what processing modules get."""
    store = Store(root / "1").create()
    begin = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
    described = None
    if sample is not None:
        store.sample.write_bytes(sample)
        digest = hashlib.sha256(sample).hexdigest()
        described = Sample(name=name, size=len(sample), sha256=digest, type="POSIX shell script")
    task = Task(id=1, target="x.sh", sample=described, options=Options(arguments="-v"), added_at=begin)
    run = Run(
        engine="kprobe",
        ended="all processes gone",
        lost=0,
        bytes=1234,
        image="default-1",
        accelerator="tcg",
        architecture="x86-64",
        machine="malkoha-1",
        package="script",
        command=["/bin/bash", "/root/x.sh"],
        exit_status=512,
        started_at=begin,
        ended_at=begin + timedelta(seconds=3),
        timings=Timings(run_s=2.0, total_s=3.0),
        errors=["the agent was slow"],
    )
    store.task.write_bytes(msgspec.json.encode(task))
    store.run.write_bytes(msgspec.json.encode(run))
    if log is not None:
        store.stap.write_bytes(log.read_bytes())
    return Facts(store, task, run)
