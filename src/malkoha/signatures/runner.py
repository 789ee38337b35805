"""Run all signatures in one scan of the trace; one that fails is stopped and named, and takes nothing with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from malkoha.model.process import Process
from malkoha.model.report import Mark, Match
from malkoha.processing.behavior import call_of
from malkoha.signatures import (
    command_and_control,
    credential_access,
    network_behaviour,
    persistence,
    privilege_escalation,
    rules_matched,
    stealth,
)
from malkoha.signatures.base import Evidence, Scene, Signature
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Tables
from malkoha.trace.store import Row, Trace

SIGNATURES: tuple[type[Signature], ...] = (
    *rules_matched.SIGNATURES,
    *command_and_control.SIGNATURES,
    *credential_access.SIGNATURES,
    *network_behaviour.SIGNATURES,
    *persistence.SIGNATURES,
    *privilege_escalation.SIGNATURES,
    *stealth.SIGNATURES,
)
MARKS = 50
BUDGET_S = 20.0
"""Time that one signature may use in all."""

log = logging.getLogger(__name__)


class _Running:
    """One signature at work."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.marks: list[Mark] = []
        self.seen: set[tuple[int, str, str]] = set()
        self.count = 0
        self.spent_s = 0.0

    def add(self, evidence: Evidence, row: Row | None) -> None:
        self.count += 1
        where = row.process if row else -1
        if len(self.marks) >= MARKS:
            return
        if (where, evidence.category, evidence.ioc) not in self.seen:
            self.seen.add((where, evidence.category, evidence.ioc))
            pid = row.event.pid if row else None
            self.marks.append(
                Mark(
                    type="ioc",
                    pid=pid,
                    key=row.process if row else None,
                    category=evidence.category,
                    ioc=evidence.ioc,
                    description=evidence.description or None,
                )
            )
        if row is not None and row.event.kind == "syscall" and len(self.marks) < MARKS:
            event = row.event
            self.marks.append(Mark(type="call", pid=event.pid, key=row.process, cid=row.index, call=call_of(event)))

    def match(self) -> Match | None:
        signature = self.signature
        if not self.count:
            return None
        return Match(
            name=signature.name,
            description=signature.description,
            severity=signature.severity,
            ttp=dict(signature.ttps),
            families=list(signature.families),
            references=list(signature.references),
            marks=self.marks,
            markcount=self.count,
        )


def run(
    trace: Trace, sections: Mapping[str, Any], signatures: Sequence[type[Signature]] = SIGNATURES
) -> tuple[list[Match], list[str]]:
    """Give the matches, strongest first, and one line for each signature that failed."""
    wanted = {api for signature in signatures for api in signature.syscalls} | descriptors.APIS
    rows = trace.rows(wanted, ("syscall", "fork", "exec"))
    return judge(rows, trace.processes, sections, signatures)


def judge(
    rows: Iterable[Row],
    processes: Sequence[Process],
    sections: Mapping[str, Any],
    signatures: Sequence[type[Signature]] = SIGNATURES,
) -> tuple[list[Match], list[str]]:
    """Judge rows in order of the trace; the launcher's calls and its set-up only advance the descriptor tables."""
    tables, by_key = Tables(processes), {process.key: process for process in processes}
    scene = Scene(tables, by_key)
    errors: list[str] = []
    running = [_Running(signature()) for signature in signatures]
    listeners: dict[str, list[_Running]] = {}
    for one in running:
        for api in one.signature.syscalls:
            listeners.setdefault(api, []).append(one)
    for row in rows:
        event = row.event
        scene.key = row.process
        process = by_key.get(row.process)
        hidden = process is not None and (process.launcher or (row.index or 0) < process.setup_calls)
        heard = None if hidden else listeners.get(event.api if event.kind == "syscall" else event.kind)
        for one in heard or ():
            if not _ask(one, row, scene, errors):
                heard = [other for other in heard or () if other is not one]
                _silence(one, listeners)
        tables.feed(row.process, event)
    matches = []
    for one in running:
        try:
            for evidence in one.signature.on_end(sections):
                one.add(evidence, None)
        except Exception as error:  # noqa: BLE001 - a broken rule must not take the others with it
            _failed(one, error, errors)
        match = one.match()
        if match is not None:
            matches.append(match)
    return sorted(matches, key=lambda match: (-match.severity, match.name)), errors


def _ask(one: _Running, row: Row, scene: Scene, errors: list[str]) -> bool:
    """Give one event to a signature; tell whether it may go on."""
    begin = time.perf_counter()
    try:
        evidence = one.signature.on_event(row.event, scene)
    except Exception as error:  # noqa: BLE001 - a broken rule must not take the others with it
        _failed(one, error, errors)
        return False
    if evidence is not None:
        one.add(evidence, row)
    one.spent_s += time.perf_counter() - begin
    if one.spent_s > BUDGET_S:
        errors.append(f"signature {one.signature.name} was stopped: it took more than {BUDGET_S:g} s")
        return False
    return True


def _silence(one: _Running, listeners: dict[str, list[_Running]]) -> None:
    for api, ones in listeners.items():
        listeners[api] = [other for other in ones if other is not one]


def _failed(one: _Running, error: Exception, errors: list[str]) -> None:
    log.error("signature %s failed", one.signature.name, exc_info=error)
    errors.append(f"signature {one.signature.name} failed: {type(error).__name__}: {error}"[:1000])
