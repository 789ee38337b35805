"""From the files of one analysis folder to its report: parse, process, signatures, report.

In: task.json, run.json, the sample, and trace/records.bin or trace/all.stap. Out: events.parquet, report.json and what
the other reporters make. It can be run again at any time, in another process or years later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import malkoha
from malkoha.config import Settings
from malkoha.errors import ProcessingError
from malkoha.model.behavior import Behavior
from malkoha.model.files import Buffer, MachineMemory, ProcessMemory, Target
from malkoha.model.report import (
    Chain,
    Debug,
    Info,
    MachineFacts,
    MachineInfo,
    NetworkFacts,
    Output,
    Own,
    Report,
    TraceInfo,
)
from malkoha.model.task import Run, Task
from malkoha.model.traffic import Network
from malkoha.processing import runner as processing
from malkoha.processing.behavior import Found
from malkoha.processing.dropped import DroppedFiles
from malkoha.processing.yara import cuckoo
from malkoha.progress import SILENT, Progress
from malkoha.reporting.base import Reporter
from malkoha.reporting.html_report import HtmlReporter
from malkoha.reporting.json_report import JsonReporter
from malkoha.signatures import runner as signatures
from malkoha.signatures.verdict import verdict
from malkoha.store import Store
from malkoha.trace import stap
from malkoha.trace.decode import Decoder, Reading
from malkoha.trace.store import Trace, WriteStats, write_batches

if TYPE_CHECKING:
    import pyarrow as pa

REPORTERS: tuple[type[Reporter], ...] = (HtmlReporter,)
"""The forms of the report besides report.json."""
STATIC = ("elf", "packer", "capa", "archive", "office", "pdf", "script", "indicators")
"""Modules whose sections are keys of ``static``."""

log = logging.getLogger(__name__)


def process(store: Store, settings: Settings, progress: Progress = SILENT) -> dict[str, Any]:
    """Make the report of one analysis from its folder, write it in every form, and return it as plain values.

    Raises ProcessingError when task.json or run.json cannot be read, TraceError when the trace cannot, ReportError when
    the report cannot be written; everything else that fails is named in ``malkoha.errors``.
    """
    del settings
    report = make(store, progress)
    write_all(report, store, progress)
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


def make(store: Store, progress: Progress = SILENT) -> Report:
    """Parse, process and judge; the report is not written yet."""
    begin = time.monotonic()
    task, run = _facts(store)
    progress.step("Parsing the trace")
    parse(store, progress, text=run.engine == "kprobe")
    trace = Trace(store.events)
    progress.step("Processing")
    sections, errors = processing.run(store, task, run)
    found = sections.pop("behavior", None) or Found(Behavior(), {})
    sections["behavior"] = found.section
    progress.step("Judging")
    matches, failed = signatures.run(trace, sections)
    report = assemble(task, run, trace, sections)
    report.malkoha.chain = chain(store)
    _mark_rules(report)
    report.malkoha.omitted = found.omitted
    report.malkoha.summary_omitted = found.summary_omitted
    report.malkoha.noise = found.noise
    if isinstance(files := sections.get("dropped"), DroppedFiles):
        report.malkoha.omitted |= files.omitted
        errors += files.remarks
    report.signatures = matches
    report.malkoha.verdict = verdict(matches)
    report.info.score = report.malkoha.verdict.score
    report.malkoha.errors = [*run.errors, *trace.stats.remarks, *errors, *failed]
    spent = round(time.monotonic() - begin, 3)
    report.malkoha.timings = msgspec.structs.replace(
        run.timings, process_s=spent, total_s=_sum(run.timings.total_s, spent)
    )
    return report


def write_all(
    report: Report, store: Store, progress: Progress = SILENT, reporters: Sequence[type[Reporter]] = REPORTERS,
    *, again: bool = False,
) -> None:  # fmt: skip
    """Write the report in every form; one that fails is named in report.json, which comes last.

    One that is written ``again`` keeps its times.

    Raises ReportError when report.json itself cannot be written.
    """
    begin = time.monotonic()
    progress.step("Reporting")
    for reporter in reporters:
        try:
            reporter().write(report, store)
        except Exception as error:  # a form that fails must not take report.json with it
            log.exception("reporter %s failed", reporter.name)
            report.malkoha.errors.append(f"reporter {reporter.name} failed: {type(error).__name__}: {error}"[:1000])
    if not again:
        timings = report.malkoha.timings
        timings.report_s = round(time.monotonic() - begin, 3)
        timings.total_s = _sum(timings.total_s, timings.report_s)
    JsonReporter().write(report, store)


def _sum(first: float | None, second: float) -> float | None:
    return None if first is None else round(first + second, 3)


def parse(store: Store, progress: Progress = SILENT, *, text: bool = False) -> WriteStats:
    """Make events.parquet from the trace of whichever engine; a folder without a trace gives one without events.

    With ``text`` the lines among the records (the kprobe engine's) are also written to trace/all.stap.
    """
    if store.records.exists() and store.records.stat().st_size:
        decoder = Decoder(store.records)
        found = _keeping(decoder.batches(), store.stap) if text else decoder.batches()
        return write_batches(_counted(found, progress), store.events, lambda: _remarks(decoder.reading))
    source = stap.batches(store.stap) if store.stap.exists() else iter(())
    return write_batches(_counted(source, progress), store.events)


def _keeping(source: Iterator[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Pass events on and write the lines of those that were text; nothing in a line can end it early."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for batch in source:
            for line in batch.column("raw").drop_null().to_pylist():
                file.write(line.rstrip("\n").replace("\n", "_") + "\n")
            yield batch
    partial.replace(path)


def _remarks(reading: Reading) -> list[str]:
    """Say what was wrong with the records of a trace."""
    said = (
        (reading.unread_bytes, "bytes at the end of the trace hold no whole record"),
        (reading.bad_bytes, "bytes within records should hold memory of the sample, but make no sense"),
        (reading.orphans, "calls returned whose beginning is not in the trace"),
        (reading.bad_lines, "lines of the trace were not understood; they are kept as they are"),
    )
    return [f"trace: {number} {words}" for number, words in said if number]


def _counted(source: Iterator[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
    """Tell how far reading has come."""
    number = 0
    for batch in source:
        number += len(batch)
        progress.advance(len(batch), f"{number:,} events")
        yield batch


def _facts(store: Store) -> tuple[Task, Run]:
    try:
        task = msgspec.json.decode(store.task.read_bytes(), type=Task)
        run = msgspec.json.decode(store.run.read_bytes(), type=Run)
    except OSError as error:
        raise ProcessingError(
            f"cannot read {error.filename or store.root}",
            error.strerror or str(error),
            "the analysis did not run to its end",
        ) from error
    except msgspec.MsgspecError as error:
        raise ProcessingError("task.json or run.json is damaged", str(error)) from error
    return task, run


def chain(store: Store) -> Chain:
    """Read what is kept of an analysis's chain; an empty one when there is none, or none that makes sense."""
    try:
        return msgspec.json.decode(store.chain.read_bytes(), type=Chain)
    except (OSError, msgspec.MsgspecError):
        return Chain()


def assemble(task: Task, run: Run, trace: Trace, sections: dict[str, Any]) -> Report:
    """Put the sections into the report; a section whose module failed keeps its empty shape."""
    target = sections.get("target")
    debug = sections.get("debug")
    output = sections.get("output")
    return Report(
        info=_info(task, run),
        target=target if isinstance(target, Target) else Target(category=task.category),
        static={name: sections[name] for name in STATIC if sections.get(name)},
        strings=msgspec.convert(sections.get("strings", []), list[str]),
        behavior=sections["behavior"],
        network=network if isinstance(network := sections.get("network"), Network) else Network(),
        dropped=found.entries if isinstance(found := sections.get("dropped"), DroppedFiles) else [],
        buffer=msgspec.convert(sections.get("buffer", []), list[Buffer]),
        procmemory=msgspec.convert(sections.get("procmemory", []), list[ProcessMemory]),
        memory=memory if isinstance(memory := sections.get("memory"), MachineMemory) else MachineMemory(),
        screenshots=msgspec.convert(sections.get("screenshots", []), list[dict[str, Any]]),
        suricata=sections.get("suricata") or {},
        debug=debug if isinstance(debug, Debug) else Debug(errors=list(run.errors)),
        malkoha=Own(
            version=malkoha.__version__,
            trace=TraceInfo(
                engine=run.engine,
                events=trace.count(),
                lost=run.lost,
                bytes=run.bytes,
                ended=run.ended,
                indirect=sum(1 for process in trace.processes if process.cause is not None),
                unexercised=run.unexercised,
                not_understood=trace.stats.unknown,
            ),
            timings=run.timings,
            machine=MachineFacts(image=run.image, accelerator=run.accelerator, architecture=run.architecture),
            verdict=verdict([]),
            command=run.command,
            exit_status=run.exit_status,
            output=output if isinstance(output, Output) else Output(),
            network=NetworkFacts(
                asked=task.options.network,
                mode=run.network.mode,
                way=run.network.way,
                egress=run.network.egress,
                remarks=run.network.remarks,
            ),
            yara=sections.get("yara") or {},
            sigma=sections.get("sigma") or {},
            processes_total=sum(1 for process in trace.processes if not process.launcher),
            calls_total=trace.stats.calls,
            tampering=sections.get("tampering") or [],
        ),
    )


def _mark_rules(report: Report) -> None:
    """Put the YARA rules that match the sample where Cuckoo has them."""
    if report.target.file is not None:
        report.target.file.yara = cuckoo(report.malkoha.yara.get("matches", []), "sample", "sample")


def _stamp(moment: datetime | None, default: datetime) -> float:
    return (moment or default).timestamp()


def _info(task: Task, run: Run) -> Info:
    options = dict(task.options.extra)
    if task.options.arguments:
        options["arguments"] = task.options.arguments
    started, ended = _stamp(task.started_at, run.started_at), _stamp(task.completed_at, run.ended_at)
    return Info(
        version=malkoha.__version__,
        added=task.added_at.timestamp(),
        started=started,
        ended=max(started, ended),
        duration=round(max(0.0, ended - started), 3),
        id=task.id,
        category=task.category,
        custom=task.custom,
        owner=task.owner,
        machine=MachineInfo(
            name=run.machine,
            label=run.machine,
            started_on=run.started_at.isoformat(),
            shutdown_on=run.ended_at.isoformat(),
        ),
        package=run.package,
        options=",".join(f"{name}={value}" for name, value in options.items()),
        route=run.network.mode,
    )
