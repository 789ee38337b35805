"""Named facts as an analyst reads them."""

from __future__ import annotations

from typing import Any

import pytest

from malkoha.processing.summary import OWN
from malkoha.reporting import phrases
from malkoha.reporting.phrases import phrase


@pytest.mark.parametrize(
    ("category", "entry", "text"),
    [
        ("file_read", "/a", "/a"),
        ("file_moved", ["/a", "/b"], "/a → /b"),
        ("unheard_of", {"a": 1, "b": "x"}, "a 1  b x"),
        ("persistence", {"path": "/etc/cron.d/x", "mechanism": "cron", "trigger": "timer"},
         "cron: /etc/cron.d/x · trigger: timer"),
        ("persistence", {"path": "/x"}, "path /x"),
        ("permissions", {"path": "/a", "mode": "0644", "means": 7}, "path /a  mode 0644  means 7"),
        ("permissions", {"path": "/a", "mode": "0644", "means": ""}, "0644 /a"),
        ("permissions", {"path": "/a", "mode": "04755", "means": "set-user-ID"}, "04755 /a · set-user-ID"),
        ("timestamps", {"path": "/a", "modified": "978307200"}, "/a · 2001-01-01 00:00 UTC"),
        ("timestamps", {"path": "/a", "modified": "now"}, "/a · now"),
        ("file_traffic", {"path": "/a", "read": 0, "written": 10}, "/a · wrote 10 B"),
        ("connections", {"endpoint": "10.0.0.1:80", "protocol": "tcp", "direction": "out", "attempts": 3, "sent": 0,
                         "received": 0, "failed": 3}, "tcp to 10.0.0.1:80 · 3 attempts, 3 failed"),
        ("connections", {"endpoint": "0.0.0.0:80", "protocol": "tcp", "direction": "in", "attempts": 1, "sent": 5,
                         "received": 7}, "tcp accepted on 0.0.0.0:80 · sent 5 B, received 7 B"),
        ("conversations", {"via": "pipe", "from": "a 1", "to": "b 2", "place": "", "bytes": 5},
         "a 1 → b 2 · pipe · 5 B"),
        ("signals", {"signal": "SIGKILL", "pid": "-1", "process": "every process", "result": "EPERM", "calls": 2},
         "SIGKILL → every process · 2 times · EPERM"),
        ("ptrace", {"request": "PTRACE_TRACEME", "pid": "", "process": "", "result": "done", "calls": 1},
         "PTRACE_TRACEME"),
        ("mounts", {"what": "mount", "source": "none", "target": "/", "type": "NULL", "flags": "MS_REC",
                    "result": "done"}, "mount none → / MS_REC"),
        ("timing", {"what": "sleep", "by": "nanosleep", "calls": 2, "asked_s": 120.0, "took_s": 3.0},
         "sleep (nanosleep), 2 times · 2 min 0 s in all · took 3 s"),
        ("hammering", {"api": "getpid", "process": "x 0", "calls": 5000}, "getpid × 5,000 by x 0"),
    ],
)  # fmt: skip
def test_phrases(category: str, entry: Any, text: str) -> None:
    assert phrase(category, entry) == text


def test_each_of_malkohas_categories_has_its_phrase() -> None:
    assert set(phrases._PHRASES) == set(OWN)
