"""Getting something to run: programs out of pipes and downloads, shells out of tools, services, inline programs."""

from __future__ import annotations

import re

from malkoha.signatures.base import READS, SYSTEM, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.places import UNITS
from malkoha.signatures.programs import DOWNLOADERS, INTERPRETERS, PACKAGERS, PYTHONS, SHELLS

DECODERS = frozenset(
    {"base64", "base32", "basenc", "xxd", "openssl", "uudecode", "gunzip", "zcat", "xzcat", "rev", "tr", "od"}
)
_READERS = SHELLS | INTERPRETERS
_COMPILERS = frozenset({"cc", "gcc", "g++", "c++", "clang", "ld", "ld.bfd", "collect2", "go", "rustc", "tcc"})
_OPEN_PLACES = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/")


class _Piped(Signature):
    """An interpreter takes its program from a pipe that one of ``feeders`` fills, whichever of the two starts first."""

    feeders: frozenset[str]
    line = re.compile("")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        if command.names & _READERS and _reads_program(command):
            feeders = (one for one in scene.piped(0) if one.names & self.feeders)
        elif command.names & self.feeders:
            feeders = (command for one in scene.piped(1) if one.names & _READERS and _reads_program(one))
        else:
            return None
        feeder = next(feeders, None)
        return Evidence(feeder.line[:500], "command") if feeder is not None else None


def _reads_program(command: Command) -> bool:
    """Tell whether an interpreter reads its program from standard input: it is given no script and no text."""
    words = command.argv[2 if {"busybox", "toybox"} & command.names else 1 :]
    return (
        not words
        or words[0] in ("-", "-s", "-i", "/dev/stdin")
        or all(re.fullmatch("-[a-bd-z]+", word) for word in words)
    )


class RunsDecodedText(_Piped):
    """What a decoder puts out goes straight into an interpreter."""

    name = "decoded_text_into_interpreter"
    description = "Decodes a text straight into a shell or interpreter that executes it"
    severity = 4
    attack = ("T1059.004", "T1140", "T1027.010")
    feeders = DECODERS


class RunsDownloadedText(_Piped):
    """What is downloaded goes straight into an interpreter."""

    name = "download_into_interpreter"
    description = "Downloads a text straight into a shell or interpreter that executes it"
    severity = 4
    attack = ("T1059.004", "T1105")
    feeders = DOWNLOADERS


class RunsDownloadedFile(Signature):
    """The file that runs was written by a program that downloads."""

    name = "runs_downloaded_file"
    description = "Runs a file that it has downloaded"
    severity = 4
    attack = ("T1105", "T1204.002")
    line = re.compile("")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        for path in _files(command, scene):
            writer = scene.writer(path)
            by = scene.command_of(writer) if writer is not None else None
            if by is not None and by.names & DOWNLOADERS:
                return Evidence(path, "file", by.line[:200])
        return None


class RunsWrittenFile(Signature):
    """The file that runs was written during this run, into a folder that everybody may write to."""

    name = "runs_file_written_to_open_folder"
    description = "Runs a program or script that was written to a folder for temporary files"
    severity = 2
    attack = ("T1059.004", "T1204.002")
    line = re.compile("")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        for path in _files(command, scene):
            if path.startswith(_OPEN_PLACES) and scene.writer(path) is not None:
                return Evidence(path, "file")
        return None


class RunsHiddenFile(Signature):
    """Programs whose name or folder begins with a dot are not shown by ls."""

    name = "runs_hidden_file"
    description = "Runs a hidden file from a folder for temporary files or shared memory"
    severity = 3
    attack = ("T1564.001", "T1204.002")
    line = re.compile("")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        for path in _files(command, scene):
            if path.startswith(_OPEN_PLACES) and ("/." in path or path.startswith(("/dev/shm/", "/run/shm/"))):
                return Evidence(path, "file")
        return None


class RunsCompiledFile(Signature):
    """The file that runs was written by a compiler."""

    name = "runs_what_it_compiled"
    description = "Compiles a program and runs it"
    severity = 1
    attack = ("T1027.004",)
    line = re.compile("")

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        writer = scene.writer(command.exe)
        by = scene.command_of(writer) if writer is not None else None
        return Evidence(command.exe, "file") if by is not None and by.names & _COMPILERS else None


