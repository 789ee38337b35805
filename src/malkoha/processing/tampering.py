"""The section ``tampering``: what the sample did to what watches it, and when.

In: the calls of the trace that reach for the agent, the launcher, the tracer or the kernel under it, and what the host
saw of the tracer. Out: one line each, in order of time. Only what succeeded counts, and a call that did not return: the
machine may have ended in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from malkoha.model.event import Event
from malkoha.model.report import Tampering
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.trace.store import Row, Trace

LIMIT = 200
"""Lines that are kept; the last one says how many there were beyond."""
KILLING = frozenset({"SIGKILL", "SIGSTOP", "SIGTERM", "SIGABRT", "SIGSEGV", "SIGINT", "SIGHUP", "SIGQUIT"})
SWITCHES = re.compile(
    r"/proc/sysrq-trigger|/proc/sys/kernel/(?:ftrace_enabled|kptr_restrict|panic)|/kprobes/enabled|/tracing/|/cgroup\.freeze"
    r"|/dev/(?:vport|virtio-ports/|k?mem\b)|/proc/kcore"
)
_KERNEL = "loaded a kernel module: what the trace says after this cannot be trusted"


class TamperingModule(Processing):
    """List what the sample did against the analysis."""

    name = "tampering"

    def run(self, facts: Facts, earlier: Earlier) -> list[Tampering]:
        del earlier
        trace = Trace(facts.store.events)
        guards = {process.pid: "the launcher" for process in trace.processes if process.launcher}
        if facts.run.agent_pid:
            guards[facts.run.agent_pid] = "the agent"
        hidden = {process.key for process in trace.processes if process.launcher}
        setup = {process.key: process.setup_calls for process in trace.processes}
        finder = Finder(guards)
        for row in trace.rows(finder.apis):
            if row.process not in hidden and (row.index or 0) >= setup.get(row.process, 0):
                finder.feed(row)
        seen = [Tampering(time=one.at, pid=0, key=-1, what=one.what) for one in facts.run.troubles]
        return sorted([*finder.found(), *seen], key=lambda line: line.time)


class Finder:
    """Takes calls one by one."""

    def __init__(self, guards: dict[int, str]) -> None:
        self._guards = guards
        self._found: list[Tampering] = []
        self._beyond = 0
        self._rules: dict[str, Callable[[Event], str]] = {
            **dict.fromkeys(("kill", "tkill", "tgkill"), self._kill),
            **dict.fromkeys(("open", "openat", "openat2", "creat"), _open),
            **dict.fromkeys(("init_module", "finit_module"), _module),
            **dict.fromkeys(("clock_settime", "settimeofday"), _clock),
            **dict.fromkeys(("umount", "umount2"), _unmount),
            "ptrace": self._ptrace,
            "delete_module": lambda event: f"removed the kernel module {_text(event, 'name')}",
            "reboot": _reboot,
            **dict.fromkeys(("mount", "move_mount"), _mount),
        }

    @property
    def apis(self) -> frozenset[str]:
        """The calls that matter."""
        return frozenset(self._rules)

    def feed(self, row: Row) -> None:
        """Take a call; one that failed did nothing."""
        event = row.event
        what = "" if event.errno else self._rules[event.api](event)
        if what and len(self._found) < LIMIT:
            self._found.append(Tampering(time=event.time_ns / 1e9, pid=event.pid, key=row.process, what=what))
        elif what:
            self._beyond += 1

    def found(self) -> list[Tampering]:
        """Give all lines, with one more where some had no room."""
        if not self._beyond:
            return self._found
        last = self._found[-1]
        return [*self._found, Tampering(time=last.time, pid=0, key=-1, what=f"{self._beyond} more such calls")]

    def _kill(self, event: Event) -> str:
        signal = _text(event, "sig")
        victims = {_text(event, name) for name in ("pid", "tid", "tgid") if name in event.args}
        if signal not in KILLING:
            return ""
        if "-1" in victims:
            return f"sent {signal} to every process"
        hit = [name for pid, name in self._guards.items() if str(pid) in victims]
        return f"sent {signal} to {hit[0]}" if hit else ""

    def _ptrace(self, event: Event) -> str:
        words = json.dumps(event.args)
        hit = [name for pid, name in self._guards.items() if re.search(rf'"{pid}"', words)]
        attached = "PTRACE_ATTACH" in words or "PTRACE_SEIZE" in words
        return f"attached to {hit[0]}" if hit and attached else ""


def _text(event: Event, name: str) -> str:
    return str(event.args.get(name, ""))[:200]


def _open(event: Event) -> str:
    path = _text(event, "pathname") or _text(event, "filename")
    writing = event.api == "creat" or re.search("O_WRONLY|O_RDWR", json.dumps(event.args))
    return f"opened {path} for writing" if writing and SWITCHES.search(path) else ""


def _module(event: Event) -> str:
    del event
    return _KERNEL


def _clock(event: Event) -> str:
    del event
    return "set the clock"


def _reboot(event: Event) -> str:
    words = json.dumps(event.args)
    return "" if "CAD_O" in words else "turned the machine off or started it anew"


def _unmount(event: Event) -> str:
    target = _text(event, "target")
    return f"unmounted {target}" if target.startswith(("/sys", "/proc", "/dev")) else ""


def _mount(event: Event) -> str:
    target = _text(event, "target") or _text(event, "to_pathname")
    return f"mounted over {target}" if re.match(r"/(?:proc|sys|dev)(?:/|$)", target) else ""
