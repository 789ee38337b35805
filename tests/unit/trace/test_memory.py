"""Memory that is no plain structure: shown as the man pages name it, and never a reason to fail."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace import memory
from malkoha.trace.memory import SHAPES, SIZES
from malkoha.trace.syscalls import Abi


def entry(inode: int, kind: int, name: bytes) -> bytes:
    length = (19 + len(name) + 1 + 7) & ~7
    return (struct.pack("<QqHB", inode, 1, length, kind) + name).ljust(length, b"\0")


@pytest.mark.parametrize(
    ("shape", "content", "shown"),
    [
        ("fdset", b"\x09\x80", ["0", "3", "15"]),
        ("cpuset", b"\x03" + bytes(7), ["0", "1"]),
        ("bytes", b"\x00\x01", ["0", "1"]),
        ("nodes", struct.pack("<QQ", 1, 1 << 63), ["0x1", "0x8000000000000000"]),
        ("wstatus", struct.pack("<I", 0x0300), "WIFEXITED(s) && WEXITSTATUS(s) == 3"),
        ("wstatus", struct.pack("<I", 0x8B), "WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)"),
        ("wstatus", struct.pack("<I", 9), "WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL"),
        ("wstatus", struct.pack("<I", 0x137F), "WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP"),
        ("wstatus", struct.pack("<I", 0x857F), "WIFSTOPPED(s) && WSTOPSIG(s) == SIGTRAP | 0x80"),
        ("wstatus", struct.pack("<I", 0x3057F), "WIFSTOPPED(s) && WSTOPSIG(s) == SIGTRAP | 0x3 << 16"),
        ("wstatus", struct.pack("<I", 0xFFFF), "WIFCONTINUED(s)"),
        ("optval", struct.pack("<i", -1), ["-1"]),
        ("optval", b"eth0\0", "eth0\0"),
        ("text", b"cubic\0\0\0", "cubic"),
        (
            "handle",
            struct.pack("<Ii", 2, 1) + b"\xab\xcd",
            {"handle_bytes": "2", "handle_type": "0x1", "f_handle": "abcd"},
        ),
        ("handle", b"", {}),
        ("dirent_old", struct.pack("<IIH", 5, 0, 3) + b"etc\0", {"d_ino": "5", "d_name": "etc"}),
        (
            "dirents",
            entry(7, 4, b"etc") + entry(8, 8, b"a longer name"),
            [
                {"d_ino": "7", "d_type": "DT_DIR", "d_name": "etc"},
                {"d_ino": "8", "d_type": "DT_REG", "d_name": "a longer name"},
            ],
        ),
        (
            "dirents_old",
            struct.pack("<QQH", 9, 1, 24) + b"bin\0\0\x0a",
            [{"d_ino": "9", "d_type": "DT_LNK", "d_name": "bin"}],
        ),
        (
            "capdata",
            struct.pack("<6I", 3, 1 << 21, 0, 1 << 7, 0, 0),
            {"effective": "CAP_CHOWN|CAP_DAC_OVERRIDE|CAP_BPF", "permitted": "CAP_SYS_ADMIN", "inheritable": "0"},
        ),
        (
            "lsm_ctx",
            struct.pack("<4Q", 104, 0, 48, 10) + b"unconfined".ljust(16, b"\0"),
            [{"id": "LSM_ID_APPARMOR", "flags": "0x0", "len": "48", "ctx_len": "10", "ctx": "unconfined"}],
        ),
        ("siginfo", bytes(128), {}),
        (
            "siginfo",
            struct.pack("<iiiiiIi", 17, 0, 1, 0, 42, 1000, 3).ljust(128, b"\0"),
            {
                "si_signo": "SIGCHLD",
                "si_code": "CLD_EXITED",
                "si_pid": "42",
                "si_uid": "1000",
                "si_status": "3",
                "si_utime": "0",
                "si_stime": "0",
            },
        ),
        (
            "siginfo",
            struct.pack("<iiiiiIi", 17, 0, 2, 0, 42, 0, 9).ljust(128, b"\0"),
            {
                "si_signo": "SIGCHLD",
                "si_code": "CLD_KILLED",
                "si_pid": "42",
                "si_uid": "0",
                "si_status": "SIGKILL",
                "si_utime": "0",
                "si_stime": "0",
            },
        ),
        (
            "siginfo",
            struct.pack("<iiiiiIQ", 10, 0, -1, 0, 42, 0, 0x77).ljust(128, b"\0"),
            {"si_signo": "SIGUSR1", "si_code": "SI_QUEUE", "si_pid": "42", "si_uid": "0", "si_value": "0x77"},
        ),
        (
            "siginfo",
            struct.pack("<iiiiQ", 11, 0, 1, 0, 0xDEAD).ljust(128, b"\0"),
            {"si_signo": "SIGSEGV", "si_code": "1", "si_addr": "0xdead"},
        ),
    ],
)
def test_what_is_shown(shape: str, content: bytes, shown: Any) -> None:
    assert SHAPES[shape](content, "x86-64") == shown


def test_longs_have_four_bytes_on_i386() -> None:
    assert memory.words(struct.pack("<II", 1, 2), "i386") == ["0x1", "0x2"]
    assert memory.queued(struct.pack("<i", 5) + b"text", "i386") == {"mtype": "5", "mtext": "text"}
    shown = memory.signal_information(struct.pack("<iiiiI", 10, 0, 0, 42, 7), "i386")
    assert shown == {"si_signo": "SIGUSR1", "si_code": "SI_USER", "si_pid": "42", "si_uid": "7"}
    assert memory.old_directory(struct.pack("<IIH", 9, 1, 16) + b"bin\0\0\x04", "i386")[0]["d_name"] == "bin"


def test_instructions_are_shown_field_by_field() -> None:
    assert memory.instructions(struct.pack("<HBBI", 0x15, 1, 2, 59) + b"cut", "x86-64") == ["0x15 1 2 0x3b"]


@given(st.sampled_from(sorted(SHAPES)), st.binary(max_size=300), st.sampled_from(["x86-64", "i386"]))
def test_any_content_is_shown(shape: str, content: bytes, abi: Abi) -> None:
    assert isinstance(SHAPES[shape](content, abi), str | list | dict)


@given(st.binary(max_size=100), st.sampled_from(["x86-64", "i386"]))
def test_any_message_and_control_block_is_shown(content: bytes, abi: Abi) -> None:
    assert set(memory.queued(content, abi)) == {"mtype", "mtext"}
    assert isinstance(memory.control_block(content, abi), dict)
    assert len(memory.instructions(content, abi)) == len(content) // 8


def test_sizes_are_of_shapes() -> None:
    assert SIZES.keys() <= SHAPES.keys()
