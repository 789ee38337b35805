"""What calls do to paths."""

from __future__ import annotations

import pytest

from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.signatures.base import Scene
from malkoha.signatures.touching import touches
from malkoha.trace import stap
from malkoha.trace.descriptors import Tables


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('openat(AT_FDCWD, "/a", O_RDONLY) = 3', [("/a", "read", True)]),
        ('open("/a", O_RDWR|O_CREAT, 0600) = 3', [("/a", "write", True)]),
        ('openat(AT_FDCWD, "/a", O_RDONLY|O_DIRECTORY) = 3', [("/a", "list", True)]),
        ('openat(AT_FDCWD, "/a", O_PATH) = 3', [("/a", "probe", True)]),
        ('openat(AT_FDCWD, "/a", O_RDONLY) = -2 (ENOENT)', [("/a", "read", False)]),
        ('rename("/a", "/b") = 0', [("/a", "remove", True), ("/b", "write", True)]),
        ('symlinkat("/target", AT_FDCWD, "/l") = 0', [("/l", "write", True)]),
        ('unlinkat(AT_FDCWD, "/a", 0) = 0', [("/a", "remove", True)]),
        ('newfstatat(AT_FDCWD, "/a", 0x7ffe, 0) = 0', [("/a", "probe", True)]),
        ("fchmod(7, 0755) = 0", [("/seven", "mode", True)]),
        ("utimensat(7, NULL, [], 0) = 0", [("/seven", "time", True)]),
        ("fchmod(8, 0755) = -9 (EBADF)", []),
        ("openat(AT_FDCWD, 0x7ffe, O_RDONLY) = 3", []),
    ],
)  # fmt: skip
def test_touches(line: str, wanted: list[tuple[str, str, bool]]) -> None:
    process = Process(key=0, pid=5)
    tables = Tables([process])
    scene = Scene(tables, {0: process})
    scene.key = 0

    def event(text: str) -> Event:
        return stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 x@1[5] {text}\n".encode(), 0)

    tables.feed(0, event('open("/seven", O_RDONLY) = 7'))
    assert [(touch.path, touch.access, touch.ok) for touch in touches(event(line), scene)] == wanted
