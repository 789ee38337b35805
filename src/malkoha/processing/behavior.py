"""The section ``behavior``: processes with their first calls, the tree, statistics, and the summary.

The trace is scanned twice, for the summary and for the calls that are shown; no more than what the report holds is
kept in memory.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from malkoha.model.behavior import Behavior, Call, Generic, IdsInfo, ImageInfo, ProcessInfo, TreeNode
from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.summary import APIS, Summary
from malkoha.trace import stap, syscalls
from malkoha.trace.store import Trace

CALLS_PER_PROCESS = 10_000
CALLS_TOTAL = 50_000
CALLS_BYTES = 30_000_000
"""Bounds on the calls in a report, which keep it under 50 MB; events.parquet has them all."""
PROCESSES = 5_000
STATISTICS = 20_000
"""Process ids with counts of their calls."""
TEXTS_BYTES = 6_000_000
"""Room for command lines and the like of all processes together; what comes after is cut short."""
TEXT, SHORT = 4_096, 128
TREE_DEPTH = 200

_CATEGORIES = {
    "network": "socket connect accept bind listen send recv getpeername getsockname shutdown setsockopt getsockopt",
    "process": """
        fork vfork clone exec exit wait kill tkill tgkill ptrace prctl setsid setpgid getpid getppid gettid pidfd
    """,
    "memory": "mmap mprotect munmap brk mremap madvise msync mlock memfd shm",
    "file": """
        open close read write pread pwrite stat lstat fstat access faccessat unlink rename link symlink readlink mkdir
        rmdir chmod chown fchmod fchown lchown truncate ftruncate getdents lseek llseek dup fcntl pipe ioctl chdir
        getcwd umask mknod utime mount umount statfs statx sendfile copy_file creat fallocate fsync sync flock inotify
        newfstat
    """,
    "signal": "rt_sig sig alarm pause",
    "time": "nanosleep clock_ gettimeofday settimeofday time timer setitimer getitimer adjtimex",
    "system": """
        init_module finit_module delete_module reboot sysinfo uname sethostname bpf perf_event kexec syslog setuid
        setgid setres setre setgroups getuid getgid geteuid getegid getres capset capget keyctl unshare setns
    """,
}


@cache
def category(api: str) -> str:
    """Name the group of a call, by the beginning of its name; ``misc`` when it has none."""
    best, found = "misc", 0
    for name, prefixes in _CATEGORIES.items():
        for prefix in prefixes.split():
            if api.startswith(prefix) and len(prefix) > found:
                best, found = name, len(prefix)
    return best


@cache
def _argument_names(api: str) -> tuple[str, ...]:
    call = syscalls.by_name().get(api)
    return tuple(argument.name for argument in call.arguments) if call else ()


def call_of(event: Event) -> Call:
    """Show one call as Cuckoo does; its line is generated where the trace is not text."""
    names = list(event.args)
    if names and names[0] == "p0":
        known = _argument_names(event.api)
        names = list(known[: len(names)]) if len(known) >= len(names) else []
    return Call(
        seq=event.seq,
        time=event.time_ns / 1e9,
        duration=None if event.duration_ns is None else event.duration_ns / 1e9,
        process_name=event.comm,
        pid=event.pid,
        tid=event.tid,
        instruction_pointer=f"{event.ip:x}",
        api=event.api,
        category=category(event.api),
        arguments={f"p{number}": value for number, value in enumerate(event.args.values())},
        argument_names=names,
        return_value=event.ret_text,
        status=event.errno,
        raw=event.raw if event.raw is not None else stap.write_line(event),
    )


def shares(numbers: dict[int, int], each: int, total: int) -> dict[int, int]:
    """Divide a bound among processes: all get the same, and what one does not need goes to the others."""
    left, result = total, {}
    waiting = sorted(numbers.items(), key=lambda item: item[1])
    for position, (key, number) in enumerate(waiting):
        result[key] = min(number, each, left // (len(waiting) - position))
        left -= result[key]
    return result


def _size(call: Call) -> int:
    """Estimate how many bytes a call takes in the report."""
    return 400 + 2 * len(call.raw) + 2 * len(call.argument_names) * 12


class Found(msgspec.Struct):
    """The section, and what it leaves out -> how much of it."""

    section: Behavior
    omitted: dict[str, int]
    summary_omitted: dict[str, int] = {}
    noise: dict[str, list[Any]] = {}


class BehaviorModule(Processing):
    """Make the section ``behavior`` from events.parquet."""

    name = "behavior"

    def run(self, facts: Facts, earlier: Earlier) -> Found:
        del earlier
        return behavior(Trace(facts.store.events))


def behavior(trace: Trace) -> Found:
    """Make the whole section from one trace."""
    processes = [process for process in trace.processes if not process.launcher]
    shown = processes[:PROCESSES]
    summary = Summary(trace.processes, recorded=trace.stats.recorded)
    for row in trace.rows(APIS, ("syscall", "fork", "exec", "exit", "adopt")):
        summary.feed(row)
    calls = _calls(trace, shown)
    statistics: dict[str, dict[str, int]] = {}
    counted = trace.apistats()
    for process in processes:
        mine = statistics.setdefault(str(process.pid), {}) if len(statistics) < STATISTICS else {}
        for key in (process.key, *process.merged):
            summary.hammered(key, counted.get(key, {}))
            for api, number in counted.get(key, {}).items():
                mine[api] = mine.get(api, 0) + number
    ordered = sorted(shown, key=lambda process: (process.first_seen_ns, process.key))
    texts = _Texts()
    told = [_process(process, calls.get(process.key, []), texts) for process in ordered]
    section = Behavior(
        generic=[_generic(process, summary) for process in ordered],
        processtree=_tree(ordered, texts),
        summary=summary.total(),
        apistats=statistics,
        processes=told,
    )
    omitted = {
        "processes": len(processes) - len(shown),
        "calls": sum(process.calls_total - len(process.calls) for process in section.processes),
        "launcher_calls": sum(
            process.calls if process.launcher else process.setup_calls for process in trace.processes
        ),
        "summary_entries": sum(summary.omitted.values()),
        "texts": texts.cut,
        "images": sum(process.images_total for process in shown) - sum(len(one.images) for one in section.processes),
    }
    return Found(
        section, {name: number for name, number in omitted.items() if number}, summary.omitted, summary.noise()
    )


class _Texts:
    """Cuts texts of processes so that all together stay small."""

    def __init__(self) -> None:
        self.left = TEXTS_BYTES
        self.cut = 0
        """How many were cut."""

    def fit(self, text: str) -> str:
        """Give a text as long as there is room for it."""
        limit = TEXT if self.left > 0 else SHORT
        if len(text) > limit:
            self.cut += 1
            text = text[:limit]
        self.left -= len(text) + 8
        return text


def _calls(trace: Trace, processes: list[Process]) -> dict[int, list[Call]]:
    home = {key: process.key for process in processes for key in (process.key, *process.merged)}
    wanted = shares({p.key: p.calls - p.setup_calls for p in processes}, CALLS_PER_PROCESS, CALLS_TOTAL)
    limits = {
        key: (process.setup_calls, wanted[process.key])
        for process in processes
        for key in (process.key, *process.merged)
        if wanted[process.key]
    }
    found: dict[int, list[Call]] = {}
    left = CALLS_BYTES
    for row in trace.head(limits) if limits else ():
        mine = found.setdefault(home[row.process], [])
        if len(mine) >= wanted[home[row.process]]:
            continue
        call = call_of(row.event)
        left -= _size(call)
        if left < 0:
            break
        mine.append(call)
    return found


def _process(process: Process, calls: list[Call], texts: _Texts) -> ProcessInfo:
    images = process.images if texts.left > 0 else process.images[:1]
    return ProcessInfo(
        pid=process.pid,
        ppid=process.ppid,
        process_name=process.name,
        command_line=texts.fit(process.command_line),
        first_seen=process.first_seen_ns / 1e9,
        calls=calls,
        key=process.key,
        parent=process.parent,
        exe=texts.fit(process.exe),
        tids=process.tids,
        threads=process.threads,
        images=[
            ImageInfo(
                time=image.time_ns / 1e9,
                path=texts.fit(image.path),
                command_line=texts.fit(" ".join(image.argv)),
                cwd=texts.fit(image.cwd),
            )
            for image in images
        ],
        names=[comm.comm for comm in process.comms],
        ids=[
            IdsInfo(time=ids.time_ns / 1e9, uid=ids.uid, euid=ids.euid, gid=ids.gid, egid=ids.egid)
            for ids in process.ids
        ],
        ended=None if process.ended_ns is None else process.ended_ns / 1e9,
        exit_code=process.exit_code,
        exit_signal=process.exit_signal,
        cause=process.cause,
        calls_total=process.calls - process.setup_calls,
    )


def _generic(process: Process, summary: Summary) -> Generic:
    touched = summary.of(process.key)
    return Generic(
        pid=process.pid,
        ppid=process.ppid,
        process_name=process.name,
        process_path=process.exe or None,
        first_seen=process.first_seen_ns / 1e9,
        summary=touched,
    )


def _tree(processes: list[Process], texts: _Texts) -> list[TreeNode]:
    """Nest the processes; children of one that is not shown, or nested too deep, stand at the root."""
    roots: list[TreeNode] = []
    nodes: dict[int, TreeNode] = {}
    depth: dict[int, int] = {}
    by_key: dict[int, Any] = {process.key: process for process in processes}
    for process in sorted(processes, key=lambda item: item.key):
        node = TreeNode(
            pid=process.pid,
            ppid=process.ppid,
            process_name=process.name,
            command_line=texts.fit(process.command_line),
            first_seen=process.first_seen_ns / 1e9,
            children=[],
            key=process.key,
            cause=process.cause,
        )
        nodes[process.key] = node
    for process in sorted(processes, key=lambda item: (item.first_seen_ns, item.key)):
        key, above = process.key, process.parent
        if above is None and process.cause is not None:
            above = process.cause.by
        level = depth.get(above, 0) + 1 if above in by_key and above is not None else 1
        depth[key] = level
        if above is not None and above in nodes and level < TREE_DEPTH:
            nodes[above].children.append(nodes[key])
        else:
            depth[key] = 1
            roots.append(nodes[key])
    return roots