def _files(command: Command, scene: Scene) -> list[str]:
    """List the files whose content a command executes: the program, and the script of an interpreter."""
    found = [command.exe, command.filename]
    if command.names & _READERS:
        script = next((word for word in command.argv[1:] if not word.startswith("-")), "")
        if script and "-c" not in command.argv[1:3] and "-e" not in command.argv[1:3]:
            found.append(scene.tables.resolve(scene.key, script, "AT_FDCWD") or "")
    return [path for path in dict.fromkeys(found) if path.startswith("/")]


_SHELL = r"(?:/(?:usr/)?bin/)?(?:ba|da|z|k|a|r)?sh\b"


class ShellOutOfTool(Signature):
    """Tools that can start programs are told to start a shell, to get around restrictions or rules on shells."""

    name = "shell_out_of_tool"
    description = "Has a tool that is no shell start one (as GTFOBins collects)"
    severity = 3
    attack = ("T1059.004",)
    references = ("https://gtfobins.github.io/",)
    line = re.compile(
        rf"^\S*awk\b.*system\s*\(\s*[\"']{_SHELL}"
        rf"|^\S*find\b.* -(?:exec|ok)\s+{_SHELL}(?! -c)"
        rf"|--checkpoint-action=exec|^\S*zip\b.*(?:-TT|--unzip-command)"
        rf"|^\S*(?:vi|vim|vim\.\w+|view|ex)\b.*:?!?\s*{_SHELL}\s*$"
        rf"|^\S*(?:env|nice|ionice|stdbuf|timeout|setarch|taskset|flock|strace|ltrace|chroot|unshare|nsenter|capsh|expect)\b.*\s{_SHELL}(?: -[ip])?\s*$"
        rf"|^\S*(?:perl|ruby)\b.* -e .*(?:exec|system)[ (]*[\"']{_SHELL}"
        rf"|^\S*python[\d.]*\b.* -c .*(?:os\.system|os\.exec\w*|pty\.spawn|subprocess\.\w+)\W+{_SHELL}"
        rf"|^\S*(?:gdb|git|man|less|sqlite3|nmap|tcpdump|lua[\d.]*|php[\d.]*|node)\b.*(?:!|system|exec|spawn)\W*{_SHELL}"
    )
    ordinary = frozenset({"parallel"})


class ShellUnderTool(Signature):
    """A bare shell whose creator is a program that has no business with one."""

    name = "bare_shell_under_tool"
    description = "A program that is no shell, terminal or login starts a bare shell"
    severity = 3
    attack = ("T1059.004",)
    programs = SHELLS
    _tools = frozenset({
        "awk", "gawk", "mawk", "find", "tar", "zip", "cpan", "ftp", "gdb", "nmap", "tcpdump", "sqlite3", "less", "more",
        "man", "ed", "lua", "perl", "ruby", "php", "node", "rsync", "wget", "irb", "tclsh", "expect", "mysql", "psql", "git",
    })  # fmt: skip

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        words = command.argv[1:]
        bare = (
            not words
            or words in (("-i",), ("-p",))
            or bool(
                words[0] == "-c" and len(words) > 1 and re.fullmatch(rf"(?:exec )?{_SHELL}(?: -[ip])?\s*&?", words[1])
            )
        )
        script = command.script or not scene.child_of(self._tools)
        return Evidence(command.line[:500], "command") if bare and not script else None


class BusyboxShell(Signature):
    """Samples for devices call busybox for everything; on a server its shell is the unusual one."""

    name = "busybox_shell"
    description = "Starts the shell of busybox"
    severity = 2
    attack = ("T1059.004",)
    programs = frozenset({"busybox", "toybox"})
    line = re.compile(r"^\S*(?:busybox|toybox) (?:sh|ash|hush)\b")


class ShellUnderServer(Signature):
    """A server that starts a shell was told to, or has been broken into."""

    name = "shell_under_server"
    description = "A web or database server starts a shell"
    severity = 4
    attack = ("T1059.004", "T1190", "T1505.003")
    programs = SHELLS
    _servers = frozenset({
        "nginx", "apache2", "httpd", "lighttpd", "php-fpm", "php-cgi", "mysqld", "mariadbd", "postgres", "redis-server",
        "mongod", "memcached", "tomcat", "named", "smbd", "vsftpd", "proftpd", "exim4",
    })  # fmt: skip

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        return Evidence(command.line[:500], "command") if scene.child_of(self._servers) else None


