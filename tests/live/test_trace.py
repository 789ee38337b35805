"""The trace of the default engine: complete in a flood, and right for programs of 32 bits."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.live.commandline import Malkoha, calls, compiled, script

pytestmark = pytest.mark.live


def test_a_flood_of_calls_is_recorded_whole(malkoha: Malkoha, tmp_path: Path) -> None:
    found = malkoha.analyze(script(tmp_path, "exec dd if=/dev/zero of=/dev/null bs=1 count=200000 status=none"))
    assert found.ended == "all processes gone"
    assert found.own["trace"]["lost"] == found.own["trace"]["not_understood"] == 0
    counts = dict(
        found.sql("select api, count(*) from events where comm = 'dd' and api in ('read', 'write') group by api")
    )
    # one read more: the loader looks at the head of libc
    assert counts == {"read": 200_001, "write": 200_000}
    assert found.own["calls_total"] > 400_000
    (dd,) = found.processes
    assert dd["calls_total"] > 400_000
    assert len(dd["calls"]) < 50_000
    omitted = found.own["omitted"]
    assert len(dd["calls"]) + omitted["calls"] + omitted["launcher_calls"] == found.own["calls_total"]
    numbers = found.sql("select count(distinct seq), count(*), max(seq) - min(seq) from events")
    assert numbers[0][0] == numbers[0][1]


def elf_32(code: bytes) -> bytes:
    """Return a static i386 program of this code, loaded at 0x8048000 behind its two headers."""
    base, start = 0x8048000, 52 + 32
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + start, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    size = start + len(code)
    return header + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 7, 4096) + code


def _program() -> bytes:
    """Write "32 bits\n", open /etc/hostname, ask for the id, and exit with 7, by way of int $0x80."""
    text, path = b"32 bits\n", b"/etc/hostname\0"

    def assemble(at_text: int, at_path: int) -> bytes:
        code = b"\xb8\x04\0\0\0\xbb\x01\0\0\0" + b"\xb9" + struct.pack("<I", at_text)  # write(1, text, 8)
        code += b"\xba" + struct.pack("<I", len(text)) + b"\xcd\x80"
        code += b"\xb8\x05\0\0\0\xbb" + struct.pack("<I", at_path)  # open(path, O_RDONLY|O_CLOEXEC)
        code += b"\xb9\0\0\x08\0\x31\xd2\xcd\x80"
        code += b"\xb8\xc7\0\0\0\xcd\x80"  # getuid32()
        return code + b"\xb8\x01\0\0\0\xbb\x07\0\0\0\xcd\x80"  # exit(7)

    first = 0x8048000 + 52 + 32 + len(assemble(0, 0))
    return assemble(first, first + len(text)) + text + path


def test_a_program_of_32_bits(malkoha: Malkoha, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(elf_32(_program()))
    found = malkoha.analyze(tmp_path / "old")
    assert (found.stdout, found.own["exit_status"]) == (b"32 bits\n", 7 << 8)
    rows = found.sql("select api, abi from events where kind = 'syscall' and abi <> 'x86-64' order by seq")
    assert rows == [("write", "i386"), ("open", "i386"), ("getuid32", "i386"), ("exit", "i386")]
    old = found.one("old")
    assert calls(old, "write")[0]["named"] == {"fd": "1", "buf": "32 bits\n", "count": "8"}
    (opened,) = calls(old, "open")
    assert opened["named"]["pathname"] == "/etc/hostname"
    assert opened["named"]["flags"] == "O_RDONLY|O_CLOEXEC"
    assert opened["return_value"] == "3"


MIXED = r"""
#include <unistd.h>

static long call32(long number, long first, long second, long third)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first), "c"(second), "d"(third)
		: "memory", "r8", "r9", "r10", "r11");
	return result;
}

int main(void)
{
	static const char text[] = "through the old gate\n";

	/* 4 is write there and stat in the 64-bit table; 20 is getpid there and writev here */
	if (call32(4, 1, (long)text, sizeof(text) - 1) != sizeof(text) - 1)
		return 1;
	if (call32(20, 0, 0, 0) != getpid())
		return 2;
	return 0;
}
"""


def test_a_program_of_64_bits_with_calls_of_32(malkoha: Malkoha, tmp_path: Path) -> None:
    found = malkoha.analyze(compiled(MIXED, tmp_path / "mixed", "-no-pie"))
    assert (found.stdout, found.own["exit_status"]) == (b"through the old gate\n", 0)
    rows = found.sql("select api, abi, ret from events where abi = 'i386' order by seq")
    pid = found.one("mixed")["pid"]
    assert rows == [("write", "i386", 21), ("getpid", "i386", pid)]
    assert found.number("select count(*) from events where api = 'getpid' and abi = 'x86-64'") == 1
    assert found.number("select count(*) from events where api in ('stat', 'writev')") == 0
