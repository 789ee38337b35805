"""Hold events of the tracer against what strace and the program itself say about the same calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from malkoha.model.event import Event
from malkoha.trace import constants
from tests.conformance.known import ALIASES, BARE, NAMES, WITHOUT
from tests.conformance.sameness import same, same_number
from tests.conformance.strace_lines import Changed, Line


@dataclass
class Comparison:
    """What was compared, and what was not equal."""

    events: int = 0
    equal: int = 0
    syscalls: set[tuple[str, str]] = field(default_factory=set)
    """(ABI, name) of every call that was compared."""
    different: list[tuple[str, str, str]] = field(default_factory=list)
    """Reason, our event and the other side's line."""

    def note(self, event: Event, other: str, reasons: Sequence[str]) -> None:
        """Count one event; no reason means that it is equal."""
        self.events += 1
        self.syscalls.add((event.abi, event.api))
        if reasons:
            shown = f"{event.api}({event.args}) = {event.ret} {event.errno}"
            self.different.append(("; ".join(reasons), shown, other))
        else:
            self.equal += 1


def against_strace(
    events: Sequence[Event], raw: Mapping[int, tuple[int, ...]], said: Iterable[Line], found: Comparison
) -> None:
    """Compare the calls of one thread, in order; ``raw`` maps sequence numbers to the words that were passed."""
    lines_ = list(said)
    for event, line in zip(events, lines_, strict=False):
        found.note(event, line.text, differences(event, line, raw[event.seq]))
    for event in events[len(lines_) :]:
        found.note(event, "", ["strace has no such call"])
    for line in lines_[len(events) :]:
        found.events += 1
        found.different.append(("the trace has no such event", "", line.text))


def differences(event: Event, line: Line, raw: tuple[int, ...]) -> list[str]:
    """Tell in what an event differs from strace's line of the same call."""
    reasons = []
    name = line.name.split("#")[0]
    unknown = re.fullmatch(r"syscall_(0x[0-9a-f]+)", name)
    name = f"syscall_{int(unknown[1], 16)}" if unknown else NAMES.get(name, name)
    if event.api != name and not (unknown and event.api == f"syscall_{int(unknown[1], 16) & 0xFFFFFFFF}"):
        reasons.append(f"name {event.api} for {name}")
    if line.errno:
        if event.errno != line.errno:
            reasons.append(f"errno {event.errno} for {line.errno}")
    elif (event.ret is None) != (line.ret is None) or (line.ret is not None and not same_number(event.ret, line.ret)):
        reasons.append(f"return {event.ret} for {line.ret}")
    shown, raw = _arranged(event, raw, len(line.arguments))
    for position, theirs in enumerate(() if event.api in BARE else line.arguments):
        there = theirs
        word: int | None = raw[position] if position < len(raw) else None
        if isinstance(theirs, dict) and len(theirs) == 1 and event.api in ("clone", "mount_setattr"):
            ((key, there),) = theirs.items()
            title = ALIASES.get(key) or str(key)
            ours, word = event.args.get(title), None
        elif position < len(shown):
            title, ours = shown[position]
        else:
            title, ours = f"argument {position}", None
        if event.api == "clone3" and isinstance(there, Changed):
            there = there.before
        if not same(ours, there, word):
            reasons.append(f"{title} {ours} for {there}")
    return reasons


def _arranged(event: Event, raw: tuple[int, ...], count: int) -> tuple[list[tuple[str, Any]], tuple[int, ...]]:
    """Give our arguments in the order in which strace shows ``count`` of them."""
    shown, words = list(event.args.items()), list(raw)
    skip = WITHOUT.get(event.api, "uaddr2" if "BITSET" in str(event.args.get("futex_op")) else "")
    if event.api == "ptrace" and count == 3:
        skip = "addr"
    for position, (name, _) in enumerate(shown):
        if name == skip:
            del shown[position], words[position]
            break
    if event.api == "mmap" and isinstance(event.args.get("args"), dict):
        return list(event.args["args"].items()), ()
    return shown, tuple(words)


@dataclass(frozen=True)
class Said:
    """One call as the program told it (tests/conformance/conform.c)."""

    tid: int
    narrow: bool
    nr: int
    words: tuple[int, ...]
    ret: int


NEVER = 0x7E57
"""Stands for the result of a call that did not return."""


def sayings(output: str) -> list[Said]:
    """Read what a group of calls wrote; lines of other form are its children's output."""
    found = []
    for line in output.splitlines():
        if re.fullmatch(r"[0-9a-f]+(?: [0-9a-f]+){9}", line):
            tid, narrow, nr, *words, ret = (int(word, 16) for word in line.split())
            found.append(Said(tid, bool(narrow), nr, tuple(words), ret))
    return found


def against_program(
    events: Sequence[Event],
    raw: Mapping[int, tuple[int, ...]],
    numbers: Mapping[int, int],
    said: Sequence[Said],
    found: Comparison,
) -> None:
    """Compare one thread's calls with what the program says it did: the same calls stand in the trace, in that order.

    ``raw`` and ``numbers`` map sequence numbers to the words and the number of a record.
    """
    places = iter(events)
    for one in said:
        event = next((event for event in places if _is_call(event, numbers[event.seq], raw[event.seq], one)), None)
        if event is None:
            found.events += 1
            found.different.append(("the trace has no such event", "", str(one)))
            return
        reasons = []
        if one.ret == NEVER:
            if event.ret not in (None, 0):
                reasons.append(f"return {event.ret} of a call that does not return")
        elif event.ret is not None and -516 <= event.ret <= -512 and same_number(one.ret, -4):
            pass  # the kernel's own way to say EINTR
        elif not same_number(event.ret, one.ret):
            reasons.append(f"return {event.ret} for {one.ret}")
        elif event.ret is not None and event.errno != (constants.ERRNOS.get(-event.ret, "") if event.ret < 0 else ""):
            reasons.append(f"errno {event.errno} for {-event.ret}")
        found.note(event, str(one), reasons)


def _is_call(event: Event, number: int, raw: tuple[int, ...], one: Said) -> bool:
    if one.narrow and one.nr in (102, 117):  # by way of socketcall and ipc it is another call
        return event.abi == "i386" and (number == one.nr or event.ret == (one.ret + (1 << 31)) % (1 << 32) - (1 << 31))
    mask = (1 << 32) - 1 if one.narrow else (1 << 64) - 1
    words = tuple(word & mask for word in one.words)
    return (event.abi == "i386") == one.narrow and same_number(number, one.nr) and raw == words
