"""Layouts of the kernel structures that system calls exchange, and their rendering as fields of text.

A layout is a row of ``name:format[:view]``; the format is that of the struct module, the view says how the number is
shown (d decimal by default, x hexadecimal, o octal mode, or the name of a set in constants.py; of bytes: text up to the
first NUL by default, hex, sa a socket address, ip4, ip6). ``_`` is padding, a dot in a name makes a structure inside
the structure, ``N*layout`` an array. Source: include/uapi of Linux 6.12 and the man pages of the calls.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from operator import call as apply
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any

from malkoha.trace import constants, records, sockets
from malkoha.trace.syscalls import Abi

_PERM_64 = "{0}.key:I:x {0}.uid:I {0}.gid:I {0}.cuid:I {0}.cgid:I {0}.mode:I:o _:I _:I _:Q _:Q "
_ATTRIBUTES = "f_bfree:{0} f_bavail:{0} f_files:{0} f_ffree:{0} f_fsid.0:i f_fsid.1:i"

_REGISTERS = (
    *(
        "r15",
        "r14",
        "r13",
        "r12",
        "rbp",
        "rbx",
        "r11",
        "r10",
        "r9",
        "r8",
        "rax",
        "rcx",
        "rdx",
        "rsi",
        "rdi",
        "orig_rax",
    ),
    *("rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)

_LAYOUTS_64 = {
    "int": "value:i",
    "byte": "value:B",
    "long": "value:q",
    "s32": "value:i",
    "u32": "value:I",
    "u64": "value:Q:x",
    "pointer": "value:Q:x",
    "u32_value": "value:I",
    "u64_value": "value:Q",
    "size_value": "value:Q",
    "long_hex": "value:Q:x",
    "address": "value:Q:x",
    "offset": "value:q",
    "offset64": "value:q",
    "loff": "value:q",
    "time": "value:q",
    "timer": "value:i",
    "context": "value:Q:x",
    "signal_value": "value:i:sig",
    "socktype": "value:I:socktype",
    "family": "value:I:family",
    "ipproto": "value:I:ipproto",
    "errno": "value:I:errno",
    "lsm_id": "value:Q:lsm_id",
    "fs_flags": "value:I:fs_flags",
    "mpolicy": "value:I:mpol",
    "seccomp_action": "value:I:seccomp_ret",
    "comm": "value:16s",
    "pair": "a:i b:i",
    "u32x6": "a:I:x b:I:x c:I:x d:I:x e:I:x f:I:x",
    "u64x2": "a:Q:x b:Q:x",
    "u64x3": "a:Q:x b:Q:x c:Q:x",
    "timespec": "tv_sec:q tv_nsec:q",
    "timespec64": "tv_sec:q tv_nsec:q",
    "stamp": "tv_sec:q tv_nsec:q:stamp",
    "timespec2": "2*stamp",
    "stamp64": "tv_sec:q tv_nsec:q:stamp",
    "timespec64_2": "2*stamp64",
    "timeval": "tv_sec:q tv_usec:q",
    "timeval2": "2*timeval",
    "timezone": "tz_minuteswest:i tz_dsttime:i",
    "itimerval": "it_interval.tv_sec:q it_interval.tv_usec:q it_value.tv_sec:q it_value.tv_usec:q",
    "itimerspec": "it_interval.tv_sec:q it_interval.tv_nsec:q it_value.tv_sec:q it_value.tv_nsec:q",
    "itimerspec64": "it_interval.tv_sec:q it_interval.tv_nsec:q it_value.tv_sec:q it_value.tv_nsec:q",
    "tms": "tms_utime:q tms_stime:q tms_cutime:q tms_cstime:q",
    "utimbuf": "actime:q modtime:q",
    "timex": "modes:I:adj _:I offset:q freq:q maxerror:q esterror:q status:I:sta _:I constant:q precision:q "
    "tolerance:q "
    "time.tv_sec:q time.tv_usec:q tick:q ppsfreq:q jitter:q shift:i _:I stabil:q jitcnt:q calcnt:q errcnt:q stbcnt:q "
    "tai:i",
    "rlimit": "rlim_cur:Q:rlim rlim_max:Q:rlim",
    "rlimit64": "rlim_cur:Q:rlim rlim_max:Q:rlim",
    "rusage": "ru_utime.tv_sec:q ru_utime.tv_usec:q ru_stime.tv_sec:q ru_stime.tv_usec:q ru_maxrss:q ru_ixrss:q "
    "ru_idrss:q ru_isrss:q ru_minflt:q ru_majflt:q ru_nswap:q ru_inblock:q ru_oublock:q ru_msgsnd:q ru_msgrcv:q "
    "ru_nsignals:q ru_nvcsw:q ru_nivcsw:q",
    "sigset": "mask:Q:sigset",
    "sigset32": "mask:I:sigset",
    "sigaction": "sa_handler:Q:handler sa_flags:Q:sa_flags sa_restorer:Q:x sa_mask:Q:sigset",
    "sigevent": "sigev_value:Q:x sigev_signo:i:sig sigev_notify:i:sigev sigev_notify_thread_id:i",
    "stack": "ss_sp:Q:x ss_flags:I:ss_flags _:i ss_size:Q",
    "pollfd": "fd:i events:H:poll revents:H:poll",
    "epoll_event": "events:I:epoll data:Q:x",
    "capheader": "version:I:capversion pid:i",
    "sched_param": "sched_priority:i",
    "sched_attr": "size:I sched_policy:I:sched sched_flags:Q:sched_flags sched_nice:i sched_priority:I sched_runtime:Q "
    "sched_deadline:Q sched_period:Q sched_util_min:I sched_util_max:I",
    "stat": "st_dev:Q:x st_ino:Q st_nlink:Q st_mode:I:o st_uid:I st_gid:I _:I st_rdev:Q:x st_size:q st_blksize:q "
    "st_blocks:q st_atime:q _:Q st_mtime:q _:Q st_ctime:q _:Q _:Q _:Q _:Q",
    "statx": "stx_mask:I:statx stx_blksize:I stx_attributes:Q:statx_attr stx_nlink:I stx_uid:I stx_gid:I "
    "stx_mode:H:o _:H stx_ino:Q stx_size:Q stx_blocks:Q _:Q stx_atime:q _:Q stx_btime:q _:Q stx_ctime:q _:Q "
    "stx_mtime:q _:Q",
    "statfs": "f_type:Q:fs_magic f_bsize:q f_blocks:Q " + _ATTRIBUTES.format("Q") + " f_namelen:q f_frsize:q "
    "f_flags:Q:st_flags",
    "ustat": "f_tfree:i _:I f_tinode:Q f_fname:6s f_fpack:6s",
    "sysinfo": "uptime:q loads.0:Q loads.1:Q loads.2:Q totalram:Q freeram:Q sharedram:Q bufferram:Q totalswap:Q "
    "freeswap:Q procs:H _:H _:I totalhigh:Q freehigh:Q mem_unit:I",
    "flock": "l_type:h:lock l_whence:h:seek _:I l_start:q l_len:q l_pid:i",
    "flock64": "l_type:h:lock l_whence:h:seek _:I l_start:q l_len:q l_pid:i",
    "owner": "type:i:owner pid:i",
    "iovec": "iov_base:Q:x iov_len:Q",
    "iovec_one": "iov_base:Q:x iov_len:Q",
    "termios": "c_iflag:I:c_iflag c_oflag:I:x c_cflag:I:x c_lflag:I:c_lflag c_line:B c_cc:19s:hex",
    "winsize": "ws_row:H ws_col:H ws_xpixel:H ws_ypixel:H",
    "clone_range": "src_fd:q src_offset:Q src_length:Q dest_offset:Q",
    "ifreq_addr": "ifr_name:16s ifr_addr:16s:sa",
    "ifreq_flags": "ifr_name:16s ifr_flags:H:iff",
    "ifreq_int": "ifr_name:16s ifr_ivalue:i",
    "ifreq_name": "ifr_name:16s ifr_newname:16s",
    "ifconf": "ifc_len:i _:I ifc_buf:Q:x",
    "loop_info64": "lo_device:Q:x lo_inode:Q lo_rdevice:Q:x lo_offset:Q:x lo_sizelimit:Q lo_number:I lo_encrypt_type:I "
    "lo_encrypt_key_size:I lo_flags:I:x lo_file_name:64s",
    "linger": "l_onoff:i l_linger:i",
    "ucred": "pid:i uid:i gid:i",
    "ip_mreq": "imr_multiaddr:4s:ip4 imr_interface:4s:ip4",
    "ipv6_mreq": "ipv6mr_multiaddr:16s:ip6 ipv6mr_interface:i",
    "packet_mreq": "mr_ifindex:i mr_type:H mr_alen:H mr_address:8s:hex",
    "user_desc": "entry_number:I base_addr:I:x limit:I:x flags:I:x",
    "io_event": "data:Q:x obj:Q:x res:q res2:q",
    "iocb": "aio_data:Q:x aio_key:I aio_rw_flags:I:rwf aio_lio_opcode:H:iocb_cmd aio_reqprio:h aio_fildes:i "
    "aio_buf:Q:x "
    "aio_nbytes:Q aio_offset:q _:Q aio_flags:I:x aio_resfd:i",
    "mq_attr": "mq_flags:q:mq_flags mq_maxmsg:q mq_msgsize:q mq_curmsgs:q",
    "sembuf": "sem_num:H sem_op:h sem_flg:H:sem_flg",
    "shmid_ds": _PERM_64.format("shm_perm") + "shm_segsz:Q shm_atime:q shm_dtime:q shm_ctime:q shm_cpid:i shm_lpid:i "
    "shm_nattch:Q",
    "msqid_ds": _PERM_64.format("msg_perm")
    + "msg_stime:q msg_rtime:q msg_ctime:q msg_cbytes:Q msg_qnum:Q msg_qbytes:Q "
    "msg_lspid:i msg_lrpid:i",
    "semid_ds": _PERM_64.format("sem_perm") + "sem_otime:q _:Q sem_ctime:q _:Q sem_nsems:Q",
    "shminfo": "shmmax:Q shmmin:Q shmmni:Q shmseg:Q shmall:Q",
    "shm_info": "used_ids:i _:I shm_tot:Q shm_rss:Q shm_swp:Q swap_attempts:Q swap_successes:Q",
    "msginfo": "msgpool:i msgmap:i msgmax:i msgmnb:i msgmni:i msgssz:i msgtql:i msgseg:H",
    "seminfo": "semmap:i semmni:i semmns:i semmnu:i semmsl:i semopm:i semume:i semusz:i semvmx:i semaem:i",
    "kexec_segment": "buf:Q:x bufsz:Q mem:Q:x memsz:Q",
    "futex_waitv": "val:Q:x uaddr:Q:x flags:I:futex2 _:I",
    "futex_waitv2": "2*futex_waitv",
    "cachestat_range": "off:Q len:Q",
    "cachestat": "nr_cache:Q nr_dirty:Q nr_writeback:Q nr_evicted:Q nr_recently_evicted:Q",
    "mnt_id_req": "size:I _:I mnt_id:Q:x param:Q:x",
    "statmount": "size:I mnt_opts:I mask:Q:statmount sb_dev_major:I sb_dev_minor:I sb_magic:Q:fs_magic sb_flags:I:x "
    "fs_type:I mnt_id:Q:x mnt_parent_id:Q:x",
    "mount_attr_args": "attr_set:Q:mount_attr attr_clr:Q:mount_attr propagation:Q:mount userns_fd:Q",
    "landlock_ruleset": "handled_access_fs:Q:landlock_fs handled_access_net:Q:landlock_net scoped:Q:landlock_scope",
    "landlock_path": "allowed_access:Q:landlock_fs parent_fd:i",
    "landlock_net_port": "allowed_access:Q:landlock_net port:Q",
    "perf_attr": "type:I:perf_type size:I config:Q:x sample_period:Q sample_type:Q:x read_format:Q:x",
    "bpf_attr": "a:I:x b:I:x c:I:x d:I:x e:I:x f:I:x",
    "bpf_map_create": "map_type:I:bpf_map key_size:I value_size:I max_entries:I map_flags:I:x inner_map_fd:I "
    "numa_node:I "
    "map_name:16s",
    "bpf_map_elem": "map_fd:I _:I key:Q:x value:Q:x flags:Q:bpf_elem",
    "bpf_map_next": "map_fd:I _:I key:Q:x next_key:Q:x",
    "bpf_map_freeze": "map_fd:I",
    "bpf_prog_load": "prog_type:I:bpf_prog insn_cnt:I insns:Q:x license:Q:x log_level:I log_size:I log_buf:Q:x "
    "kern_version:I:x prog_flags:I:x prog_name:16s prog_ifindex:I expected_attach_type:I",
    "bpf_obj": "pathname:Q:x bpf_fd:I file_flags:I:x",
    "bpf_attach": "target_fd:I attach_bpf_fd:I attach_type:I attach_flags:I:x",
    "bpf_next_id": "start_id:I next_id:I open_flags:I:x",
    "bpf_fd_by_id": "id:I next_id:I open_flags:I:x",
    "bpf_info": "info.bpf_fd:I info.info_len:I info.info:Q:x",
    "bpf_raw_tracepoint": "raw_tracepoint.name:Q:x raw_tracepoint.prog_fd:I",
    "bpf_link_create": "link_create.prog_fd:I link_create.target_fd:I link_create.attach_type:I link_create.flags:I:x",
    "seccomp_sizes": "seccomp_notif:H seccomp_notif_resp:H seccomp_data:H",
    "regs": " ".join(f"{name}:Q:x" for name in _REGISTERS),
    "syscall_info": "op:B _:B _:H arch:I:x instruction_pointer:Q:x stack_pointer:Q:x",
    "clone_args": "flags:Q:clone pidfd:Q:x child_tid:Q:x parent_tid:Q:x exit_signal:Q:sig stack:Q:x stack_size:Q:x "
    "tls:Q:x set_tid:Q:x set_tid_size:Q cgroup:Q",
    "open_how": "flags:Q:open mode:Q:o resolve:Q:resolve",
    "io_uring_params": "sq_entries:I cq_entries:I flags:I:uring_setup sq_thread_cpu:I sq_thread_idle:I "
    "features:I:uring_feat wq_fd:I",
    "utsname": "sysname:65s nodename:65s release:65s version:65s machine:65s domainname:65s",
}

_LONGS = (
    *(
        "long",
        "pointer",
        "size_value",
        "long_hex",
        "address",
        "offset",
        "time",
        "context",
        "timespec",
        "stamp",
        "timeval",
    ),
    *("tms", "utimbuf", "rlimit", "rusage", "itimerval", "itimerspec", "iovec", "iovec_one", "mq_attr"),
    *("kexec_segment", "sigevent", "shminfo"),
)
"""Made of longs and pointers only, which have four bytes on i386."""
_OTHER = (
    *("stat", "statfs", "sysinfo", "stack", "sigaction", "timex", "flock", "ustat", "ifconf", "shmid_ds", "msqid_ds"),
    *("semid_ds", "shm_info", "regs"),
)
"""Differ on i386 in more than that; some are not known."""

_LAYOUTS_32 = (
    {name: text for name, text in _LAYOUTS_64.items() if name not in _LONGS and name not in _OTHER}
    | {name: _LAYOUTS_64[name].replace(":q", ":i").replace(":Q", ":I") for name in _LONGS}
    | {
        "sigaction": "sa_handler:I:handler sa_flags:I:sa_flags sa_restorer:I:x sa_mask:Q:sigset",
        "old_sigaction": "sa_handler:I:handler sa_mask:I:sigset sa_flags:I:sa_flags sa_restorer:I:x",
        "stack": "ss_sp:I:x ss_flags:I:ss_flags ss_size:I",
        "flock": "l_type:h:lock l_whence:h:seek l_start:i l_len:i l_pid:i",
        "flock64": "l_type:h:lock l_whence:h:seek l_start:q l_len:q l_pid:i",
        "timex": "modes:I:adj offset:i freq:i maxerror:i esterror:i status:I:sta constant:i precision:i tolerance:i "
        "time.tv_sec:i time.tv_usec:i tick:i ppsfreq:i jitter:i shift:i stabil:i jitcnt:i calcnt:i errcnt:i stbcnt:i "
        "tai:i",
        "timex64": _LAYOUTS_64["timex"],
        "stat": "st_dev:I:x st_ino:I st_mode:H:o st_nlink:H st_uid:H st_gid:H st_rdev:I:x st_size:I st_blksize:I "
        "st_blocks:I st_atime:I _:I st_mtime:I _:I st_ctime:I _:I _:I _:I",
        "oldstat": "st_dev:H:x st_ino:H st_mode:H:o st_nlink:H st_uid:H st_gid:H st_rdev:H:x _:H st_size:I st_atime:I "
        "st_mtime:I st_ctime:I",
        "stat64": "st_dev:Q:x _:I _:I st_mode:I:o st_nlink:I st_uid:I st_gid:I st_rdev:Q:x _:I st_size:q st_blksize:I "
        "st_blocks:Q st_atime:I _:I st_mtime:I _:I st_ctime:I _:I st_ino:Q",
        "statfs": "f_type:I:fs_magic f_bsize:I f_blocks:I " + _ATTRIBUTES.format("I") + " f_namelen:I f_frsize:I "
        "f_flags:I:st_flags",
        "statfs64": "f_type:I:fs_magic f_bsize:I f_blocks:Q " + _ATTRIBUTES.format("Q") + " f_namelen:I f_frsize:I "
        "f_flags:I:st_flags",
        "ifconf": "ifc_len:i ifc_buf:I:x",
        "mmap_args": "addr:I:x length:I prot:I:prot flags:I:map fd:i offset:I:x",
        "select_args": "nfds:i readfds:I:x writefds:I:x exceptfds:I:x timeout:I:x",
        "sysinfo": "uptime:i loads.0:I loads.1:I loads.2:I totalram:I freeram:I sharedram:I bufferram:I totalswap:I "
        "freeswap:I procs:H _:H totalhigh:I freehigh:I mem_unit:I",
    }
)

Value = str | list[Any] | dict[str, Any]

_LISTS = frozenset(
    [
        "int", "byte", "long", "pair", "u32x6", "u64x2", "u64x3", "u32_value", "u64_value", "size_value",
        "long_hex", "address", "offset", "offset64", "loff", "time", "timer", "context", "signal_value",
        "socktype", "family", "ipproto", "errno", "fs_flags", "mpolicy", "seccomp_action", "sched_param",
    ]
)  # fmt: skip
"""Shown as a list of values, without names."""
_BARE = frozenset(("sigset", "sigset32", "s32", "u32", "u64", "pointer", "lsm_id", "comm"))
"""Shown as its one field."""


class Layout:
    """One structure: its size in bytes and how to render its content."""

    def __init__(self, name: str, text: str) -> None:
        formats, self._fields = "<", []
        for field in text.split():
            title, code, *views = field.split(":")
            view = views[0] if views else "name" if code[-1] == "s" else "d"
            # padding goes into the format, so that unpacking yields what is shown and nothing else
            formats += f"{struct.calcsize('<' + code)}x" if title == "_" else code
            if title != "_":
                self._fields.append((title, struct.calcsize(formats), view))
        self._unpack = struct.Struct(formats).unpack
        self.size = struct.calcsize(formats)
        self._list, self._bare = name in _LISTS, name in _BARE
        self._names = [title for title, _, _ in self._fields]
        self._views = [_shown(view) for _, _, view in self._fields]
        self._deep = any("." in title for title in self._names)

    def render(self, content: bytes) -> Value:
        """Give the fields as text; a content that is too short shows the fields that are whole."""
        values = self._unpack(content[: self.size].ljust(self.size, b"\0"))
        shown: dict[str, Any] = dict(zip(self._names, map(apply, self._views, values), strict=True))
        if len(content) < self.size:
            shown = {title: shown[title] for title, end, _ in self._fields if end <= len(content)}
        if self._list:
            return list(shown.values())
        if self._bare:
            return next(iter(shown.values()), "")
        return _nested(shown) if self._deep else shown


class Array:
    """Several structures of one layout, one behind the other."""

    def __init__(self, count: int, element: Layout) -> None:
        self.size = count * element.size
        self._element = element

    def render(self, content: bytes) -> Value:
        """Give each element that is there, at least in part."""
        return elements(self._element, content[: self.size])


AnyLayout = Layout | Array


def elements(known: AnyLayout, content: bytes) -> list[Any]:
    """Render an array of structures; the last one may be cut."""
    return [known.render(content[i : i + known.size]) for i in range(0, len(content), known.size)]


def _nested(fields: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, value in fields.items():
        outer, dot, inner = name.partition(".")
        if not dot:
            shown[name] = value
        elif inner.isdigit():
            shown.setdefault(outer, []).append(value)
        else:
            shown.setdefault(outer, {})[inner] = value
    return shown


_BYTES: dict[str, Callable[[Any], Any]] = {
    "name": records.name,
    "hex": bytes.hex,
    "sa": sockets.address,
    "ip4": lambda value: inet_ntop(AF_INET, value),
    "ip6": lambda value: inet_ntop(AF_INET6, value),
}


@cache
def _shown(view: str) -> Callable[[Any], Any]:
    """Return what shows a field of this view."""
    return _BYTES.get(view) or constants.shown(view)


BYTES_VIEWS = frozenset(_BYTES)
"""Views of bytes, where others are names of constants."""


@cache
def layout(name: str, abi: Abi) -> AnyLayout | None:
    """Return the layout of a structure for one ABI; None where it is not known."""
    known = _LAYOUTS_32 if abi == "i386" else _LAYOUTS_64
    text = known.get(name)
    if text is None:
        return None
    count, star, element = text.partition("*")
    return Array(int(count), Layout(element, known[element])) if star else Layout(name, text)
