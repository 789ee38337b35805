"""Judge a synthetic trace with all signatures: what a busy machine does, and now and then what signatures look for."""

from __future__ import annotations

import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from malkoha.model.event import Event
from malkoha.signatures import runner
from malkoha.signatures.catalogue import SIGNATURES
from malkoha.trace import store
from malkoha.trace.store import Trace

EVENTS = 1_000_000
_ROUND: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("openat", ("AT_FDCWD", "/usr/lib/x86_64-linux-gnu/libc.so.6", "O_RDONLY|O_CLOEXEC"), 3),
    ("read", ("3", "\\x7fELF", "832"), 832),
    ("newfstatat", ("AT_FDCWD", "/usr/share/doc/{n}", "{{st_mode=S_IFREG|0644}}", "0"), 0),
    ("mmap", ("NULL", "4096", "PROT_READ", "MAP_PRIVATE", "3", "0"), 4096),
    ("close", ("3",), 0),
    ("openat", ("AT_FDCWD", "/home/user/src/{n}.c", "O_RDWR|O_CREAT", "0644"), 3),
    ("write", ("3", "int main(void) {{ return {n}; }}", "40"), 40),
    ("close", ("3",), 0),
    ("unlink", ("/tmp/cc{n}.o",), 0),
    ("fchmodat", ("AT_FDCWD", "/home/user/src/{n}", "0755"), 0),
    ("socket", ("AF_INET", "SOCK_STREAM", "IPPROTO_TCP"), 4),
    ("connect", ("4", "{{AF_INET, 192.0.2.{m}, 443}}", "16"), 0),
    ("sendto", ("4", "GET / HTTP/1.1", "14", "0", "NULL", "0"), 14),
    ("close", ("4",), 0),
    ("execve", ("/usr/bin/cc", "cc -c {n}.c", "NULL"), 0),
    ("readlink", ("/proc/{n}/exe", "/usr/bin/cc", "100"), 11),
)
"""Call, arguments and result; rare calls are as frequent as others, so this is harder than a real trace."""


def events(count: int) -> Iterator[Event]:
    """Make a trace of one thousand processes that take turns."""
    for seq in range(count):
        api, arguments, result = _ROUND[seq % len(_ROUND)]
        n = seq // len(_ROUND)
        pid = 100 + n % 1000
        args = {f"p{place}": text.format(n=n, m=n % 200) for place, text in enumerate(arguments)}
        yield Event(seq=seq, kind="syscall", time_ns=seq * 1000, pid=pid, tid=pid, api=api, ret=result, args=args)


def figures(runs: int) -> dict[str, dict[str, Any]]:
    """Time the judgement of a million events, child process and reading included."""
    seconds, processor = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        store.write(events(EVENTS), path)
        for _ in range(runs):
            started, spent = time.monotonic(), _spent()
            _, errors = runner.run(Trace(path), {})
            seconds.append(time.monotonic() - started)
            processor.append(_spent() - spent)
            assert errors == [], errors
    what = f"{EVENTS:,} synthetic events through {len(SIGNATURES)} signatures, {runs} runs"
    return {
        "signatures.million_events_s": {"value": round(statistics.median(seconds), 2), "unit": "s", "against": what},
        "signatures.million_events_processor_s": {
            "value": round(statistics.median(processor), 2), "unit": "s", "against": what,
        },
    }  # fmt: skip


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
