"""The events of a trace as the tables that Sigma rules ask: processes, files, connections, and auditd's records.

In: events.parquet. Out: rows for SQLite, bounded by who takes them. Field names are those of the Sigma taxonomy and,
for auditd, those of its records as ``ausearch -i`` shows them: type, SYSCALL, a0.., exe, name, key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.processing.dns import question
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Tables
from malkoha.trace.store import Row, Trace

COLUMNS: dict[str, tuple[str, ...]] = {
    "process_creation": (
        "Image", "CommandLine", "ParentImage", "ParentCommandLine", "CurrentDirectory", "User", "ProcessId",
        "ParentProcessId", "OriginalFileName",
    ),
    "file_event": ("TargetFilename", "Image", "User", "ProcessId"),
    "network_connection": (
        "Image", "DestinationIp", "DestinationPort", "DestinationHostname", "Initiated", "User", "ProcessId",
    ),
    "auditd": (
        "type", "SYSCALL", "success", "exit", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9",
        "comm", "exe", "name", "nametype", "cwd", "key", "pid", "ppid", "uid", "euid",
    ),
}  # fmt: skip
ROWS = 300_000
"""Of one table."""
TEXT = 8192
_MAKES = {
    "creat": (0, None), "mkdir": (0, None), "mkdirat": (1, 0), "mknod": (0, None), "mknodat": (1, 0),
    "symlink": (1, None), "symlinkat": (2, 1), "link": (1, None), "linkat": (3, 2), "rename": (1, None),
    "renameat": (3, 2), "renameat2": (3, 2),
}  # fmt: skip
_PATHS = {
    "unlink": (0, None), "unlinkat": (1, 0), "chmod": (0, None), "fchmodat": (1, 0), "chown": (0, None),
    "truncate": (0, None), "fchownat": (1, 0), "rmdir": (0, None), "setxattr": (0, None),
    "removexattr": (0, None), "utimensat": (1, 0), "mount": (1, None), "readlink": (0, None),
    "access": (0, None), "faccessat": (1, 0), "faccessat2": (1, 0),
}  # fmt: skip
_OTHERS = (
    "connect", "bind", "sendto", "sendmmsg", "init_module", "finit_module", "delete_module", "memfd_create",
    "ptrace", "kill", "setuid", "setgid", "setreuid", "setresuid", "bpf", "process_vm_readv",
    "process_vm_writev", "personality", "prctl", "reboot", "unshare", "setns", "capset", "adjtimex",
    "settimeofday", "clock_settime", "sethostname", "swapon", "swapoff", "umount2", "pivot_root", "chroot",
    "execve", "execveat", "socket", "ioctl", "keyctl", "perf_event_open", "userfaultfd",
)  # fmt: skip
WANTED = descriptors.APIS | set(_MAKES) | set(_PATHS) | set(_OTHERS)


class Reading:
    """Turns events into rows, in order of the trace."""

    def __init__(self, processes: list[Process]) -> None:
        self.tables = Tables(processes)
        self.by_key = {process.key: process for process in processes}
        self.users: dict[int, str] = {}
        self.commands: dict[int, tuple[str, str]] = {}
        self.asked: dict[int, str] = {}
        """Key of a process to the name that it asked for last."""

    def rows(self, trace: Trace) -> Iterator[tuple[str, Row, dict[str, Any]]]:
        """Yield table, event and columns."""
        for row in trace.rows(WANTED, ("syscall", "fork", "exec")):
            process = self.by_key.get(row.process)
            hidden = process is not None and (process.launcher or (row.index or 0) < process.setup_calls)
            if not hidden:
                yield from self._seen(row, process)
            self.tables.feed(row.process, row.event)

    def _seen(self, row: Row, process: Process | None) -> Iterator[tuple[str, Row, dict[str, Any]]]:
        event = row.event
        if event.kind == "exec":
            yield from self._exec(row, process)
        elif event.kind == "syscall":
            if event.api in descriptors.OPENS or event.api in _MAKES:
                yield from self._file(row)
            elif event.api == "connect":
                yield from self._connect(row)
            elif event.api in ("sendto", "sendmmsg"):
                name = next((found for text in event.args.values() if (found := question(str(text)))), None)
                if name:
                    self.asked[row.process] = name
            yield from self._audit(row)

    def _exec(self, row: Row, process: Process | None) -> Iterator[tuple[str, Row, dict[str, Any]]]:
        event = row.event
        argv = event.args.get("argv")
        words = [str(word) for word in argv] if isinstance(argv, list) else []
        image, line = str(event.args.get("exe", "")), " ".join(words)[:TEXT]
        parent = process.parent if process is not None and process.parent is not None else -1
        above = self.commands.get(row.process) or self.commands.get(parent) or ("", "")
        self.users[row.process] = "root" if event.args.get("uid") == 0 else str(event.args.get("uid", ""))
        self.commands[row.process] = (image, line)
        yield (
            "process_creation",
            row,
            {
                "Image": image,
                "CommandLine": line,
                "ParentImage": above[0],
                "ParentCommandLine": above[1],
                "CurrentDirectory": str(event.args.get("cwd", "")),
                "User": self.users[row.process],
                "ProcessId": event.pid,
                "ParentProcessId": event.ppid,
                "OriginalFileName": str(event.args.get("filename", "")),
            },
        )
        yield (
            "auditd",
            row,
            {**self._who(row), "type": "EXECVE"} | {f"a{n}": word[:TEXT] for n, word in enumerate(words[:10])},
        )

    def _file(self, row: Row) -> Iterator[tuple[str, Row, dict[str, Any]]]:
        event = row.event
        if event.ret is None or event.ret < 0:
            return
        if event.api in descriptors.OPENS and event.api != "creat":
            if "O_CREAT" not in descriptors.open_flags(event):
                return
            path = self._path(row, 1, 0) if event.api in ("openat", "openat2") else self._path(row, 0, None)
        else:
            path = self._path(row, *_MAKES.get(event.api, (0, None)))
        if path:
            columns = {"TargetFilename": path, "Image": self.tables.exe(row.process), "ProcessId": event.pid}
            yield "file_event", row, {**columns, "User": self.users.get(row.process, "")}

    def _connect(self, row: Row) -> Iterator[tuple[str, Row, dict[str, Any]]]:
        end = descriptors.endpoint(descriptors.argument(row.event, 1))
        if end is None or end.family not in ("AF_INET", "AF_INET6"):
            return
        columns: dict[str, Any] = {
            "Image": self.tables.exe(row.process),
            "DestinationIp": end.host,
            "DestinationPort": end.port,
            "DestinationHostname": self.asked.get(row.process, "") if end.port != 53 else "",
            "Initiated": "true",
            "User": self.users.get(row.process, ""),
            "ProcessId": row.event.pid,
        }
        yield "network_connection", row, columns

    def _path(self, row: Row, position: int, dirfd: int | None) -> str:
        path = descriptors.path_argument(row.event, position)
        if path is None:
            return ""
        folder = "AT_FDCWD" if dirfd is None else descriptors.argument(row.event, dirfd)
        return self.tables.resolve(row.process, path, folder)

    def _who(self, row: Row) -> dict[str, Any]:
        event = row.event
        user = self.users.get(row.process, "")
        who = {"comm": event.comm, "exe": self.tables.exe(row.process), "pid": event.pid, "ppid": event.ppid}
        return {**who, "uid": user, "euid": user}

    def _audit(self, row: Row) -> Iterator[tuple[str, Row, dict[str, Any]]]:
        event = row.event
        numbers = {f"a{n}": _hex(value) for n, value in enumerate(list(event.args.values())[:4])}
        success = "yes" if (event.ret or 0) >= 0 else "no"
        call = {"type": "SYSCALL", "SYSCALL": event.api, "success": success, "exit": event.ret_text}
        yield "auditd", row, {**self._who(row), **call, **numbers}
        place = _MAKES.get(event.api) or _PATHS.get(event.api)
        if event.api in descriptors.OPENS and event.api != "creat":
            place = (1, 0) if event.api in ("openat", "openat2") else (0, None)
        path = self._path(row, *place) if place else ""
        if path:
            made = event.api in _MAKES or (
                event.api in descriptors.OPENS and "O_CREAT" in descriptors.open_flags(event)
            )
            gone = event.api in ("unlink", "unlinkat", "rmdir")
            kind = "CREATE" if made else "DELETE" if gone else "NORMAL"
            yield (
                "auditd",
                row,
                {"type": "PATH", "name": path, "nametype": kind, "pid": event.pid, "SYSCALL": event.api},
            )


def _hex(value: Any) -> str:
    """Give an argument as auditd does, in hexadecimal, where it is a number."""
    text = str(value)
    try:
        return format(int(text, 0) & (1 << 64) - 1, "x")
    except ValueError:
        return text[:200]


def line(table: str, columns: Mapping[str, Any], event: Event) -> str:
    """Give the text that keywords are looked for in: a line as a log would have it."""
    if table != "auditd":
        return " ".join(f'{name}="{value}"' for name, value in columns.items() if value not in ("", None))
    head = f"type={columns.get('type', '')} msg=audit({event.time_ns / 1e9:.3f}:{event.seq}):"
    words = [f'{name}="{value}"' for name, value in columns.items() if name != "type" and value not in ("", None)]
    if columns.get("type") == "EXECVE":
        words.append("proctitle=" + " ".join(str(columns.get(f"a{n}", "")) for n in range(10)).strip())
    return " ".join((head, *words))
