"""Run all signatures over a trace in a process of their own; one that fails is stopped and named, the others go on.

In: the trace and the sections. Out: matches, and one line for each signature that failed. A signature that raises is
caught; one that computes or takes memory without end is interrupted by a timer that counts processor time; one that
hangs where no signal reaches it ends its process, and the rest is judged again without it.
"""

from __future__ import annotations

import importlib
import logging
import mmap
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from malkoha.model.matches import Match
from malkoha.signatures.base import Signature
from malkoha.signatures.catalogue import SIGNATURES
from malkoha.signatures.judging import TEXTS, Judge, Overrun, Running, needles, wanted
from malkoha.signatures.scan import scan
from malkoha.trace.store import Trace

TICK_S = 0.05
GIVEN_UP = 86
"""Exit status of a child whose signature cannot be interrupted."""

log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """What one signature may use."""

    call_s: float = 3.0
    """Processor time for one event, in seconds."""
    total_s: float = 20.0
    """Processor time for the whole trace."""
    memory: int = 1 << 30
    """Bytes that the process may hold when a signature is asked for what it keeps."""
    address_space: int = 6 << 30
    wall_s: float = 900.0
    """Time for the whole judgement, whoever uses it."""


LIMITS = Limits()


class _Order(msgspec.Struct):
    """What the child is told."""

    events: str
    sections: dict[str, Any]
    signatures: list[str]
    limits: Limits


class _Answer(msgspec.Struct):
    matches: list[Match]
    errors: list[str]


def run(
    trace: Trace,
    sections: Mapping[str, Any],
    signatures: Sequence[type[Signature]] = SIGNATURES,
    limits: Limits = LIMITS,
) -> tuple[list[Match], list[str]]:
    """Give the matches, strongest first, and one line for each signature that failed."""
    left, lines = list(signatures), list[str]()
    plain = _plain(sections)
    while left:
        names = [f"{signature.__module__}:{signature.__qualname__}" for signature in left]
        answer, guilty, why = _attempt(_Order(str(trace.path.absolute()), plain, names, limits))
        if answer is not None:
            return answer.matches, [*lines, *answer.errors]
        if guilty is None:
            return [], [*lines, f"the signatures could not be run: {why}"]
        lines.append(f"signature {left[guilty].name} was stopped: {why}")
        del left[guilty]
    return [], lines


def _plain(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Give the sections as plain values, without the listing of calls: the events tell more."""
    plain: dict[str, Any] = msgspec.to_builtins(
        {name: value for name, value in sections.items() if name != "behavior"}, str_keys=True
    )
    behavior = sections.get("behavior")
    if behavior is not None:
        plain["behavior"] = {
            "summary": getattr(behavior, "summary", {}),
            "apistats": getattr(behavior, "apistats", {}),
        }
    return plain


def _attempt(order: _Order) -> tuple[_Answer | None, int | None, str]:
    """Judge in a child: its answer, or the number of the signature that was at work when it ended, and why."""
    shared = os.memfd_create("malkoha-signature")
    os.ftruncate(shared, mmap.PAGESIZE)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "malkoha.signatures.runner", str(shared)],
            input=msgspec.json.encode(order),
            capture_output=True,
            timeout=order.limits.wall_s,
            check=False,
            pass_fds=(shared,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        why = f"its process ended with status {done.returncode}"
        if done.returncode == GIVEN_UP:
            why = "it could not be interrupted"
        elif done.returncode == 0:
            return msgspec.json.decode(done.stdout, type=_Answer), None, ""
        log.error("signatures: %s: %s", why, done.stderr.decode("utf-8", "replace")[-2000:])
    except subprocess.TimeoutExpired:
        why = f"it took more than {order.limits.wall_s:g} s"
    finally:
        number = int.from_bytes(os.pread(shared, 4, 0), "little")
        os.close(shared)
    return None, number - 1 if 0 < number <= len(order.signatures) else None, why


# ---------------------------------------------------------------------------------------------------- the child


class _Watch:
    """Looks, at every tick of processor time, at the signature that is at work."""

    def __init__(self, judge: Judge, limits: Limits) -> None:
        self._judge, self._limits = judge, limits
        self._call = (-1, -1)
        self._ticks = 0
        self._overruns = 0
        self.full = False
        """Whether too much memory is in use, so that the hoarder must be found."""

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._tick)
        signal.setitimer(signal.ITIMER_PROF, TICK_S, TICK_S)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _tick(self, _signal: int, _frame: FrameType | None) -> None:
        self.full = _resident() > self._limits.memory
        one = self._judge.current
        if one is None:
            return
        one.spent_s += TICK_S
        call = (id(one), one.calls)
        self._ticks = self._ticks + 1 if call == self._call else 1
        if call != self._call:
            self._overruns = 0
        self._call = call
        why = self._excess(one)
        if why:
            self._overruns += 1
            if self._overruns > 20:
                os._exit(GIVEN_UP)  # it catches whatever interrupts it
            raise Overrun(why)

    def _excess(self, one: Running) -> str:
        limits = self._limits
        if self._ticks * TICK_S > limits.call_s:
            return f"it took more than {limits.call_s:g} s for one event"
        if one.spent_s > limits.total_s:
            return f"it took more than {limits.total_s:g} s"
        if self.full and self._ticks > 1:
            return f"it took more than {limits.memory >> 20} MiB of memory"
        return ""


def _resident() -> int:
    with open("/proc/self/statm", "rb", buffering=0) as file:  # noqa: PTH123 - in a signal handler, as short as can be
        return int(file.read(64).split()[1]) * mmap.PAGESIZE


def _hoard(value: Any) -> int:
    """Estimate the bytes that a value keeps, going through at most a million containers."""
    total, todo, seen = 0, [value], set[int]()
    while todo and len(seen) < 1_000_000:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        total += sys.getsizeof(item)
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            todo += item
    return total


def _drop_hoarder(judge: Judge, limits: Limits) -> None:
    """Stop the signature that keeps most; what the trace itself takes is not theirs."""
    left = [one for one in judge.listeners.running if not one.stopped]
    sizes = [(_hoard(one.signature.__dict__), position) for position, one in enumerate(left)]
    size, position = max(sizes, default=(0, -1))
    if size > limits.memory // 4:
        judge.drop(left[position], f"it kept more than {limits.memory >> 20} MiB of memory")


def _class(name: str) -> type[Signature]:
    module, _, qualified = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in qualified.split("."):
        found = getattr(found, part)
    assert issubclass(found, Signature)
    return found  # type: ignore[no-any-return]


def _child(shared: int) -> None:
    """Judge as told on standard input; the answer goes to standard output as JSON."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=_Order)
    resource.setrlimit(resource.RLIMIT_AS, (order.limits.address_space,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    trace, signatures = Trace(Path(order.events)), [_class(name) for name in order.signatures]
    board = memoryview(mmap.mmap(shared, mmap.PAGESIZE)).cast("I")
    judge = Judge(trace.processes, signatures, board)
    watch = _Watch(judge, order.limits)
    watch.start()
    for row in scan(trace, wanted(signatures), TEXTS, needles(signatures)):
        judge.feed(row)
        if watch.full:
            watch.full = False
            _drop_hoarder(judge, order.limits)
    answer = _Answer(*judge.finish(order.sections))
    watch.stop()
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    _child(int(sys.argv[1]))


__all__ = ["SIGNATURES", "Limits", "run"]
