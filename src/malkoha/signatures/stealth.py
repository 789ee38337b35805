"""Hiding: programs that delete themselves or never were on a disk, wiped logs, times and names that lie, rootkits."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import REMOVES, SYSTEM, WRITES, Command, Evidence, Scene, Signature, Touch, system_name
from malkoha.signatures.kinds import Installed, OfSample
from malkoha.signatures.paths import table
from malkoha.signatures.places import HISTORIES, LOGINS, LOGS, MAILBOXES
from malkoha.signatures.programs import ACCOUNTS, INTERPRETERS, SHELLS
from malkoha.trace.descriptors import Descriptor, argument, open_flags

_TRUNCATES = frozenset({"truncate", "ftruncate", "creat"})


def _empties(touch: Touch) -> bool:
    """Tell whether a touch takes away what was in the file."""
    event = touch.event
    if touch.access == "remove" or event.api in _TRUNCATES or event.api.startswith(("rename", "link", "symlink")):
        return True
    return event.api.startswith("open") and "O_TRUNC" in open_flags(event)


_UNLINKS = {"unlink": (0, None), "unlinkat": (1, 0)}


class DeletesItself(Signature):
    """A program removes the file that it runs from."""

    name = "deletes_itself"
    description = "Deletes the file of the program that is running"
    severity = 4
    attack = ("T1070.004",)
    syscalls = frozenset(_UNLINKS)

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret != 0:
            return None
        path = scene.path(event, *_UNLINKS[event.api])
        return Evidence(path, "file") if path and path == scene.exe else None


class RunsFromMemory(Signature):
    """A program is run from a file that exists in memory only."""

    name = "runs_from_memory"
    description = "Runs a program from an anonymous file in memory"
    severity = 4
    attack = ("T1620",)
    references = ("man 2 memfd_create",)
    syscalls = frozenset({"exec", "execveat", "execve"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.kind == "exec":
            exe = str(event.args.get("exe", ""))
            return Evidence(exe, "file") if exe.startswith("/memfd:") else None
        if event.ret is not None and event.ret < 0:
            return None
        if event.api == "execveat" and "AT_EMPTY_PATH" in str(argument(event, 4)):
            item = scene.descriptor(argument(event, 0))
        else:
            item = self._by_proc(event, scene)
        return Evidence(item.path, "file") if item is not None and item.kind == "memfd" else None

    @staticmethod
    def _by_proc(event: Event, scene: Scene) -> Descriptor | None:
        path = argument(event, 1 if event.api == "execveat" else 0)
        parts = str(path).split("/")
        if len(parts) == 5 and parts[1] == "proc" and parts[3] == "fd":
            return scene.descriptor(parts[4])
        return None


class LoadsKernelModule(Signature):
    """A module runs with all rights and can hide whatever it wants."""

    name = "loads_kernel_module"
    description = "Loads a module into the kernel"
    severity = 4
    attack = ("T1547.006", "T1014")
    syscalls = frozenset({"init_module", "finit_module"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        item = scene.descriptor(argument(event, 0)) if event.api == "finit_module" else None
        outcome = "loaded" if event.ret == 0 else f"refused: {event.errno or 'no answer'}"
        return Evidence(item.path if item and item.path else "from memory", "module", outcome)


class LoadsModuleCommand(Installed):
    """insmod and modprobe do it; modprobe is asked for ordinary drivers too."""

    name = "runs_module_loader"
    description = "Loads a module into the kernel by a command"
    severity = 2
    attack = ("T1547.006",)
    programs = frozenset({"insmod", "modprobe"})
    unless = re.compile(r"\s(?:-r|--remove|-n|--dry-run|-c|--showconfig|--version)\b")


class LoadsKernelProgram(Signature):
    """BPF programs see and change what others see of files, processes and packets."""

    name = "loads_bpf_program"
    description = "Loads a BPF program into the kernel"
    severity = 3
    attack = ("T1014",)
    references = ("man 2 bpf",)
    syscalls = frozenset({"bpf"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if "PROG_LOAD" not in str(argument(event, 0)) or event.ret is None or event.ret < 0:
            return None
        return None if scene.program in ("systemd", "systemd-executor") else Evidence("BPF_PROG_LOAD", "call")


class DeletesRunning(Signature):
    """The program goes on, its file is gone."""

    name = "deletes_running_program"
    description = "Deletes the file of another program that is still running"
    severity = 3
    attack = ("T1070.004",)
    syscalls = frozenset({"exec", "execve", "exit", "exit_group", *_UNLINKS})

    def __init__(self) -> None:
        self._running: dict[int, str] = {}
        self._files: dict[str, set[int]] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api in _UNLINKS:
            path = scene.path(event, *_UNLINKS[event.api]) if event.ret == 0 and self._files else None
            return Evidence(path, "file") if path and self._files.get(path, set()) - {scene.key} else None
        if event.kind == "exit" or event.api == "exit_group":
            self._end(scene.key)
        elif event.kind == "exec" or (event.kind == "syscall" and event.ret in (0, None) and event.api == "execve"):
            path = str(event.args.get("exe", "")) if event.kind == "exec" else scene.path(event, 0)
            self._end(scene.key)
            if path and not system_name(path) and len(self._running) < 10_000:
                self._running[scene.key] = path
                self._files.setdefault(path, set()).add(scene.key)
        return None

    def _end(self, key: int) -> None:
        path = self._running.pop(key, None)
        if path is not None:
            self._files[path].discard(key)
            if not self._files[path]:
                del self._files[path]


class DeletesByCommand(Signature):
    """Ordinary in scripts."""

    name = "deletes_files_by_command"
    description = "Deletes files by a command"
    severity = 1
    attack = ("T1070.004",)
    programs = frozenset({"rm", "unlink"})


class ShredsFiles(Signature):
    """Overwritten files cannot be brought back."""

    name = "shreds_files"
    description = "Overwrites files before it deletes them"
    severity = 2
    attack = ("T1070.004", "T1485")
    programs = frozenset({"shred", "srm", "wipe", "scrub"})


class ClearsLogs(Installed):
    """Logs are only ever added to."""

    name = "clears_logs"
    description = "Empties or deletes logs of the system"
    severity = 4
    attack = ("T1685.006", "T1070")
    paths = LOGS
    access = WRITES | REMOVES
    ordinary = frozenset({"logrotate", "systemd-journald", "rsyslogd", "savelog", "auditd", "apache2", "nginx"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if _empties(touch) else None


class ClearsLogins(Installed):
    """Who was logged in stands in these files; login programs add to them."""

    name = "clears_login_records"
    description = "Changes the records of who was logged in"
    severity = 4
    attack = ("T1685.006", "T1070")
    references = ("man 5 utmp",)
    paths = LOGINS
    access = WRITES | REMOVES
    ordinary = ACCOUNTS | {"agetty", "systemd-update-utmp", "systemd-logind", "logrotate", "systemd-tmpfiles"}


class ClearsJournal(Installed):
    """The journal throws away what is older than asked for."""

    name = "clears_journal"
    description = "Has the journal throw away what it holds"
    severity = 3
    attack = ("T1685.006",)
    programs = frozenset({"journalctl"})
    line = re.compile(r"--vacuum-\w+")
    unless = re.compile(r"--vacuum-(?:time[= ]\s*[1-9]\d*\s*(?:d|w|M|y|month)|size[= ]\s*[1-9]\d*[MGT])")
    """What keeps days, or megabytes, is housekeeping."""


class ClearsHistory(Signature):
    """What was typed is forgotten."""

    name = "clears_shell_history"
    description = "Empties or deletes the history of a shell"
    severity = 4
    attack = ("T1070.003",)
    paths = HISTORIES
    access = WRITES | REMOVES
    ordinary = frozenset({"vim", "vim.basic", "vim.tiny", "less", "wget", "python3", "mysql", "psql", "sqlite3"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if _empties(touch) else None


class ClearsMail(Installed):
    """Mail tells what cron jobs and daemons complain about."""

    name = "clears_mailbox"
    description = "Empties or deletes mail"
    severity = 3
    attack = ("T1070.008", "T1685.006")
    paths = MAILBOXES
    access = WRITES | REMOVES
    ordinary = frozenset({"mail", "mutt", "exim4", "postfix", "local", "dovecot", "procmail", "userdel", "deluser"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if _empties(touch) else None


class Timestomp(Signature):
    """The time of a file is set to one that was never true; archivers and copiers do it to keep the true one."""

    name = "sets_file_times"
    description = "Sets the times of a file to chosen ones"
    severity = 2
    attack = ("T1070.006",)
    references = ("man 2 utimensat",)
    programs = frozenset({"touch"})
    line = re.compile(r"\s(?:-\w*[rdt]\b|-\w*[rt]\s|--date|--reference|--time=)")
    paths = table("/**")
    access = frozenset({"time"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        times = argument(touch.event, 2 if touch.event.api in ("utimensat", "futimesat") else 1)
        return None if scene.program or times in ("NULL", "0x0", "", []) else super().on_path(touch, scene)


class SetsClock(Signature):
    """With another clock, new files look old."""

    name = "sets_system_clock"
    description = "Changes the clock of the system"
    severity = 3
    attack = ("T1070.006",)
    syscalls = frozenset({"clock_settime", "settimeofday", "stime"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if scene.program in ("chronyd", "ntpd", "systemd-timesyncd", "hwclock", "systemd", "ntpdate"):
            return None
        return None if argument(event, 0) == "NULL" else Evidence(event.api, "call")


class HiddenFile(OfSample):
    """Names with a dot are left out of listings; in these folders hardly anything needs one."""

    name = "hides_file"
    description = "Makes a file or folder whose name begins with a dot where none belongs"
    severity = 2
    attack = ("T1564.001",)
    paths = table(
        "/{tmp,dev,lib,bin,sbin,opt,boot}/**.*",
        "/usr/{bin,sbin,lib,share,local}/**.*",
        "/var/{tmp,run,lib}/**.*",
        "/run/.*",
    )
    access = frozenset({"write", "create"})
    _dotted = re.compile(r"/\.[^/]+$")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if self._dotted.search(touch.path) else None


class OddName(Signature):
    """Names of dots and blanks look like what they are not."""

    name = "misleading_file_name"
    description = "Makes a file whose name is made of dots, or ends with a blank"
    severity = 3
    attack = ("T1036.006", "T1564.001", "T1036.005")
    paths = table("*.", "* ", "...", "*... ", "...*")
    access = frozenset({"write", "create"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        last = touch.path.rsplit("/", 1)[-1]
        odd = last.endswith(" ") or not last.strip(". ")
        return super().on_path(touch, scene) if odd and last else None


_DOCUMENTS = r"\.(?:pdf|docx?|xlsx?|pptx?|odt|rtf|txt|csv|jpe?g|png|gif|bmp|mp[34]|avi|zip)"


class DoubleExtension(Signature):
    """The first extension is for people, the second for the system."""

    name = "double_extension"
    description = "Uses a file with two extensions, of a document and of a program"
    severity = 2
    attack = ("T1036.007",)
    line = re.compile(_DOCUMENTS + r"\s*\.(?:sh|py|pl|elf|bin|run|desktop|php|rb|out)(?:\s|$)")


class WrongType(Signature):
    """A program that bears the name of a picture."""

    name = "runs_disguised_file"
    description = "Runs a file that bears the name of a document or a picture"
    severity = 3
    attack = ("T1036.008",)
    line = re.compile(_DOCUMENTS)
    _document = re.compile(r".*" + _DOCUMENTS)

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        del scene
        started = [command.filename, command.exe]
        if command.names & (SHELLS | INTERPRETERS - {"awk", "gawk", "mawk"}) and command.argv[1:2] != ("-c",):
            started += command.argv[1:2]
        found = next((path for path in started if self._document.fullmatch(path)), None)
        return Evidence(found, "file") if found else None


class Decodes(Installed):
    """Encoded payloads are decoded by programs that every system has."""

    name = "decodes_data"
    description = "Decodes or decrypts data by a command"
    severity = 1
    attack = ("T1140", "T1027")
    line = re.compile(
        r"(?:^|[\s;|/])(?:base(?:64|32|16)|basenc)\s[^|;]*(?:-\w*d\b|-D\b|--decode)|openssl\s+(?:enc|base64|aes\S*|des\S*)\b[^|;]*\s-d\b"
        r"|\bxxd\s[^|;]*-r\b|\buudecode\b|b64decode|base64_decode|decode_base64|fromhex\(|unhexlify|gpg\s[^|;]*(?:-d|--decrypt)\b"
        r"|\bxz\s+-dc?\s|FromBase64|atob\("
    )


class CompilesHere(Installed):
    """What is compiled where it is to run passes no check of programs."""

    name = "compiles_after_delivery"
    description = "Compiles a program whose source it wrote itself"
    severity = 1
    attack = ("T1027.004",)
    programs = frozenset({"gcc", "cc", "g++", "c++", "clang", "tcc", "go", "rustc", "x86_64-linux-gnu-gcc-12", "make"})

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        base = scene.tables.resolve(scene.key, ".", "AT_FDCWD") or ""
        for word in command.argv[1:]:
            path = scene.tables.resolve(scene.key, word, "AT_FDCWD")
            if (
                path
                and path != base
                and scene.writer(path) is not None
                and path.endswith((".c", ".cc", ".cpp", ".go", ".rs"))
            ):
                return super().on_run(command, scene)
        return None


class PadsBinary(Signature):
    """A few bytes at the end change the hash of a program."""

    name = "pads_file"
    description = "Adds bytes to a file, which changes its hash"
    severity = 1
    attack = ("T1027.001",)
    programs = frozenset({"truncate", "dd"})
    line = re.compile(r"truncate\s.*(?:-s|--size)[ =]?\+|oflag=append|conv=\S*notrunc")


class PadsCopy(Signature):
    """The copy of a program does what the program does, and has another hash."""

    name = "pads_copied_program"
    description = "Adds bytes to the copy of a program of the system, which changes its hash"
    severity = 3
    attack = ("T1027.001",)
    paths = table("/**")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        writer = scene.writer(touch.path) if "O_APPEND" in open_flags(touch.event) else None
        by = scene.command_of(writer) if writer is not None and writer != scene.key else None
        copied = by is not None and "cp" in by.names and any(word.startswith(SYSTEM) for word in by.argv[1:-1])
        return Evidence(touch.path, "file") if copied else None


class PacksProgram(Signature):
    """A packed program is seen by no scanner until it runs."""

    name = "packs_program"
    description = "Packs a program, or wraps a script into one"
    severity = 2
    attack = ("T1027.002",)
    programs = frozenset({"upx", "upx-ucl", "gzexe", "bzexe", "shc", "makeself", "makeself.sh", "ezuri", "midgetpack"})


class LockedArchive(Signature):
    """What is in an archive with a password is seen by no scanner."""

    name = "unpacks_locked_archive"
    description = "Unpacks an archive with a password"
    severity = 1
    attack = ("T1027.013", "T1140")
    line = re.compile(
        r"\bunzip\s.*-P\s*\S|\b7z[ar]?\s+[xe]\b.*\s-p\S|\bunrar\s+[xe]\b.*\s-p\S|\bopenssl\s+enc\b.*-d\b.*-(?:k|pass)\b"
    )


SIGNATURES: tuple[type[Signature], ...] = (
    DeletesItself, RunsFromMemory, LoadsKernelModule, LoadsModuleCommand, LoadsKernelProgram, DeletesRunning,
    DeletesByCommand, ShredsFiles, ClearsLogs, ClearsLogins, ClearsJournal, ClearsHistory, ClearsMail, Timestomp,
    SetsClock, HiddenFile, OddName, DoubleExtension, WrongType, Decodes, CompilesHere, PadsBinary,
    LockedArchive,
    PadsCopy, PacksProgram,
)  # fmt: skip
