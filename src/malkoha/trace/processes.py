"""Processes from events: who made whom, what each ran, and when it ended.

In: events in order of the trace. Out: a list of Process. A trace of malkoha's own engines holds fork, exec and exit
events, which are taken as they are. A plain SystemTap log has only the returns of fork, vfork, clone and clone3; a
child may appear before the line that made it, threads look like processes, and pids are reused.

The launcher is the process that started the sample without being part of it. It is the parent of the first process,
and it is told by one rule, ``_is_launcher``. What the first process did before its first execve, and the names that
it bore, were still the launcher's (``setup_calls``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from malkoha.model.event import Event
from malkoha.model.process import Cause, Comm, Ids, Image, Process
from malkoha.trace.syscalls import IDENTITY_CALLS

if TYPE_CHECKING:
    from malkoha.trace.store import Trace

LISTED = 64
"""Images, names and thread ids that are kept of one process; their true number stands beside them."""
FORKS = frozenset({"fork", "vfork", "clone", "clone2", "clone3"})
EXECS = frozenset({"execve", "execveat"})
EXITS = frozenset({"exit", "exit_group"})
WATCHED = FORKS | EXECS | EXITS | IDENTITY_CALLS
"""Calls that can change what is known of a process."""
BEFORE_EXEC = frozenset({"exec", "unit", "cron", "at", "udev"})
"""Causes with which a process is adopted before it runs the program that matters."""
_SHELLS = frozenset({"sh", "dash", "bash", "busybox"})


class _Node:
    """A process while the trace is read."""

    __slots__ = ("comm", "comms", "end_seq", "image_seen", "into", "process", "setup_end", "threads")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.comm = ""
        self.image_seen = -1
        self.setup_end: int | None = None
        self.end_seq: int | None = None
        self.threads: set[int] = {process.pid}
        self.into: _Node | None = None


class Builder:
    """Takes events one by one; ``feed`` tells to which process an event belongs."""

    def __init__(self) -> None:
        self.live: dict[int, _Node] = {}
        self._gone: dict[int, _Node] = {}
        self.nodes: list[_Node] = []
        self.recorded = False
        """Whether the trace has fork, exec and exit events of its own."""

    def feed(self, event: Event) -> Process:
        """Take the next event; return its process, whose ``calls`` counts the event if it is a call."""
        node = self.live.get(event.pid)
        if node is None:
            node = self._appear(event)
        process = node.process
        if event.comm != node.comm and event.comm and event.kind != "fork":
            self._rename(node, event)
        if event.kind == "syscall":
            if not process.first_seen_ns:
                process.first_seen_ns = event.time_ns
            if event.api in WATCHED:
                self._call(node, event)
            process.calls += 1
            if event.tid != process.pid and event.tid not in node.threads:
                self._thread(node, event.tid)
        elif event.kind != "unknown":
            self._record(node, event)
        process.last_seen_ns = max(process.last_seen_ns, event.time_ns)
        return process

    def _new(self, pid: int, event: Event) -> _Node:
        process = Process(key=len(self.nodes), pid=pid, started_ns=event.time_ns, tids=[pid])
        node = _Node(process)
        self.nodes.append(node)
        self.live[pid] = node
        self._gone.pop(pid, None)
        return node

    def _appear(self, event: Event) -> _Node:
        """Find the process of an event whose pid is not alive: one that has just ended, or one not seen before."""
        gone = self._gone.get(event.pid)
        if gone is not None and self.recorded and gone.end_seq is not None and event.seq < gone.end_seq:
            return gone
        node = self._new(event.pid, event)
        parent = self.live.get(event.ppid) if event.ppid and event.ppid != event.pid else None
        if parent is not None:
            _adopt(parent, node)
        else:
            node.process.ppid = event.ppid
        return node

    def _rename(self, node: _Node, event: Event) -> None:
        """Note a new name; other threads than the first may bear names of their own."""
        if event.tid != event.pid and self.recorded and event.kind != "fork":
            return
        node.comm = event.comm
        if len(node.process.comms) < LISTED:
            node.process.comms.append(Comm(time_ns=event.time_ns, comm=event.comm))

    def _thread(self, node: _Node, tid: int) -> None:
        if tid in node.threads:
            return
        node.threads.add(tid)
        node.process.threads += 1
        if len(node.process.tids) < LISTED:
            node.process.tids.append(tid)

    # ------------------------------------------------------------------------------------------------- calls

    def _call(self, node: _Node, event: Event) -> None:
        if event.api in EXECS:
            if node.setup_end is None:
                node.setup_end = node.process.calls
            if event.ret == 0 or (event.ret is None and not self.recorded):
                self._exec_call(node, event)
        elif event.api in IDENTITY_CALLS:
            _acts(node.process, event, event.args.get("identity"))
        elif self.recorded:
            return
        elif event.api in FORKS:
            if event.ret and event.ret > 0:
                self._forked(node, event)
        elif event.api == "exit_group" or event.pid not in node.threads or len(node.threads) == 1:
            self._ended(node, event, _number(event.args, 0))

    def _exec_call(self, node: _Node, event: Event) -> None:
        """Note an image from the call itself, unless an exec event has told or will tell more."""
        if self.recorded:
            return
        values = list(event.args.values())
        if event.api == "execveat":
            values = values[1:]
        path = str(values[0]) if values else ""
        argv = values[1] if len(values) > 1 else []
        self._image(node, event, path, [str(word) for word in argv] if isinstance(argv, list) else [str(argv)])

    def _forked(self, node: _Node, event: Event) -> None:
        child_id = event.ret or 0
        if "CLONE_THREAD" in str(event.args):
            child = self.live.get(child_id)
            if child is not None and not self._descends(node, child):
                self._merge(child, node)
            self.live[child_id] = node
            self._thread(node, child_id)
            return
        child = self.live.get(child_id)
        if child is None or child.process.parent is not None or self._descends(node, child):
            child = self._new(child_id, event)
        _adopt(node, child)

    def _descends(self, node: _Node, other: _Node) -> bool:
        """Tell whether ``other`` is ``node`` or made it: then ``node`` did not make it, its id was used again."""
        seen: set[int] = set()
        key: int | None = node.process.key
        while key is not None and key not in seen:
            if key == other.process.key:
                return True
            seen.add(key)
            key = self.nodes[key].process.parent
        return False

    def _merge(self, child: _Node, node: _Node) -> None:
        """Make what was taken for a process a thread of ``node``: its lines stood before the call that made it."""
        child.into = node
        node.process.merged.append(child.process.key)
        node.process.calls += child.process.calls
        for tid in list(child.threads):
            if self.live.get(tid) is child:
                self.live[tid] = node
                self._thread(node, tid)
        for key in child.process.children:
            if key != node.process.key:
                _adopt(node, self.nodes[key])

    # ----------------------------------------------------------------------------------------------- records

    def _record(self, node: _Node, event: Event) -> None:
        self.recorded = True
        if event.kind == "fork":
            child_pid, child_tid = _int(event.args, "child_pid"), _int(event.args, "child_tid")
            if child_pid == event.pid:
                self._thread(node, child_tid)
            elif child_pid > 0:
                child = self._new(child_pid, event)
                self._rename(child, event)
                _adopt(node, child)
                if node.process.ids:
                    child.process.ids = [msgspec.structs.replace(node.process.ids[-1], time_ns=event.time_ns)]
            return
        if not node.process.first_seen_ns:
            node.process.first_seen_ns = event.time_ns
        if event.kind == "adopt":
            self._adopted(node, event)
        elif event.kind == "exec":
            argv = event.args.get("argv")
            path = str(event.args.get("exe") or event.args.get("filename") or "")
            words = [str(word) for word in argv] if isinstance(argv, list) else []
            if node.setup_end is None:
                node.setup_end = node.process.calls
            self._image(node, event, path, words, str(event.args.get("cwd", "")))
            _acts(node.process, event, event.args)
        elif event.kind == "exit" and _true(event.args.get("group")):
            self._ended(node, event, _int(event.args, "code"), _signal(event.args))

    def _adopted(self, node: _Node, event: Event) -> None:
        """Note why a process that the sample did not make is traced; what it ran before stays nameless but for that."""
        process = node.process
        if process.cause is not None:
            return
        cause = self.live.get(_int(event.args, "by")) or self._gone.get(_int(event.args, "by"))
        process.cause = Cause(
            why=str(event.args.get("why", "")),
            what=str(event.args.get("what", "")),
            by=cause.process.key if cause is not None and cause is not node else None,
        )
        argv = event.args.get("argv")
        if process.cause.why not in BEFORE_EXEC:
            words = [str(word) for word in argv] if isinstance(argv, list) else []
            self._image(node, event, str(event.args.get("exe", "")), words, str(event.args.get("cwd", "")))

    def _image(self, node: _Node, event: Event, path: str, argv: list[str], cwd: str = "") -> None:
        process = node.process
        process.images_total += 1
        if process.images_total == 1:
            process.name = path.rsplit("/", 1)[-1]
            process.command_line = " ".join(argv)
        process.exe = path
        if len(process.images) < LISTED:
            process.images.append(Image(seq=event.seq, time_ns=event.time_ns, path=path, argv=argv, cwd=cwd))

    def _ended(self, node: _Node, event: Event, code: int | None, signal: int | None = None) -> None:
        process = node.process
        process.ended_ns = event.time_ns
        process.exit_signal = signal or None
        process.exit_code = None if signal or code is None else code & 0xFF
        node.end_seq = event.seq
        for tid in node.threads:
            if self.live.get(tid) is node:
                del self.live[tid]
        if process.parent is None or len(self._gone) < 1 << 16:
            self._gone[process.pid] = node

    def finish(self) -> list[Process]:
        """Settle what only the whole trace tells; return the processes in order of appearance, launcher included."""
        nodes = [node for node in self.nodes if node.into is None]
        if not self.recorded:
            nodes = [node for node in nodes if node.process.pid > 0]
        by_key = {node.process.key: node.process for node in nodes}
        first = next((node for node in nodes if node.process.parent is None and node.process.cause is None), None)
        if first is not None and _is_launcher(first, recorded=self.recorded):
            first.process.launcher = True
        for node in nodes:
            process = node.process
            parent = by_key.get(process.parent) if process.parent is not None else None
            if not process.images_total:
                process.name = process.comms[0].comm if process.comms else node.comm
                process.exe = parent.exe if parent else ""
                process.command_line = parent.command_line if parent and not parent.launcher else ""
            if (parent is None or parent.launcher) and not process.launcher and process.cause is None:
                process.setup_calls = node.setup_end or 0
                begin = process.images[0].time_ns if process.images and self.recorded else 0
                process.comms = [comm for comm in process.comms if comm.time_ns >= begin] or process.comms[-1:]
            process.first_seen_ns = process.first_seen_ns or process.started_ns
        return [node.process for node in nodes]


def _acts(process: Process, event: Event, told: Any) -> None:
    """Note ids that differ from those before; ``told`` is the part of an event that may name all four."""
    names = ("uid", "euid", "gid", "egid")
    found = {name: _parse(told.get(name)) for name in names} if isinstance(told, dict) else {}
    values = {name: value for name, value in found.items() if value is not None}
    if len(values) < len(names) or len(process.ids) >= LISTED:
        return
    if not process.ids or any(getattr(process.ids[-1], name) != value for name, value in values.items()):
        process.ids.append(Ids(time_ns=event.time_ns, **values))


def _adopt(parent: _Node, child: _Node) -> None:
    child.process.parent = parent.process.key
    child.process.ppid = parent.process.pid
    parent.process.children.append(child.process.key)


def _is_launcher(first: _Node, *, recorded: bool) -> bool:
    """Tell whether the first process of a trace started the sample rather than being it.

    malkoha's engines show the launcher only as the creator of the first process: it has no call of its own. In a
    SystemTap log it is the shell that the analyzer runs the sample with: ``sh -c PATH``, which made a child.
    """
    process = first.process
    if recorded:
        return process.calls == 0 and process.images_total == 0 and bool(process.children)
    if not process.images or not process.children:
        return False
    image = process.images[0]
    return image.path.rsplit("/", 1)[-1] in _SHELLS and image.argv[1:2] == ["-c"] and process.images_total == 1


_NUMBER = re.compile(r"-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,19})")


def _parse(value: Any) -> int | None:
    if isinstance(value, int):
        return int(value)
    found = _NUMBER.match(value) if isinstance(value, str) else None
    return int(found[0], 0 if "x" in found[0] else 10) if found else None


def _number(args: dict[str, Any], index: int) -> int | None:
    values = list(args.values())
    return _parse(values[index]) if len(values) > index else None


def _int(args: dict[str, Any], name: str) -> int:
    return _parse(args.get(name)) or 0


def _signal(args: dict[str, Any]) -> int | None:
    """Read a signal given as its number or its name."""
    value = args.get("signal")
    number = _parse(value)
    if number is None and isinstance(value, str) and value.startswith("SIG"):
        import signal

        return getattr(signal, value, None)
    return number


def _true(value: Any) -> bool:
    return value is True or value in ("1", "true", "True")


def build(source: Iterable[Event] | Trace) -> list[Process]:
    """List the processes of a trace, the launcher included; a stored trace has them in its footer already."""
    stored = getattr(source, "processes", None)
    if stored is not None:
        return list(stored)
    builder = Builder()
    for event in source:  # type: ignore[union-attr]
        if event.kind != "unknown":
            builder.feed(event)
    return builder.finish()
