"""Tricks against debuggers, virtual machines and sandboxes: looking for them, waiting them out, going around them."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import READS, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Installed, OfSample, Often
from malkoha.signatures.paths import table
from malkoha.signatures.places import CONTAINER_MARKS, DMI, SANDBOX_MARKS, SELF, SELF_IMAGE, VIRTUAL_HARDWARE
from malkoha.trace.descriptors import argument, number

_DEBUGGERS = frozenset({"gdb", "strace", "ltrace", "rr", "lldb", "valgrind"})
_LOOKS = READS | {"probe"}
_SHOWS = frozenset({
    "cat", "head", "grep", "egrep", "fgrep", "ls", "find", "test", "[", "stat", "strings", "sh", "dash", "bash",
    "awk", "mawk", "sed", "cut", "file", "dd", "od", "xxd",
})  # fmt: skip


class _Checks(Installed):
    """What the sample looks at itself or lets a program show that shows files."""

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if not scene.program or scene.program in _SHOWS else None


class SelfTrace(Signature):
    """Only one debugger can trace a process: who traces itself finds out whether there is one."""

    name = "checks_for_debugger"
    description = "Checks for a debugger by tracing itself"
    severity = 3
    attack = ("T1622",)
    references = ("man 2 ptrace",)
    syscalls = frozenset({"ptrace"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if str(argument(event, 0)) not in ("PTRACE_TRACEME", "0") or scene.under(_DEBUGGERS):
            return None
        return Evidence("PTRACE_TRACEME", "call", f"result {event.ret_text}" if event.ret_text else "")


class TracesParent(Signature):
    """A child that traces its parent takes the place of a debugger."""

    name = "traces_its_parent"
    description = "Attaches to its own parent, so that no debugger can"
    severity = 3
    attack = ("T1622",)
    syscalls = frozenset({"ptrace"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if str(argument(event, 0)) not in ("PTRACE_ATTACH", "PTRACE_SEIZE"):
            return None
        near = {process.pid for key in scene.ancestors() if (process := scene.processes.get(key))}
        return Evidence(f"process {argument(event, 1)}", "process") if number(argument(event, 1)) in near else None


class TracerPid(OfSample):
    """The kernel says here who traces the process."""

    name = "reads_its_own_status"
    description = "Reads its own status, which tells whether a debugger is there (TracerPid)"
    severity = 2
    attack = ("T1622",)
    references = ("man 5 proc",)
    paths = SELF
    access = READS


class OwnImage(OfSample):
    """Packers read themselves, and so does who looks for break points."""

    name = "reads_its_own_image"
    description = "Reads its own program file or memory"
    severity = 1
    attack = ("T1622", "T1027.002")
    paths = SELF_IMAGE
    access = READS


class TrapHandler(Signature):
    """Under a debugger the trap goes to the debugger, not to the handler."""

    name = "traps_itself"
    description = "Sends itself a trap and handles it, which fails under a debugger"
    severity = 3
    attack = ("T1622",)
    syscalls = frozenset({"rt_sigaction", "kill", "tgkill", "tkill", "signal"})

    def __init__(self) -> None:
        self._handlers: set[int] = set()

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api == "rt_sigaction":
            handler = str(argument(event, 1))
            if (
                argument(event, 0) == "SIGTRAP"
                and handler != "NULL"
                and "SIG_DFL" not in handler
                and len(self._handlers) < 10_000
            ):
                self._handlers.add(scene.key)
            return None
        name = (
            str(event.args.get("signal", ""))
            if event.kind == "signal"
            else str(argument(event, 2 if event.api == "tgkill" else 1))
        )
        return Evidence("SIGTRAP", "signal") if name in ("SIGTRAP", "5") and scene.key in self._handlers else None


class Undumpable(Signature):
    """A process that cannot be dumped cannot be read in /proc either; keepers of keys do it as well."""

    name = "makes_itself_undumpable"
    description = "Forbids that its memory is dumped or read"
    severity = 2
    attack = ("T1622",)
    references = ("man 2 prctl",)
    syscalls = frozenset({"prctl"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        off = argument(event, 0) == "PR_SET_DUMPABLE" and str(argument(event, 1)) in ("0", "0x0", "SUID_DUMP_DISABLE")
        return Evidence("PR_SET_DUMPABLE", "call") if off and not scene.program else None


class Parent(Signature):
    """The parent of a sample is a shell, or else somebody watches."""

    name = "inspects_its_parent"
    description = "Looks at what its own parent is"
    severity = 2
    attack = ("T1622", "T1057")
    paths = table("/proc/*/{comm,cmdline,exe,stat,status}")
    access = _LOOKS

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if scene.program:
            return None
        parents = {str(process.pid) for key in scene.ancestors() if (process := scene.processes.get(key))}
        if scene.process is not None and scene.process.ppid:
            parents.add(str(scene.process.ppid))
        return Evidence(touch.path, "file") if touch.path.split("/")[2] in parents else None


class MachineNames(_Checks):
    """Makers and models of virtual machines stand here."""

    name = "reads_machine_names"
    description = "Reads the maker and model of the machine, which tell whether it is virtual"
    severity = 2
    attack = ("T1497.001", "T1082")
    paths = DMI
    access = READS


class MachineCommands(Installed):
    """Programs that tell whether the machine is virtual."""

    name = "runs_virtual_machine_check"
    description = "Asks a program whether the machine is virtual"
    severity = 2
    attack = ("T1497.001",)
    programs = frozenset({"systemd-detect-virt", "virt-what", "imvirt", "dmidecode", "facter", "hostnamectl"})
    unless = re.compile(r"hostnamectl\s+(?:set|hostname|icon|chassis|deployment|location)")


class MachineWords(Signature):
    """Names of virtual machines are looked for in what other programs show."""

    name = "searches_for_virtual_machine"
    description = "Searches for names of virtual machines or of what watches"
    severity = 3
    attack = ("T1497.001", "T1082")
    line = re.compile(
        r"(?i)\b(?:e?grep|fgrep|awk|findstr|case)\b.*(?:vbox|virtualbox|vmware|vmw_|vmxnet|virtio|qemu|\bkvm\b|xen-|\bxen\b|hypervisor|parallels"
        r"|hyper-?v|bochs|docker|lxc|cuckoo|sandbox)"
    )


class Processor(_Checks):
    """Model and flags of the processor."""

    name = "reads_processor"
    description = "Reads the model and the flags of the processor"
    severity = 1
    attack = ("T1497.001", "T1082")
    paths = table("/proc/cpuinfo")
    access = READS


class HardwareAddress(OfSample):
    """The first half of a network card's address names its maker."""

    name = "reads_hardware_address"
    description = "Reads the address of the network card, which names its maker"
    severity = 2
    attack = ("T1497.001", "T1016")
    paths = table("/sys/class/net/*/address", "/sys/devices/**/net/*/address")
    access = READS
    syscalls = frozenset({"ioctl"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        hit = str(argument(event, 1)) in ("SIOCGIFHWADDR", "0x8927", "35111") and not scene.program
        return Evidence("SIOCGIFHWADDR", "call") if hit else None


class VirtualHardware(_Checks):
    """Devices, drivers and folders that only virtual machines have."""

    name = "looks_for_virtual_hardware"
    description = "Looks for devices that only virtual machines have"
    severity = 2
    attack = ("T1497.001",)
    paths = VIRTUAL_HARDWARE
    access = _LOOKS
    attempts = True


class ContainerCheck(_Checks):
    """Files that only containers have."""

    name = "looks_for_container"
    description = "Looks for signs that it runs in a container"
    severity = 2
    attack = ("T1497.001", "T1613")
    paths = CONTAINER_MARKS
    access = _LOOKS
    attempts = True


class SandboxCheck(OfSample):
    """Files and programs of sandboxes and tracers."""

    name = "looks_for_sandbox"
    description = "Looks for files of sandboxes and tracers"
    severity = 3
    attack = ("T1497.001", "T1518.001")
    paths = SANDBOX_MARKS
    access = _LOOKS
    attempts = True


class UserActivity(OfSample):
    """Where people work there are histories, keys and documents."""

    name = "looks_for_user_activity"
    description = "Looks for signs that people use the machine"
    severity = 2
    attack = ("T1497.002",)
    paths = table(
        "~/.{bash_history,ssh,mozilla,viminfo,lesshst}",
        "~/{Documents,Desktop,Downloads,Pictures}",
        "~/.local/share/recently-used.xbel",
    )
    access = frozenset({"probe", "list"})
    attempts = True


class Resources(Signature):
    """Sandboxes have just started, and have little of everything."""

    name = "checks_resources"
    description = "Asks how long the machine runs and how much memory and processors it has"
    severity = 1
    attack = ("T1497.001", "T1082")
    syscalls = frozenset({"sysinfo"})
    paths = table("/proc/{uptime,meminfo,loadavg}", "/sys/devices/system/cpu/{online,present,possible}")
    access = READS

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return None if scene.program else Evidence(event.api, "call")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.program and scene.program not in _SHOWS else super().on_path(touch, scene)


class LongSleep(Signature):
    """A sandbox watches for some minutes only."""

    name = "sleeps_long"
    description = "Sleeps for a long time, which outlasts an analysis"
    severity = 2
    attack = ("T1497.003",)
    syscalls = frozenset({"nanosleep", "clock_nanosleep", "alarm"})
    programs = frozenset({"sleep", "ping"})
    _sleep = re.compile(r"^(\d+(?:\.\d+)?)([smhd]?)$")
    _long = 60.0

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api == "alarm":
            seconds = number(argument(event, 0)) or 0
        else:
            if event.api == "clock_nanosleep" and str(argument(event, 1)) not in ("0", "0x0"):
                return None
            asked = argument(event, 2 if event.api == "clock_nanosleep" else 0)
            seconds = (number(asked.get("tv_sec", "")) or 0) if isinstance(asked, dict) else 0
        if seconds < self._long or scene.program in ("sleep", "cron", "atd", "systemd", "sshd"):
            return None
        return Evidence(f"{seconds} s", "time")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        del scene
        if "ping" in command.names:
            found = re.search(r"\s-\w*[cw]\s*(\d{2,6})\b", command.line)
            return Evidence(command.line[:200], "command") if found and int(found[1]) >= self._long else None
        total = 0.0
        for word in command.argv[1:]:
            found = self._sleep.match(word[:12])
            total += float(found[1]) * {"m": 60, "h": 3600, "d": 86400}.get(found[2], 1) if found else 0
        return Evidence(command.line[:200], "command") if total >= self._long else None


class Sleep(LongSleep):
    """Ten seconds pass unnoticed, and may be all that a quick look takes."""

    name = "sleeps"
    description = "Sleeps for ten seconds or longer"
    severity = 1
    _long = 10.0


class Hammering(Often):
    """Calls that do nothing, thousands of times, take time from who records them."""

    name = "hammers_calls"
    description = "Makes thousands of calls that do nothing"
    severity = 2
    attack = ("T1497.003",)
    syscalls = frozenset(
        {"getpid", "getppid", "getuid", "gettimeofday", "time", "sched_yield", "gettid", "times", "getrusage"}
    )
    times = 5_000

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return Evidence(event.api, "call") if not scene.program and self.reached(scene.key) else None


class AsyncCalls(Signature):
    """What goes through a ring is no call of its own."""

    name = "uses_io_uring"
    description = "Hands its work to the kernel through a ring (io_uring), where calls are not seen"
    severity = 2
    attack = ("T1106",)
    references = ("man 2 io_uring_setup",)
    syscalls = frozenset({"io_uring_setup"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        worked = event.ret is not None and event.ret >= 0
        return (
            Evidence("io_uring_setup", "call", "" if worked else f"tried: {event.errno}") if not scene.program else None
        )


class CallFilter(Signature):
    """Careful programs do it too; a filter can keep tracers from working."""

    name = "filters_its_calls"
    description = "Installs a filter for its own system calls"
    severity = 1
    attack = ("T1622",)
    references = ("man 2 seccomp",)
    syscalls = frozenset({"seccomp", "prctl"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        first = str(argument(event, 0))
        asked = first.startswith("SECCOMP_SET_MODE") if event.api == "seccomp" else first == "PR_SET_SECCOMP"
        return Evidence(first, "call") if asked and event.ret == 0 and not scene.program else None


class Untraced(Signature):
    """The flag keeps a debugger from following the child."""

    name = "starts_untraced_child"
    description = "Starts a child that no debugger can follow"
    severity = 3
    attack = ("T1622",)
    references = ("man 2 clone",)
    syscalls = frozenset({"clone", "clone3"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return Evidence("CLONE_UNTRACED", "flag") if "CLONE_UNTRACED" in str(event.args) and not scene.program else None


class OtherTable(Signature):
    """A 64-bit program has no need of the 32-bit table of calls."""

    name = "uses_foreign_calls"
    description = "Makes calls of the other table (32-bit or x32) from a 64-bit program, which filters overlook"
    severity = 3
    attack = ("T1106",)
    syscalls = frozenset(
        {"open", "openat", "execve", "mmap", "write", "connect", "socket", "socketcall", "syscall_1073741883", "getpid"}
    )
    _number = re.compile(r"syscall_107374\d{4}")

    def __init__(self) -> None:
        self._native: set[int] = set()

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api == "execve" and event.ret in (0, None):
            self._native.discard(scene.key)
            return None
        if event.abi == "x86-64" and len(self._native) < 20_000:
            self._native.add(scene.key)
        foreign = event.abi in ("i386", "x32") and scene.key in self._native
        return Evidence(event.api, "call", event.abi) if foreign or self._number.fullmatch(event.api) else None


SIGNATURES: tuple[type[Signature], ...] = (
    SelfTrace, TracesParent, TracerPid, OwnImage, TrapHandler, Undumpable, Parent, MachineNames, MachineCommands,
    MachineWords, Processor, HardwareAddress, VirtualHardware, ContainerCheck, SandboxCheck, UserActivity, Resources,
    LongSleep, Hammering, AsyncCalls, CallFilter, Untraced, OtherTable,
    Sleep,
)  # fmt: skip
