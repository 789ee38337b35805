"""Show memory that is no plain structure: sets of descriptors, directory entries, signal information, filters and such.

Each function takes the bytes that the tracer copied and the ABI, and raises on no content; what makes no sense is shown
as far as it does. Sources: the man pages of the calls, include/uapi of Linux 6.12.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from malkoha.trace import constants
from malkoha.trace.records import text
from malkoha.trace.structs import Layout, layout
from malkoha.trace.syscalls import Abi

Shape = Callable[[bytes, Abi], Any]


def _bits(content: bytes) -> list[int]:
    number = int.from_bytes(content, "little")
    return [bit for bit in range(len(content) * 8) if number >> bit & 1]


def descriptors(content: bytes, abi: Abi) -> list[str]:
    """Show an fd_set of select(2), or a cpu_set_t: the numbers that are in it."""
    del abi
    return [str(bit) for bit in _bits(content)]


def octets(content: bytes, abi: Abi) -> list[str]:
    """Show each byte as a number."""
    del abi
    return [str(byte) for byte in content]


def words(content: bytes, abi: Abi) -> list[str]:
    """Show a mask of memory nodes as its unsigned longs."""
    step = 4 if abi == "i386" else 8
    return [hex(int.from_bytes(content[i : i + step], "little")) for i in range(0, len(content), step)]


def _entries(content: bytes, head: struct.Struct, *, type_first: bool) -> list[dict[str, str]]:
    found = []
    offset = 0
    while offset + head.size <= len(content):
        inode, _, length = head.unpack_from(content, offset)[:3]
        record = content[offset + head.size : offset + length]
        kind = head.unpack_from(content, offset)[3] if type_first else record[-1] if record else 0
        name = record if type_first else record[:-1]
        shown = {"d_ino": str(inode), "d_type": constants.enum(kind, "dt"), "d_name": text(name.split(b"\0", 1)[0])}
        found.append(shown)
        if length < head.size:
            break
        offset += length
    return found


def directory(content: bytes, abi: Abi) -> list[dict[str, str]]:
    """Show what getdents64(2) returned."""
    del abi
    return _entries(content, struct.Struct("<QqHB"), type_first=True)


def old_directory(content: bytes, abi: Abi) -> list[dict[str, str]]:
    """Show what getdents(2) returned: the type stands in the last byte of an entry."""
    return _entries(content, struct.Struct("<IIH" if abi == "i386" else "<QQH"), type_first=False)


def old_entry(content: bytes, abi: Abi) -> dict[str, str]:
    """Show the one entry that readdir(2) returned; its third field is the length of the name."""
    del abi
    if len(content) < 10:
        return {}
    inode, _, length = struct.unpack_from("<IIH", content)
    return {"d_ino": str(inode), "d_name": text(content[10 : 10 + length])}


def wait_status(content: bytes, abi: Abi) -> str:
    """Show a status of wait(2) by the macros that are true for it."""
    del abi
    status = int.from_bytes(content[:4], "little")
    low, high = status & 0x7F, status >> 8 & 0xFF
    if low == 0x7F:
        if status == 0xFFFF:
            return "WIFCONTINUED(s)"
        shown = f"WIFSTOPPED(s) && WSTOPSIG(s) == {_signal(high)}"
        return shown + (f" | {status >> 16:#x} << 16" if status >> 16 else "")
    if not low:
        return f"WIFEXITED(s) && WEXITSTATUS(s) == {high}"
    return f"WIFSIGNALED(s) && WTERMSIG(s) == {_signal(low)}" + (" && WCOREDUMP(s)" if status & 0x80 else "")


def _signal(number: int) -> str:
    if number & 0x80:
        return f"{constants.show(number & 0x7F, 'sig')} | 0x80"
    return constants.show(number, "sig")


def signal_information(content: bytes, abi: Abi) -> dict[str, str]:
    """Show a siginfo_t: signal, code, and the fields that they tell of."""
    if len(content) < 12:
        return {}
    number, errno, code = struct.unpack_from("<iii", content)
    if not number and not code:
        return {}
    base = 12 if abi == "i386" else 16
    fields = content[base:].ljust(32, b"\0")
    shown = {"si_signo": constants.show(number & 0xFFFFFFFF, "sig")}
    shown["si_code"] = constants.enum(code & 0xFFFFFFFF, "cld_code" if number == 17 and code > 0 else "si_code")
    if errno:
        shown["si_errno"] = str(errno)
    if number == 17 and code > 0:
        pid, uid, status = struct.unpack_from("<iIi", fields)
        shown |= {"si_pid": str(pid), "si_uid": str(uid)}
        shown["si_status"] = str(status) if code == 1 else constants.show(status & 0xFFFFFFFF, "sig")
        times = struct.unpack_from("<ii", fields, 12) if abi == "i386" else struct.unpack_from("<qq", fields, 16)
        shown |= {"si_utime": str(times[0]), "si_stime": str(times[1])}
    elif code == -2:
        timer, overrun = struct.unpack_from("<ii", fields)
        shown |= {"si_timerid": str(timer), "si_overrun": str(overrun), "si_value": _value(fields, abi)}
    elif code <= 0:
        pid, uid = struct.unpack_from("<iI", fields)
        shown |= {"si_pid": str(pid), "si_uid": str(uid)}
        if code in (-1, -3):
            shown["si_value"] = _value(fields, abi)
    elif number in (4, 5, 7, 8, 11):
        shown["si_addr"] = hex(int.from_bytes(fields[: 4 if abi == "i386" else 8], "little"))
    return shown


def _value(fields: bytes, abi: Abi) -> str:
    return hex(int.from_bytes(fields[8 : 12 if abi == "i386" else 16], "little"))


def capability_sets(content: bytes, abi: Abi) -> dict[str, str]:
    """Show the one or two parts of capget(2)'s sets as one."""
    del abi
    parts = struct.unpack(f"<{len(content) // 4}I", content[: len(content) // 4 * 4])
    names = ("effective", "permitted", "inheritable")
    return {
        name: constants.capabilities(sum(part << 32 * i for i, part in enumerate(parts[position::3])))
        for position, name in enumerate(names)
        if position < len(parts)
    }


def option(content: bytes, abi: Abi) -> Any:
    """Show the value of a socket's option: one number, or bytes."""
    del abi
    if len(content) == 4:
        return [str(int.from_bytes(content, "little", signed=True))]
    return text(content)


def plain(content: bytes, abi: Abi) -> str:
    """Show text up to its first NUL."""
    del abi
    return text(content.split(b"\0", 1)[0])


def queued(content: bytes, abi: Abi) -> dict[str, str]:
    """Show the type and the text of a message of msgsnd(2)."""
    step = 4 if abi == "i386" else 8
    return {"mtype": str(int.from_bytes(content[:step], "little", signed=True)), "mtext": text(content[step:])}


def handle(content: bytes, abi: Abi) -> dict[str, str]:
    """Show a struct file_handle."""
    del abi
    if len(content) < 8:
        return {}
    size, kind = struct.unpack_from("<Ii", content)
    return {"handle_bytes": str(size), "handle_type": hex(kind & 0xFFFFFFFF), "f_handle": content[8 : 8 + size].hex()}


def contexts(content: bytes, abi: Abi) -> list[dict[str, str]]:
    """Show the struct lsm_ctx that lsm_get_self_attr(2) gives, one behind the other."""
    del abi
    found = []
    offset = 0
    while offset + 32 <= len(content):
        module, bits, length, size = struct.unpack_from("<4Q", content, offset)
        words = content[offset + 32 : offset + 32 + size]
        shown = {"id": constants.show(module, "lsm_id"), "flags": hex(bits), "len": str(length), "ctx_len": str(size)}
        found.append(shown | {"ctx": plain(words, "x86-64")})
        if length < 32:
            break
        offset += length
    return found


def instructions(content: bytes, abi: Abi) -> list[str]:
    """Show a classic BPF program, four fields an instruction."""
    del abi
    whole = len(content) // 8 * 8
    return [f"{code:#x} {jt} {jf} {k:#x}" for code, jt, jf, k in struct.iter_unpack("<HBBI", content[:whole])]


def control_block(content: bytes, abi: Abi) -> Any:
    """Show one iocb of io_submit(2)."""
    known = layout("iocb", abi)
    return known.render(content) if isinstance(known, Layout) else content.hex()


_IDENTITY = struct.Struct("<8I5Q8I")
_IDS = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")
_SETS = ("effective", "permitted", "inheritable", "bounding", "ambient")
_SPACES = ("user_ns", "pid_ns", "mnt_ns", "net_ns", "uts_ns", "ipc_ns", "cgroup_ns", "time_ns")


def identity(content: bytes) -> dict[str, str]:
    """Show who a task is: ids, capability sets by name, and the numbers of its namespaces (engine/identity.c)."""
    if len(content) < _IDENTITY.size:
        return {}
    fields = _IDENTITY.unpack_from(content)
    shown = dict(zip(_IDS, map(str, fields[:8]), strict=True))
    shown |= dict(zip(_SETS, map(constants.capabilities, fields[8:13]), strict=True))
    return shown | dict(zip(_SPACES, map(str, fields[13:]), strict=True))


SHAPES: dict[str, Shape] = {
    "fdset": descriptors,
    "cpuset": descriptors,
    "bytes": octets,
    "nodes": words,
    "dirents": directory,
    "dirents_old": old_directory,
    "dirent_old": old_entry,
    "wstatus": wait_status,
    "siginfo": signal_information,
    "capdata": capability_sets,
    "optval": option,
    "text": plain,
    "handle": handle,
    "lsm_ctx": contexts,
}
"""By the name that a kind bears behind its sign."""

SIZES = {"dirent_old": 266, "wstatus": 4, "siginfo": 128, "capdata": 24, "handle": 8}
"""Bytes to copy, where no argument and no result tells."""
