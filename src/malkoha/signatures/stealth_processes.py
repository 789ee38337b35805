"""Processes that hide: under another's name, in another's memory, in memory that they write and then run."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import SYSTEM, WRITES, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.commands import base
from malkoha.signatures.paths import table
from malkoha.trace.descriptors import argument

_KERNEL = re.compile(
    r"\[.+\]|(?:kworker|kthread|ksoftirqd|kswapd|migration|rcu_|watchdog/|khugepaged|kdevtmpfs|kauditd|jbd2|scsi_|irq/)\S*"
)
_DAEMONS = frozenset({
    "sshd", "cron", "crond", "systemd", "init", "rsyslogd", "syslogd", "klogd", "udevd", "systemd-udevd",
    "systemd-journald", "systemd-logind", "systemd-resolved", "dbus-daemon", "auditd", "atd", "agetty", "login",
    "bash", "sh", "apache2", "httpd", "nginx", "mysqld", "ntpd", "acpid", "irqbalance", "polkitd", "dhclient",
    "NetworkManager", "networkd", "snapd", "telnetd", "console-kit-daemon", "hald-runner", "hald-addon-acpi",
    "pickup", "avahi-daemon", "lldpd", "portmap", "rpcbind",
})  # fmt: skip
_DEBUGGERS = frozenset({"gdb", "strace", "ltrace", "gcore", "rr", "perf", "lldb", "valgrind", "eu-stack"})
_TEMPORARY = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/", "/run/user/", "/run/lock/", "/dev/mqueue/")  # noqa: S108


class _Runs(Signature):
    """What every program that is started tells."""

    line = re.compile("")


class KernelName(_Runs):
    """Names in brackets are those of the kernel's own threads, which have no file."""

    name = "poses_as_kernel_thread"
    description = "Starts a program under the name of a thread of the kernel"
    severity = 4
    attack = ("T1036.004", "T1036.011")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        del scene
        for word in (command.argv[0] if command.argv else "", base(command.filename)):
            if _KERNEL.fullmatch(word):
                return Evidence(word, "name", command.filename)
        return None


class FalseArgument(_Runs):
    """The first argument is by custom the name of the program, and is what ps shows."""

    name = "claims_to_be_other_program"
    description = "Starts a program under the name of another program"
    severity = 3
    attack = ("T1036.011", "T1036.005")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        claimed = base(command.argv[0]) if command.argv else ""
        true = {base(command.filename), base(command.exe)}
        if (
            command.script
            or claimed in true
            or claimed not in _DAEMONS
            or scene.under({"busybox", "sshd", "login", "su"})
        ):
            return None
        shells = {"sh", "bash"} & {claimed} and true & {"dash", "bash", "busybox", "sh", "rbash"}
        return None if shells else Evidence(command.argv[0], "name", command.filename)


class DaemonName(_Runs):
    """A daemon of the system runs from the system's folders."""

    name = "poses_as_system_program"
    description = "Runs a program with the name of one of the system's from another folder"
    severity = 3
    attack = ("T1036.005",)

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        del scene
        path = command.filename
        outside = path.startswith((*_TEMPORARY, "/home/", "/root/", "/opt/", "/var/"))
        return Evidence(path, "file") if outside and base(path) in _DAEMONS else None


class RenamedUtility(_Runs):
    """Rules that look for the name of a program do not find its copy."""

    name = "runs_renamed_utility"
    description = "Copies a program of the system to another name and runs the copy"
    severity = 3
    attack = ("T1036.003",)
    _copiers = frozenset({"cp", "mv", "ln", "install", "dd", "cat", "rsync"})

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        path = scene.tables.resolve(scene.key, command.filename, "AT_FDCWD") or command.filename
        writer = None if path.startswith(SYSTEM) else scene.writer(path)
        by = scene.command_of(writer) if writer is not None else None
        if by is None or not by.names & self._copiers:
            return None
        sources = {word.removeprefix("if=") for word in by.argv[1:] if word.removeprefix("if=").startswith(SYSTEM)}
        renamed = sources and base(path) not in {base(source) for source in sources}
        return Evidence(path, "file", by.line[:200]) if renamed else None


class HiddenProgram(_Runs):
    """A folder whose name is made of dots and blanks looks like none."""

    name = "runs_from_misleading_folder"
    description = "Runs a program from a folder whose name is made of dots and blanks"
    severity = 3
    attack = ("T1036.005", "T1564.001")
    _odd = re.compile(r"/(?:\.{3,}|[. ]* [. ]*)/")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        path = scene.tables.resolve(scene.key, command.filename, "AT_FDCWD") or command.filename
        return Evidence(path, "file") if self._odd.search(path) else None