class ShellUnderReader(Signature):
    """A program that shows documents and starts a shell may have been made to by the document."""

    name = "shell_under_document_reader"
    description = "A program that shows documents, mail or pages starts a shell"
    severity = 3
    attack = ("T1203", "T1059.004")
    programs = SHELLS
    _show = frozenset({
        "soffice.bin", "soffice", "oosplash", "evince", "okular", "xpdf", "mupdf", "zathura", "qpdfview", "gs", "thunderbird",
        "mutt", "firefox", "firefox-esr", "chromium", "eog", "vlc", "mpv", "display", "convert",
    })  # fmt: skip

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        shown = not command.script and scene.child_of(self._show)
        return Evidence(command.line[:500], "command") if shown else None


class EncodedInlineProgram(Signature):
    """A program in the arguments that unpacks the real one."""

    name = "inline_program_unpacks_itself"
    description = "Runs an inline program that decodes and evaluates another one"
    severity = 4
    attack = ("T1059", "T1027.010", "T1140")
    programs = INTERPRETERS | SHELLS
    line = re.compile(
        r" -(?:c|e|r|ne|E) .*(?:exec|eval|__import__)\b.*(?:b64decode|b32decode|a85decode|unhexlify|fromhex|decompress|marshal\.loads"
        r"|rot13|decode_base64|base64_decode|gzinflate|unpack\b|atob\(|Buffer\.from)"
        r"|\beval\b.*\bbase(?:64|32)\b.* -(?:d|-decode)",
        re.DOTALL,
    )


class InlineProgram(Signature):
    """People do this as well; it is the common form of one-line payloads."""

    name = "inline_program"
    description = "Runs a program that is given in the arguments of an interpreter"
    severity = 1
    attack = ("T1059",)
    programs = INTERPRETERS - frozenset({"awk", "gawk", "mawk"})
    line = re.compile(r"^\S+(?: -\w+)* -\w*[cerE] ")
    ordinary = PACKAGERS


class ShellProgram(Signature):
    """Most samples that are no ELF file are this; alone it means nothing."""

    name = "runs_shell_script"
    description = "Runs a script of its own in a shell"
    severity = 1
    attack = ("T1059.004",)
    programs = SHELLS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        script = _own_script(command)
        return Evidence(script, "file") if script and not scene.under(PACKAGERS) else None


class PythonProgram(Signature):
    """As a file, as an argument, or from standard input."""

    name = "runs_python_program"
    description = "Runs a program of its own in Python"
    severity = 1
    attack = ("T1059.006",)
    programs = PYTHONS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        inline = _reads_program(command) or any(re.fullmatch(r"-\w*c", word) for word in command.argv[1:])
        script = command.line[:200] if inline else _own_script(command)
        return Evidence(script, "command") if script and not scene.under(PACKAGERS) else None


def _own_script(command: Command) -> str:
    """Give the path of the script that an interpreter was given; empty when it is one of the system's, or none."""
    first = next((word for word in command.argv[1:] if not word.startswith("-")), "")
    script = command.script or ("" if any(re.fullmatch(r"-\w*c", word) for word in command.argv[1:]) else first)
    return "" if script.startswith((*SYSTEM, "/etc/", "/usr/share/", "/usr/local/")) else script[:500]


class HiddenText(Signature):
    """Words are written as numbers, so that nobody finds them in the script."""

    name = "script_hides_text"
    description = "A script writes text as numbers and turns it back"
    severity = 1
    attack = ("T1027", "T1140")
    script = re.compile(
        r"(?:printf|echo)[^\n]{0,40}(?:(?:\\x[0-9a-fA-F]{2}){8}|(?:\\0?[0-3][0-7]{2}){8})|\bxxd\s+-\w*r|\bpack\W{1,4}H\*"
    )
    words = ("printf", "echo", "xxd", "pack")


class ScriptDecodesAndRuns(Signature):
    """The words stand in a script that a shell reads."""

    name = "script_decodes_and_runs"
    description = "A script decodes a text and hands it to a shell"
    severity = 3
    attack = ("T1059.004", "T1140", "T1027.010")
    script = re.compile(
        r"\b(?:base64|base32|xxd|openssl)\b[^\n|;]{0,200} (?:-d\w*|-D|--decode|-r)\b[^\n;]{0,200}\|\s*(?:sudo\s+)?(?:/\S{0,20}/)?(?:ba|da|z|k)?sh\b"
        r"|\beval\b[^\n]{0,40}\bbase64\b"
    )
    words = ("base64", "base32", "xxd", "openssl")


