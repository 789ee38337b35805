"""The system: kernel modules, mounts, namespaces, ptrace, signals, identities, capabilities, reboots, names."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.processing.rules.base import Rule, View, succeeded
from malkoha.trace.descriptors import argument, number

_PRCTL = frozenset({"PR_CAPBSET_DROP", "PR_CAP_AMBIENT", "PR_SET_KEEPCAPS", "PR_SET_SECUREBITS", "PR_SET_NO_NEW_PRIVS"})
_HIDES = frozenset({"PR_SET_NAME", "PR_SET_DUMPABLE", "PR_SET_MM", "PR_SET_PDEATHSIG", "PR_SET_CHILD_SUBREAPER"})
_NAMESPACE = re.compile(r"CLONE_NEW\w+")


def _result(event: Event) -> str:
    return event.errno or "done"


def _module(view: View, event: Event) -> None:
    api, options = event.api, ""
    what = "loaded"
    if api == "finit_module":
        name, options = view.target(event) or "?", str(argument(event, 1))
    elif api == "init_module":
        name, options = f"{argument(event, 1)} bytes", str(argument(event, 2))
    elif api == "delete_module":
        what, name = "removed", str(argument(event, 0))
    else:
        what, name = "kernel loaded (kexec)", "" if api == "kexec_load" else view.target(event) or "?"
    view.note("kernel_modules", what=what, name=name, options=options, result=_result(event))


def _bpf(view: View, event: Event) -> None:
    view.tally("bpf", {"command": str(argument(event, 0)), "result": _result(event)}, calls=1)


def _mount(view: View, event: Event) -> None:
    api, table = event.api, view.tables.of(view.key)

    def place(position: int, dirfd: int | None = None) -> str:
        text = str(argument(event, position))
        folder = "AT_FDCWD" if dirfd is None else argument(event, dirfd)
        return view.tables.absolute(table, text, folder) if text not in ("", "NULL") else ""

    facts = {"what": api, "source": "", "target": place(0), "type": "", "flags": ""}
    if api == "mount":
        facts |= {"source": str(argument(event, 0)), "target": place(1)}
        facts |= {"type": str(argument(event, 2)), "flags": str(argument(event, 3))}
    elif api == "pivot_root":
        facts["source"] = place(1)
    elif api == "move_mount":
        item = view.descriptor(event)
        facts |= {"source": item.path if item else "", "target": place(3, 2)}
    view.note("mounts", **facts, result=_result(event))


def _namespace(view: View, event: Event) -> None:
    names = _NAMESPACE.findall(str(event.args))
    if event.api == "setns":
        path = view.target(event) or ""
        view.note("namespaces", what="joined", kinds=path or "|".join(names), result=_result(event))
    elif names:
        what = "left" if event.api == "unshare" else "child in its own"
        view.note("namespaces", what=what, kinds="|".join(names), result=_result(event))


def _named(view: View, pid: int | None) -> str:
    key = view.tables.by_pid(pid)
    return view.name_of(key)


def _ptrace(view: View, event: Event) -> None:
    request, pid = str(argument(event, 0)), number(argument(event, 1))
    whom = (
        {"pid": "", "process": ""} if request == "PTRACE_TRACEME" else {"pid": str(pid), "process": _named(view, pid)}
    )
    view.tally("ptrace", {"request": request, **whom, "result": _result(event)}, calls=1)


def _foreign_memory(view: View, event: Event) -> None:
    pid = number(argument(event, 0))
    facts = {"request": event.api, "pid": str(pid), "process": _named(view, pid), "result": _result(event)}
    view.tally("ptrace", facts, calls=1)


def _signal(view: View, event: Event) -> None:
    api = event.api
    pid, signal = number(argument(event, 0)), str(argument(event, 2 if api in ("tgkill", "rt_tgsigqueueinfo") else 1))
    if api == "pidfd_send_signal":
        item = view.descriptor(event)
        pid = item.pid if item else None
    if pid is None or pid == event.pid or (api == "tkill" and view.tables.by_pid(pid) is None):
        return
    process = {0: "own process group", -1: "every process"}.get(pid) or (
        f"process group {-pid}" if pid < 0 else _named(view, pid)
    )
    facts = {"signal": signal, "pid": str(pid), "process": process, "result": _result(event)}
    view.tally("signals", facts, calls=1)


def _identity(view: View, event: Event) -> None:
    to = " ".join(str(value) for value in event.args.values())
    view.note("identity", call=event.api, to=to, result=_result(event))


def _capset(view: View, event: Event) -> None:
    value = argument(event, 1)
    told = str(value.get("effective", "")) if isinstance(value, dict) else str(value)
    view.note("capabilities", what="effective set", path="none" if told == "0" else told)


def _prctl(view: View, event: Event) -> None:
    option, value = str(argument(event, 0)), str(argument(event, 1))
    if not succeeded(event):
        return
    if option in _PRCTL and "IS_SET" not in value:
        view.note("capabilities", what=option, path=value)
    elif option in _HIDES:
        view.note("process_settings", what=option, value="" if option == "PR_SET_NAME" else value)
    elif option == "PR_SET_SECCOMP":
        view.note("process_settings", what=option, value=value)


def _setting(view: View, event: Event) -> None:
    value = " ".join(str(value) for value in event.args.values())
    view.note("process_settings", what=event.api, value=value[:200])


def _machine(view: View, event: Event) -> None:
    value = " ".join(str(value) for value in event.args.values())
    view.note("machine", what=event.api, value=value[:200], result=_result(event))


def _ring(view: View, event: Event) -> None:
    """Note io_uring: what is done through it makes no system call of its own, so it is not seen one by one."""
    if event.api == "io_uring_enter":
        view.tally("asynchronous", {"what": "io_uring submissions"}, calls=1, submitted=number(argument(event, 1)) or 0)
    else:
        view.tally("asynchronous", {"what": event.api}, calls=1)


_IDENTITIES = """
    setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups setuid32 setgid32 setreuid32
    setregid32 setresuid32 setresgid32 setfsuid32 setfsgid32 setgroups32
"""
_MACHINE = """
    reboot sethostname setdomainname settimeofday clock_settime adjtimex swapon swapoff syslog acct iopl ioperm
    perf_event_open keyctl add_key request_key userfaultfd
"""
_GROUPS: tuple[tuple[str, Rule], ...] = (
    ("init_module finit_module delete_module kexec_load kexec_file_load", _module),
    ("bpf", _bpf),
    ("mount umount umount2 pivot_root chroot move_mount", _mount),
    ("unshare setns clone clone3", _namespace),
    ("ptrace", _ptrace),
    ("process_vm_readv process_vm_writev", _foreign_memory),
    ("kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal", _signal),
    (_IDENTITIES, _identity),
    ("capset", _capset),
    ("prctl", _prctl),
    ("setsid seccomp personality setpriority sched_setscheduler landlock_restrict_self", _setting),
    (_MACHINE, _machine),
    ("io_uring_setup io_uring_enter io_uring_register io_submit", _ring),
)
RULES: dict[str, Rule] = {api: rule for apis, rule in _GROUPS for api in apis.split()}