class RunsFromMemoryFolder(_Runs):
    """What lies in these folders is gone with the next start of the machine."""

    name = "runs_from_memory_folder"
    description = "Runs a program from a folder that exists in memory only"
    severity = 3
    attack = ("T1564", "T1620")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        del scene
        for path in (command.filename, command.exe):
            if path.startswith(("/dev/shm/", "/run/shm/", "/dev/mqueue/", "/run/user/", "/run/lock/")):  # noqa: S108
                return Evidence(path, "file")
        return None


class Renames(Signature):
    """Threads get names too; the name of a kernel thread or a daemon is a lie."""

    name = "renames_itself"
    description = "Gives itself the name of a thread of the kernel or of a daemon"
    severity = 3
    attack = ("T1036.004", "T1036.011")
    references = ("man 2 prctl",)
    syscalls = frozenset({"prctl"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        claimed = str(argument(event, 1))
        if argument(event, 0) != "PR_SET_NAME" or scene.program or base(scene.exe)[:15] == claimed:
            return None
        return Evidence(claimed, "name") if claimed in _DAEMONS or _KERNEL.fullmatch(claimed) else None


class ChangesName(Signature):
    """Ordinary for threads; a process whose only thread does it is shown under another name."""

    name = "changes_process_name"
    description = "Changes the name that the process is shown under"
    severity = 1
    attack = ("T1036.011", "T1036.004")
    syscalls = frozenset({"prctl"})
    paths = table("/proc/*/comm", "/proc/*/task/*/comm")

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if argument(event, 0) not in ("PR_SET_NAME", "PR_SET_MM") or scene.program:
            return None
        return Evidence(str(argument(event, 1))[:64], "name")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.program else super().on_path(touch, scene)


class HidesByMount(Signature):
    """Under a mount, the folder of a process in /proc looks empty."""

    name = "hides_process_by_mount"
    description = "Mounts something over a process in /proc, so that it is not seen"
    severity = 5
    attack = ("T1564.013", "T1564")
    references = ("man 5 proc",)
    syscalls = frozenset({"mount", "move_mount"})
    _process = re.compile(r"/proc/[0-9]+/?")

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        target = scene.path(event, 1) if event.api == "mount" else scene.path(event, 3, 2)
        hidden = target is not None and (self._process.fullmatch(target) or "hidepid=" in str(argument(event, 4)))
        return Evidence(str(target), "folder") if hidden and scene.program != "systemd" else None


class BindMount(Signature):
    """One folder is shown in place of another."""

    name = "mounts_over_folder"
    description = "Mounts a folder in place of another"
    severity = 1
    attack = ("T1564.013",)
    syscalls = frozenset({"mount"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        flags = str(argument(event, 3))
        if (
            "MS_BIND" not in flags
            or "MS_REMOUNT" in flags
            or event.ret != 0
            or scene.under({"systemd", "systemd-executor", "bwrap"})
        ):
            return None
        return Evidence(scene.path(event, 1) or "", "folder", str(argument(event, 0))[:200])


class Namespaces(Signature):
    """Containers are made this way, and processes that others do not see."""

    name = "makes_namespaces"
    description = "Makes namespaces of its own for processes, mounts or the network"
    severity = 1
    attack = ("T1564",)
    references = ("man 7 namespaces",)
    syscalls = frozenset({"unshare", "clone", "clone3", "setns"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if scene.program in ("systemd", "systemd-executor") or event.ret is None or event.ret < 0:
            return None
        found = re.findall(r"CLONE_NEW(?:PID|NS|NET|UTS|IPC|CGROUP)\b", str(event.args))
        return Evidence("|".join(found), "namespace") if found or event.api == "setns" else None


class ChangesRoot(Signature):
    """Behind another root folder, paths mean other files."""

    name = "changes_root_folder"
    description = "Makes another folder its root"
    severity = 1
    attack = ("T1564",)
    syscalls = frozenset({"chroot", "pivot_root"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        known = {"sshd", "systemd", "systemd-executor", "bwrap", "sshd-session", "apt", "dpkg"}
        return (
            Evidence(str(argument(event, 0))[:200], "folder") if event.ret == 0 and scene.program not in known else None
        )


class WritableCode(Signature):
    """Memory that can be written and run at once: compilers in interpreters use it, malware unpacks into it."""

    name = "writable_executable_memory"
    description = "Asks for memory that can be written and run at once"
    severity = 2
    attack = ("T1027.002",)
    syscalls = frozenset({"mmap", "mmap2", "mprotect", "pkey_mprotect"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        rights = str(argument(event, 2))
        if "PROT_EXEC" not in rights or "PROT_WRITE" not in rights or scene.program or event.ret is None:
            return None
        return None if -4096 < event.ret < 0 else Evidence(event.api, "memory", str(argument(event, 1)))


class Unpacks(Signature):
    """Memory of no file is written first and made runnable then: there was code in a shape that could not be read."""

    name = "unpacks_in_memory"
    description = "Writes memory and then makes it runnable, as packed programs do"
    severity = 2
    attack = ("T1027.002",)
    syscalls = frozenset({"mmap", "mmap2", "mprotect", "pkey_mprotect"})

    def __init__(self) -> None:
        self._written: dict[tuple[int, int], None] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        rights = str(argument(event, 2))
        if scene.program or event.ret is None or ("PROT_WRITE" not in rights and "PROT_EXEC" not in rights):
            return None
        if event.api.startswith("mmap"):
            if "ANONYMOUS" in str(argument(event, 3)) and "PROT_EXEC" not in rights and len(self._written) < 50_000:
                self._written[scene.key, event.ret] = None
            return None
        address = str(argument(event, 0))
        if "PROT_EXEC" in rights and event.ret == 0 and re.fullmatch(r"0x[0-9a-f]{1,16}", address):
            return Evidence("mprotect", "memory", address) if (scene.key, int(address, 16)) in self._written else None
        return None


class PutsLibrary(Signature):
    """The loader puts the library into the program before its own."""

    name = "preloads_library"
    description = "Starts programs with a library put in by the loader (LD_PRELOAD)"
    severity = 3
    attack = ("T1574.006",)
    references = ("man 8 ld.so",)
    syscalls = frozenset({"execve", "execveat"})
    _known = re.compile(
        r"libfakeroot|libstdbuf|libeatmydata|libfaketime|libproxychains|libsnoopy|libjemalloc|libtcmalloc|libgtk3-nocsd"
    )

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        del scene
        environment = argument(event, 3 if event.api == "execveat" else 2)
        for word in map(str, environment if isinstance(environment, list) else ()):
            if re.match(r"LD_(?:PRELOAD|AUDIT)=.", word) and not self._known.search(word):
                return Evidence(word[:300], "environment")
        return None


class PathOrder(Signature):
    """A program in an own folder is found before the system's of the same name."""

    name = "puts_own_folder_first_in_path"
    description = "Starts programs with a search path that begins in a folder that anybody can write"
    severity = 2
    attack = ("T1574.007",)
    syscalls = frozenset({"execve"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        del scene
        environment = argument(event, 2)
        for word in map(str, environment if isinstance(environment, list) else ()):
            if word.startswith(("PATH=.:", "PATH=/tmp", "PATH=/var/tmp", "PATH=/dev/shm")):
                return Evidence(word[:300], "environment")
        return None


class PtraceInjection(Signature):
    """Debuggers write into other processes; hardly any other program needs to."""

    name = "injects_by_ptrace"
    description = "Writes into the memory or registers of another process (ptrace)"
    severity = 4
    attack = ("T1055.008",)
    references = ("man 2 ptrace",)
    syscalls = frozenset({"ptrace"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        request = str(argument(event, 0))
        if not re.search(r"PTRACE_(?:POKE|SETREG|SETFPREG)", request) or scene.program in _DEBUGGERS:
            return None
        return Evidence(f"process {argument(event, 1)}", "process", request) if event.ret in (0, None) else None


class MemoryInjection(Signature):
    """The memory of another process, as a file or by the call made for it."""

    name = "injects_into_memory"
    description = "Writes into the memory of another process"
    severity = 4
    attack = ("T1055.009",)
    syscalls = frozenset({"process_vm_writev"})
    paths = table("/proc/*/mem")
    access = WRITES

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret is None or event.ret <= 0 or scene.program in _DEBUGGERS:
            return None
        return Evidence(f"process {argument(event, 0)}", "process")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        process = scene.process
        own = process is not None and str(process.pid) == touch.path.split("/")[2]
        return None if own or "/self/" in touch.path or scene.program in _DEBUGGERS else super().on_path(touch, scene)


class Detaches(Signature):
    """Daemons do it: a new session, whose first process ends."""

    name = "detaches_itself"
    description = "Leaves its session, so that it goes on without whoever started it"
    severity = 1
    attack = ("T1036.009",)
    references = ("man 2 setsid",)
    syscalls = frozenset({"setsid", "daemon"})
    programs = frozenset({"setsid", "daemonize", "disown"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return None if scene.program else Evidence(event.api, "call")


class IgnoresHangup(Signature):
    """The process stays when its terminal goes."""

    name = "ignores_hangup"
    description = "Stays alive when its terminal or its user goes"
    severity = 1
    attack = ("T1564.011",)
    programs = frozenset({"nohup"})
    syscalls = frozenset({"rt_sigaction"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if scene.program or argument(event, 0) not in ("SIGHUP", "SIGTERM") or "SIG_IGN" not in str(argument(event, 1)):
            return None
        return Evidence(str(argument(event, 0)), "signal")


SIGNATURES: tuple[type[Signature], ...] = (
    KernelName, FalseArgument, DaemonName, HiddenProgram, RunsFromMemoryFolder, Renames, ChangesName, HidesByMount,
    BindMount, Namespaces, ChangesRoot, WritableCode, Unpacks, PutsLibrary, PathOrder, PtraceInjection, MemoryInjection,
    Detaches, IgnoresHangup,
    RenamedUtility,
)  # fmt: skip
