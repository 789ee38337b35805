"""Layouts of the kernel structures that system calls exchange, and their rendering as fields of text.

A layout is a row of ``name:format[:view]``; the format is that of the struct module, the view says how the number is
shown (d decimal by default, x hexadecimal, o octal mode, or the name of a set in constants.py). ``_`` is padding.
Source: include/uapi of Linux 6.12 and the man pages of the calls.
"""

from __future__ import annotations

import struct
from functools import cache

from malkoha.trace import constants, records
from malkoha.trace.syscalls import Abi

_LAYOUTS_64 = {
    "int": "value:i",
    "long": "value:q",
    "pair": "a:i b:i",
    "u32x6": "a:I:x b:I:x c:I:x d:I:x e:I:x f:I:x",
    "long2": "a:q b:q",
    "timespec": "tv_sec:q tv_nsec:q",
    "timespec64": "tv_sec:q tv_nsec:q",
    "timespec2": "atime_sec:q atime_nsec:q mtime_sec:q mtime_nsec:q",
    "timeval": "tv_sec:q tv_usec:q",
    "timeval2": "atime_sec:q atime_usec:q mtime_sec:q mtime_usec:q",
    "itimerval": "interval_sec:q interval_usec:q value_sec:q value_usec:q",
    "itimerspec": "interval_sec:q interval_nsec:q value_sec:q value_nsec:q",
    "rlimit": "rlim_cur:Q rlim_max:Q",
    "rlimit64": "rlim_cur:Q rlim_max:Q",
    "sigset": "mask:Q:sigset",
    "sigaction": "sa_handler:Q:handler sa_flags:Q:sa_flags sa_restorer:Q:x sa_mask:Q:sigset",
    "stack": "ss_sp:Q:x ss_flags:i _:i ss_size:Q",
    "pollfd": "fd:i events:H:poll revents:H:poll",
    "epoll_event": "events:I:epoll data:Q:x",
    "capheader": "version:I:x pid:i",
    "capdata": "effective_0:I:x permitted_0:I:x inheritable_0:I:x effective_1:I:x permitted_1:I:x inheritable_1:I:x",
    "stat": "st_dev:Q:x st_ino:Q st_nlink:Q st_mode:I:o st_uid:I st_gid:I _:I st_rdev:Q:x st_size:q st_blksize:q "
    "st_blocks:q st_atime:q _:Q st_mtime:q _:Q st_ctime:q _:Q _:Q _:Q _:Q",
    "statx": "stx_mask:I:x stx_blksize:I stx_attributes:Q:x stx_nlink:I stx_uid:I stx_gid:I stx_mode:H:o _:H stx_ino:Q "
    "stx_size:Q stx_blocks:Q _:Q stx_atime:q _:Q stx_btime:q _:Q stx_ctime:q _:Q stx_mtime:q _:Q",
    "statfs": "f_type:Q:x f_bsize:q f_blocks:Q f_bfree:Q f_bavail:Q f_files:Q f_ffree:Q",
    "sysinfo": "uptime:q load1:Q load5:Q load15:Q totalram:Q freeram:Q sharedram:Q bufferram:Q totalswap:Q freeswap:Q "
    "procs:H",
    "clone_args": "flags:Q:clone pidfd:Q:x child_tid:Q:x parent_tid:Q:x exit_signal:Q:sig stack:Q:x stack_size:Q:x "
    "tls:Q:x set_tid:Q:x set_tid_size:Q cgroup:Q",
    "open_how": "flags:Q:open mode:Q:o resolve:Q:x",
    "io_uring_params": "sq_entries:I cq_entries:I flags:I:x sq_thread_cpu:I sq_thread_idle:I features:I:x wq_fd:I",
    "utsname": "sysname:65s nodename:65s release:65s version:65s machine:65s domainname:65s",
}

_LAYOUTS_32 = {
    name: _LAYOUTS_64[name]
    for name in (
        "int", "pair", "u32x6", "timespec64", "rlimit64", "sigset", "pollfd", "epoll_event", "capheader", "capdata",
        "statx", "clone_args", "open_how", "io_uring_params", "utsname",
    )
} | {
    "long": "value:i",
    "long2": "a:i b:i",
    "timespec": "tv_sec:i tv_nsec:i",
    "timespec2": "atime_sec:i atime_nsec:i mtime_sec:i mtime_nsec:i",
    "timeval": "tv_sec:i tv_usec:i",
    "timeval2": "atime_sec:i atime_usec:i mtime_sec:i mtime_usec:i",
    "itimerval": "interval_sec:i interval_usec:i value_sec:i value_usec:i",
    "itimerspec": "interval_sec:i interval_nsec:i value_sec:i value_nsec:i",
    "rlimit": "rlim_cur:I rlim_max:I",
    "sigaction": "sa_handler:I:handler sa_flags:I:sa_flags sa_restorer:I:x sa_mask:Q:sigset",
    "stack": "ss_sp:I:x ss_flags:i ss_size:I",
    "mmap_args": "addr:I:x length:I prot:I:prot flags:I:map fd:i offset:I:x",
    "select_args": "nfds:i readfds:I:x writefds:I:x exceptfds:I:x timeout:I:x",
    "sysinfo": "uptime:i load1:I load5:I load15:I totalram:I freeram:I sharedram:I bufferram:I totalswap:I freeswap:I "
    "procs:H",
}  # fmt: skip

Value = str | list[str] | dict[str, str]

_LISTS = frozenset({"int", "long", "pair", "u32x6"})
"""Shown as a list of numbers, without names."""
_BARE = frozenset({"sigset"})
"""Shown as its one field."""


class Layout:
    """One structure: its size in bytes and how to render its content."""

    def __init__(self, name: str, text: str) -> None:
        formats, self._fields = "<", []
        for field in text.split():
            title, code, view = (*field.split(":"), "d")[:3]
            # padding goes into the format, so that unpacking yields what is shown and nothing else
            formats += f"{struct.calcsize('<' + code)}x" if title == "_" else code
            if title != "_":
                self._fields.append((title, struct.calcsize(formats), view))
        self._unpack = struct.Struct(formats).unpack
        self.size = struct.calcsize(formats)
        self._list, self._bare = name in _LISTS, name in _BARE

    def render(self, content: bytes) -> Value:
        """Give the fields as text; a content that is too short shows the fields that are whole."""
        values = self._unpack(content[: self.size].ljust(self.size, b"\0"))
        shown = {
            name: _show(value, view)
            for (name, end, view), value in zip(self._fields, values, strict=True)
            if end <= len(content)
        }
        if self._list:
            return list(shown.values())
        return next(iter(shown.values()), "") if self._bare else shown


def _show(value: int | bytes, view: str) -> str:
    return records.name(value) if isinstance(value, bytes) else constants.show(value, view)


@cache
def layout(name: str, abi: Abi) -> Layout | None:
    """Return the layout of a structure for one ABI; None where it is not known."""
    text = (_LAYOUTS_32 if abi == "i386" else _LAYOUTS_64).get(name)
    return Layout(name, text) if text else None