class ScriptDownloadsAndRuns(Signature):
    """The words stand in a script that a shell reads."""

    name = "script_downloads_and_runs"
    description = "A script downloads a text and hands it to a shell or interpreter"
    severity = 3
    attack = ("T1059.004", "T1105")
    script = re.compile(
        r"\b(?:curl|wget|lwp-download|fetch)\b[^\n|;]{0,300}\|\s*(?:sudo\s+)?(?:/\S{0,20}/)?(?:(?:ba|da|z|k)?sh|python[\d.]*|perl|php|ruby)\b"
        r"|\b(?:ba|da|z)?sh\b[^\n]{0,30}(?:<\(|\$\(|`)\s*(?:curl|wget)\b"
    )
    words = ("curl", "wget", "lwp-download", "fetch")


class StartsWrittenService(Signature):
    """A unit is written, and systemd is told to run it."""

    name = "starts_service_that_it_wrote"
    description = "Writes a systemd unit and has it started"
    severity = 2
    attack = ("T1569.003", "T1543.002")
    paths = UNITS
    programs = frozenset({"systemctl"})
    line = re.compile(r"\b(?:start|restart|enable|daemon-reload|link|reenable)\b")

    def __init__(self) -> None:
        self._written = ""

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if not scene.under(PACKAGERS | {"systemctl", "systemd"}):
            self._written = touch.path
        return None

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        return Evidence(command.line[:500], "command", self._written) if self._written else None


class ServiceFromOpenFolder(Signature):
    """Units belong to folders that only root may write to."""

    name = "service_from_open_folder"
    description = "Has systemd take a unit from a folder that others may write to, or run a command"
    severity = 2
    attack = ("T1569.003",)
    programs = frozenset({"systemctl", "systemd-run"})
    line = re.compile(r"\b(?:link|enable|start)\b.* (?:/tmp|/var/tmp|/dev/shm|/home)/|^\S*systemd-run\b")
    ordinary = PACKAGERS


class TransientTimer(Signature):
    """systemd itself keeps the time; nothing is written to a disk."""

    name = "transient_timer"
    description = "Has systemd run a command at a time or again and again"
    severity = 3
    attack = ("T1053.006",)
    programs = frozenset({"systemd-run"})
    line = re.compile(r" --(?:on-(?:calendar|active|boot|startup|unit-active|unit-inactive)|timer-property)")
    ordinary = PACKAGERS


class ContainerCommand(Signature):
    """Containers are a way to run something with other rights."""

    name = "runs_in_container"
    description = "Runs a command in a container"
    severity = 2
    attack = ("T1609", "T1610")
    programs = frozenset({"docker", "podman", "nerdctl", "kubectl", "crictl", "ctr", "lxc"})
    line = re.compile(r" (?:exec|run|create|apply)\b")


class LoadsWrittenLibrary(Signature):
    """A library that was written during this run is opened."""

    name = "loads_library_from_open_folder"
    description = "Reads a library that was written to a folder for temporary files"
    severity = 2
    attack = ("T1129", "T1574.006")
    paths = table("/tmp/**.so{,.*}", "/var/tmp/**.so{,.*}", "/dev/shm/**.so{,.*}")
    access = READS
    ordinary = _COMPILERS | {
        "ar",
        "ranlib",
        "strip",
        "objdump",
        "nm",
        "cp",
        "tar",
        "readelf",
        "objcopy",
        "ldconfig",
        "file",
        "install",
    }

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if scene.writer(touch.path) is not None else None


SIGNATURES: tuple[type[Signature], ...] = (
    RunsDecodedText, RunsDownloadedText, RunsDownloadedFile, RunsWrittenFile, RunsHiddenFile, RunsCompiledFile,
    ShellOutOfTool, ShellUnderTool, BusyboxShell, ShellUnderServer, ShellUnderReader, EncodedInlineProgram, InlineProgram,
    ScriptDecodesAndRuns, ScriptDownloadsAndRuns, StartsWrittenService, ServiceFromOpenFolder, TransientTimer, ContainerCommand,
    LoadsWrittenLibrary,
    ShellProgram, PythonProgram, HiddenText,
)  # fmt: skip
