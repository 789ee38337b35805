"""What is known of the ways in which strace and the tracer show the same: names, members left out, differences."""

from __future__ import annotations

import re

NAMES = {
    "pread": "pread64", "pwrite": "pwrite64", "umount": "umount2", "oldselect": "select",
    "semtimedop_time64": "semtimedop",
}  # fmt: skip
"""strace's name -> ours, where they differ."""

LEFT_OUT = {
    "d_off": "position in the directory, of no use outside of it",
    "d_reclen": "follows from the name",
    "st_atime_nsec": "times of files are shown in seconds",
    "st_mtime_nsec": "times of files are shown in seconds",
    "st_ctime_nsec": "times of files are shown in seconds",
    "tv_nsec": "times of files are shown in seconds (statx)",
    "stx_attributes_mask": "which attributes the file system could have",
    "stx_rdev_major": "behind the fields of statx that are recorded",
    "cmsg_len": "follows from the content",
    "msg_iovlen": "the content of all buffers is shown as one text",
    "msg_controllen": "the control messages are shown",
    "msg_namelen": "the address is shown",
    "msg_flags": "the calls' own flags are shown",
    "aio_buf": "the content of asynchronous writes is not copied",
    "insns": "instructions of BPF programs for the virtual machine are not copied",
    "license": "shown as a pointer",
    "kern_version": "shown as a number",
    "expected_attach_type": "shown as a number",
    "extra_data": "bytes that the command does not use",
    "ifc_buf": "the list of interfaces is not copied",
    "c_cc": "control characters are shown as bytes",
    "si_int": "the lower half of si_value",
    "sq_off": "where things stand in the ring of io_uring",
    "cq_off": "where things stand in the ring of io_uring",
    **dict.fromkeys(
        (
            "map_ifindex",
            "btf_fd",
            "btf_key_type_id",
            "btf_value_type_id",
            "btf_vmlinux_value_type_id",
            "map_extra",
            "value_type_btf_obj_fd",
            "map_token_fd",
            "prog_btf_fd",
            "func_info_rec_size",
            "func_info",
            "func_info_cnt",
            "line_info_rec_size",
            "line_info",
            "line_info_cnt",
            "attach_btf_id",
            "attach_prog_fd",
            "fd_array",
            "core_relo_cnt",
            "core_relos",
            "core_relo_rec_size",
            "log_true_size",
            "prog_token_fd",
            "numa_node",
        ),
        "behind the fields of bpf_attr that are recorded",
    ),
    **dict.fromkeys(
        (
            "stx_rdev_minor",
            "stx_dev_major",
            "stx_dev_minor",
            "stx_mnt_id",
            "stx_dio_mem_align",
            "stx_dio_offset_align",
            "stx_subvol",
            "stx_atomic_write_unit_min",
            "stx_atomic_write_unit_max",
            "stx_atomic_write_segments_max",
        ),
        "behind the fields of statx that are recorded",
    ),
}
"""Members of structures that strace shows and we do not, and why."""

EXPLAINED = (
    (
        "kill",
        r"return 0 for None",
        "the sender of its own SIGKILL: the call's return is recorded, strace does not see it",
    ),
    (
        "shmat",
        r"return 0 for",
        "through ipc(2) the call returns 0 and stores the address, which strace shows as the result",
    ),
    ("quotactl_fd", r"^id .* for 0x", "strace leaves out the id where the command does not use it"),
    ("capset", r"^datap ", "with an unknown version strace takes the sets for those of version 1"),
    ("process_vm_readv", r"^local_iov 0x", "the buffers of a read that failed are not shown, since nothing is in them"),
    ("execve", r"^pathname 0x", "a number of x32's own: this kernel has no x32, and memory is not copied for it"),
)
"""Call, pattern of the difference, and why it is right as it is."""

ALIASES = {"child_stack": "stack", "child_tidptr": "child_tid", "parent_tidptr": "parent_tid"}

WITHOUT = {
    "preadv": "pos_h", "pwritev": "pos_h", "preadv2": "pos_h", "pwritev2": "pos_h", "_llseek": "offset_low",
}  # fmt: skip
"""Of a number in two arguments strace shows the whole."""
BARE = frozenset({"rt_sigreturn", "sigreturn", "restart_syscall"})
"""Calls without arguments, for which strace shows what it finds on the stack."""


def explanation(api: str, reason: str) -> str | None:
    """Tell why a difference is no fault; None when nobody has looked at it."""
    return next((why for name, pattern, why in EXPLAINED if name == api and re.search(pattern, reason)), None)


def markdown() -> str:
    """Write docs/conformance.md."""
    rows = "".join(f"| `{api}` | `{pattern}` | {why} |\n" for api, pattern, why in EXPLAINED)
    reasons: dict[str, list[str]] = {}
    for name, why in LEFT_OUT.items():
        reasons.setdefault(why, []).append(f"`{name}`")
    members = "".join(f"| {', '.join(names)} | {why} |\n" for why, names in reasons.items())
    joined = "".join(f"| `{api}` | `{name}` |\n" for api, name in WITHOUT.items())
    return _TEXT.format(rows=rows, members=members, joined=joined, least=LEAST_SYSCALLS, percent=LEAST_EQUAL * 100)


LEAST_SYSCALLS = 390
LEAST_EQUAL = 0.99
_TEXT = """# Conformance of the trace

Written by `make docs` from `tests/conformance/known.py`; a test fails when the two differ.

`tests/conformance/*.c` make nearly every system call of the guest's kernel with known arguments, with success and with
failure, and tell what they did: number, six words, result. They are compiled with the compiler of the image's build
root and run in one guest, each group alone and once more under `strace -f`, of which the tracer sees the same calls in
the same run. tests/live/test_conformance.py then holds the recorded events, thread by thread and in order, against

- what the program says: number, all six words, result, error, and the order of the calls in each thread;
- what strace says of the very same execution: name, every argument with the memory behind it, result, error, order.

At least {least} calls by name are compared, and at least {percent:.0f} % of the events are equal. What differs has to
match a row of the first table, or the test fails.

## Differences

| call | difference | why |
|---|---|---|
{rows}
## What strace shows and the trace does not

Members of structures that are left out on purpose do not count as differences:

| member | why |
|---|---|
{members}
`rt_sigreturn`, `sigreturn` and `restart_syscall` have no arguments; strace shows for them what it finds on the stack.
Of a number that is passed in two arguments strace shows the whole, the trace shows both:

| call | second half |
|---|---|
{joined}"""
