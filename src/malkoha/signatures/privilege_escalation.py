"""Ways to more rights: setuid files, capabilities, sudo, and the shapes of exploits of kernel and setuid programs."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import READS, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Installed, Often
from malkoha.signatures.paths import table
from malkoha.signatures.places import ACCOUNT_FILES, KERNEL_HELPERS, KERNEL_MEMORY, SUDOERS, SYSTEM_PROGRAMS
from malkoha.signatures.programs import PACKAGERS
from malkoha.trace.descriptors import argument, number

_MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
_NAMES = re.compile(r"S_IS[UG]ID")
_NAMESPACES = frozenset({
    "unshare", "bwrap", "podman", "docker", "runc", "crun", "systemd", "systemd-executor", "firejail", "flatpak",
    "chrome",
})  # fmt: skip
_SETS = frozenset({"setuid", "setreuid", "setresuid", "setfsuid"})


class MakesSetuid(Signature):
    """Whoever runs such a file gets the rights of its owner."""

    name = "makes_setuid_file"
    description = "Makes a file run with the rights of its owner (setuid or setgid)"
    severity = 3
    attack = ("T1548.001",)
    references = ("man 2 chmod",)
    paths = table("/**")
    access = frozenset({"mode", "create", "remove"})

    def __init__(self) -> None:
        self._folders: set[str] = set()

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if touch.access == "create":
            if touch.event.api.startswith("mkdir") and len(self._folders) < 10_000:
                self._folders.add(touch.path)
            return None
        if touch.access == "remove":
            self._folders.discard(touch.path)
            return None
        mode = str(argument(touch.event, _MODES[touch.event.api]))
        if touch.path in self._folders:
            return None  # what is made in such a folder belongs to its group; nothing runs by it
        if not (_NAMES.search(mode) or _octal(mode) & 0o6000) or scene.under(PACKAGERS):
            return None
        return Evidence(touch.path, "file", f"mode {mode}")


def _octal(mode: str) -> int:
    """Read a mode; both engines print it in octal with a leading zero."""
    return int(mode, 8) if re.fullmatch(r"0[0-7]{1,7}", mode) else 0


class FileCapabilities(Installed):
    """A file with capabilities gives a part of root's rights to whoever runs it."""

    name = "sets_file_capabilities"
    description = "Gives a program capabilities of root"
    severity = 3
    attack = ("T1548.001",)
    references = ("man 7 capabilities",)
    syscalls = frozenset({"setxattr", "lsetxattr", "fsetxattr"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if argument(event, 1) != "security.capability" or event.ret != 0 or scene.under(PACKAGERS):
            return None
        item = scene.descriptor(argument(event, 0)) if event.api == "fsetxattr" else None
        path = item.path if item else scene.path(event, 0)
        return Evidence(path or "unknown file", "file")


class SetsCapability(Installed):
    """setcap does it too, whether the file system lets it or not."""

    name = "runs_setcap"
    description = "Asks for capabilities of root on a program"
    severity = 2
    attack = ("T1548.001",)
    programs = frozenset({"setcap"})
    line = re.compile(r"cap_|all=")


class Sudoers(Installed):
    """Who may become root stands in these files."""

    name = "changes_sudoers"
    description = "Changes who may become root (sudo)"
    severity = 4
    attack = ("T1548.003",)
    references = ("man 5 sudoers",)
    paths = SUDOERS


class UserNamespace(Signature):
    """In its own user namespace a process has all capabilities, and reaches code that only root can reach."""

    name = "makes_user_namespace"
    description = "Makes a user namespace of its own, in which it is root"
    severity = 2
    attack = ("T1611",)
    references = ("man 7 user_namespaces",)
    syscalls = frozenset({"unshare", "clone", "clone3"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if scene.program in _NAMESPACES or event.ret is None or event.ret < 0 or "CLONE_NEWUSER" not in str(event.args):
            return None
        return Evidence(event.api, "call")


class NamespaceAttack(Signature):
    """Most holes of recent years lie in code that a user namespace opens: nf_tables, packet sockets, overlayfs."""

    name = "attacks_kernel_in_user_namespace"
    description = "Uses packet filters, packet sockets or overlays of the kernel from a user namespace, as exploits do"
    severity = 4
    attack = ("T1068",)
    references = ("CVE-2022-0185", "CVE-2023-0386", "CVE-2023-32233", "CVE-2024-1086")
    syscalls = frozenset({"unshare", "clone", "clone3", "socket", "mount", "fsopen"})

    def __init__(self) -> None:
        self._inside: set[int] = set()

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret is None or event.ret < 0 or scene.program in _NAMESPACES:
            return None
        if event.api in ("unshare", "clone", "clone3"):
            if "CLONE_NEWUSER" in str(event.args) and len(self._inside) < 10_000:
                self._inside.add(scene.key)
            return None
        what = self._what(event)
        if not what or not (scene.key in self._inside or any(key in self._inside for key in scene.ancestors())):
            return None
        return Evidence(what, "interface")

    @staticmethod
    def _what(event: Event) -> str:
        if event.api == "socket":
            family, protocol = str(argument(event, 0)), str(argument(event, 2))
            if family == "AF_PACKET":
                return "packet socket"
            return "netfilter" if family == "AF_NETLINK" and ("NETFILTER" in protocol or protocol == "12") else ""
        kind = str(argument(event, 0 if event.api == "fsopen" else 2))
        return kind if kind in ("overlay", "fuse") else ""


class HeapSpray(Often):
    """Exploits put many objects of one size into the kernel's memory, and stop its copying with userfaultfd."""

    name = "sprays_kernel_heap"
    description = "Fills the kernel's memory with messages or keys while it handles page faults itself, as exploits do"
    severity = 4
    attack = ("T1068",)
    references = ("man 2 userfaultfd",)
    syscalls = frozenset({"userfaultfd", "msgsnd", "add_key", "keyctl", "setxattr"})
    times = 16

    def __init__(self) -> None:
        super().__init__()
        self._faults: set[int] = set()

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api == "userfaultfd":
            if event.ret is not None and event.ret >= 0 and len(self._faults) < 10_000:
                self._faults.add(scene.key)
            return None
        if scene.key in self._faults and self.reached(scene.key):
            return Evidence(event.api, "call", "after userfaultfd")
        return None


class DirtyPipe(Signature):
    """One byte of a file that must not be written is put into a pipe, so that its page can be written through it."""

    name = "splices_protected_file"
    description = "Moves a byte of a protected file into a pipe, as the exploit Dirty Pipe does"
    severity = 4
    attack = ("T1068",)
    references = ("CVE-2022-0847",)
    syscalls = frozenset({"splice"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        item = scene.descriptor(argument(event, 0))
        if item is None or (number(argument(event, 4)) or 0) > 16 or event.ret is None or event.ret < 1:
            return None
        protected = item.path in ACCOUNT_FILES or item.path in SYSTEM_PROGRAMS
        return Evidence(item.path, "file") if protected else None


class DirtyCow(Often):
    """One thread throws away a page again and again while another writes to it through /proc/self/mem."""

    name = "races_copy_on_write"
    description = "Throws memory away again and again while it writes to its memory file, as the exploit Dirty COW does"
    severity = 4
    attack = ("T1068",)
    references = ("CVE-2016-5195",)
    syscalls = frozenset({"madvise"})
    paths = table("/proc/self/mem", "/proc/*/mem")
    times = 100

    def __init__(self) -> None:
        super().__init__()
        self._opened: set[int] = set()

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        del touch
        if len(self._opened) < 10_000:
            self._opened.add(scene.key)
        return None

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if "DONTNEED" not in str(argument(event, 2)) or scene.key not in self._opened:
            return None
        return Evidence("madvise(MADV_DONTNEED)", "call") if self.reached(scene.key) else None


class BecomesRoot(Signature):
    """Without a setuid program or a call that sets it, a process cannot become root."""

    name = "becomes_root_without_setuid"
    description = "Has become root, and no call or setuid program explains how"
    severity = 5
    attack = ("T1068",)
    syscalls = _SETS | {"geteuid", "getuid", "execve", "execveat"}

    def __init__(self) -> None:
        self._users: dict[tuple[int, str], int] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api in ("getuid", "geteuid"):
            before = self._users.get((scene.key, event.api))
            if event.ret is not None and len(self._users) < 20_000:
                self._users[scene.key, event.api] = event.ret
            return Evidence(f"uid {before} to 0", "user") if before and event.ret == 0 else None
        if event.ret in (0, None):
            self._users.pop((scene.key, "getuid"), None)
            self._users.pop((scene.key, "geteuid"), None)
        return None


class KernelHelper(Signature):
    """The kernel runs what stands in these files, as root and outside of any container."""

    name = "replaces_kernel_helper"
    description = "Names a program that the kernel itself runs as root"
    severity = 4
    attack = ("T1611", "T1068")
    references = ("man 5 core", "CVE-2022-0492")
    paths = KERNEL_HELPERS
    ordinary = frozenset({"systemd", "systemd-sysctl", "systemd-executor"})


class KernelAddresses(Signature):
    """Exploits need to know where things lie in the kernel."""

    name = "reads_kernel_addresses"
    description = "Reads addresses or memory of the kernel"
    severity = 2
    attack = ("T1068",)
    paths = KERNEL_MEMORY
    access = READS
    ordinary = frozenset(
        {"perf", "bpftrace", "dmidecode", "systemd", "depmod", "kmod", "update-initramfs", "mkinitramfs"}
    )


class NoArguments(Signature):
    """Programs that trust argv[0] read their environment as arguments when they get none."""

    name = "setuid_program_without_arguments"
    description = "Starts a setuid program without even its own name, as the exploit PwnKit does"
    severity = 5
    attack = ("T1068",)
    references = ("CVE-2021-4034",)
    programs = frozenset({"pkexec", "sudo", "su", "mount", "umount", "passwd", "newgrp", "chsh", "chfn", "gpasswd"})

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        del scene
        return None if command.argv and command.argv[0] else Evidence(command.filename, "command")


class SudoEdit(Signature):
    """A backslash at the end of an argument led sudo to write beyond its memory."""

    name = "sudoedit_backslash"
    description = "Gives sudoedit an argument that ends with a backslash, as the exploit Baron Samedit does"
    severity = 4
    attack = ("T1068",)
    references = ("CVE-2021-3156",)
    programs = frozenset({"sudoedit"})
    line = re.compile(r"\s-\w*[si]\b.*\\(?:\s|$)")


class LoaderTunables(Signature):
    """The loader reads its own settings in setuid programs too."""

    name = "setuid_program_with_loader_settings"
    description = "Starts a setuid program with settings for the dynamic loader"
    severity = 4
    attack = ("T1068", "T1574.006")
    references = ("CVE-2023-4911",)
    syscalls = frozenset({"execve"})
    _setuid = re.compile(r"/(?:su|sudo|passwd|chsh|chfn|mount|umount|newgrp|gpasswd|pkexec|fusermount3?)")

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        del scene
        path, environment = str(argument(event, 0)), argument(event, 2)
        if not self._setuid.search(path) or not isinstance(environment, list):
            return None
        for word in map(str, environment):
            if word.startswith(("GLIBC_TUNABLES=glibc.", "LD_AUDIT=", "LD_PRELOAD=", "GCONV_PATH=")):
                return Evidence(word[:200], "environment", path)
        return None


class Capabilities(Signature):
    """Programs that give up rights do it too; who raises some keeps them across an exec."""

    name = "changes_its_capabilities"
    description = "Changes its own capabilities"
    severity = 1
    attack = ("T1548",)
    references = ("man 2 capset",)
    syscalls = frozenset({"capset", "prctl"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if scene.program or event.ret != 0:
            return None
        if event.api == "prctl" and "PR_CAP_AMBIENT" not in str(argument(event, 0)):
            return None
        return Evidence(event.api, "call")


class SetuidFiles(Signature):
    """Programs that run as root whoever starts them are the first thing to look at on the way up."""

    name = "searches_for_setuid_files"
    description = "Searches for programs that run with the rights of their owner"
    severity = 2
    attack = ("T1548.001", "T1083")
    programs = frozenset({"find", "fd", "fdfind"})
    line = re.compile(r"-perm\s+[-/+]?(?:[0-7]?[2467][0-7]{3}\b|[ugoa]*[=+]\w*s)")


SIGNATURES: tuple[type[Signature], ...] = (
    MakesSetuid, FileCapabilities, SetsCapability, Sudoers, UserNamespace, NamespaceAttack, HeapSpray, DirtyPipe,
    DirtyCow, BecomesRoot, KernelHelper, KernelAddresses, NoArguments, SudoEdit, LoaderTunables, Capabilities,
    SetuidFiles,
)  # fmt: skip
