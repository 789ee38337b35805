"""Gathering what is to be taken away: archives, searches, screens, keys, sound, mail."""

from __future__ import annotations

import re

from malkoha.signatures.base import READS, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.places import CAMERAS, INPUT_DEVICES, MAILBOXES, SCREENS, SOUND
from malkoha.signatures.programs import BACKUPS, PACKAGERS

ARCHIVERS = frozenset(
    {
        "tar",
        "bsdtar",
        "zip",
        "7z",
        "7za",
        "7zr",
        "rar",
        "gzip",
        "pigz",
        "bzip2",
        "xz",
        "zstd",
        "lzma",
        "cpio",
        "ar",
        "zpaq",
    }
)
_OPEN_FOLDERS = ("/tmp/", "/var/tmp/", "/dev/shm/", "/run/shm/")
_DOCUMENTS = r"(?:docx?|xlsx?|pptx?|odt|ods|pdf|kdbx|pem|key|ovpn|csv|sql|wallet|jpe?g|png|txt|zip|db|sqlite3?|id_rsa|env|cfg|conf)"
_SENSITIVE = (
    r"/etc/(?:passwd|shadow|group|ssh|sudoers|kubernetes|ssl/private)|/etc(?=\s|$)|\.ssh|\.aws|\.gnupg|\.kube|\.azure|\.docker|\.mozilla"
    r"|\.config/(?:google-chrome|gcloud|chromium)|/home(?=/?(?:\s|$))|/root(?=/?(?:\s|$))|/var/(?:log|mail|spool|www|lib/mysql)|history"
)


class Archives(Signature):
    """Ordinary on its own."""

    name = "makes_archive"
    description = "Packs files into an archive"
    severity = 1
    attack = ("T1560.001",)
    programs = ARCHIVERS - {"ar"}
    line = re.compile(
        r"^\S*(?:tar|bsdtar)\s+(?:-?\w*[cru]\w*|--create)|^\S*(?:zip|rar|7z\w?|zpaq)\s|^\S*(?:gzip|pigz|bzip2|xz|zstd|lzma)\b|^\S*cpio\s.*-\w*o"
    )
    unless = re.compile(
        r"^\S*(?:gzip|bzip2|xz|zstd|pigz|lzma)\s.*(?:-\w*d|--decompress|-t\b|-l\b)|^\S*7z\w?\s+[xelt]\b|^\S*rar\s+[xelt]\b"
    )
    ordinary = PACKAGERS


class ArchivesSensitive(Signature):
    """Accounts, keys, logs, whole homes."""

    name = "archives_sensitive_files"
    description = "Packs accounts, keys, logs or whole homes into an archive"
    severity = 2
    attack = ("T1560.001", "T1005")
    programs = ARCHIVERS
    line = re.compile(rf"{_SENSITIVE}")
    unless = re.compile(r"\s-?\w*[xt]\w*f\b|--extract|-d\b|--decompress")
    ordinary = PACKAGERS | {"logrotate", "savelog", "cron"}


class ArchiveWithPassword(Signature):
    """Nobody on the way, and no owner, can look into it."""

    name = "archive_with_password"
    description = "Packs or encrypts files with a password that stands in the arguments"
    severity = 2
    attack = ("T1560.001", "T1486")
    programs = frozenset({"zip", "7z", "7za", "7zr", "rar", "openssl", "gpg", "gpg2"})
    line = re.compile(
        r"^\S*zip\s.*(?:-\w*[Pe]\b|--password|--encrypt)|^\S*7z\w?\s+a\b.*\s-p\S*|^\S*rar\s+a\b.*\s-(?:hp|p)\S*"
        r"|^\S*openssl\s+(?:enc|aes\S*|des\S*)\b.*\s-(?:k|pass|K|kfile)\b|^\S*gpg2?\s.*(?:--passphrase\S*).*(?:-\w*c\b|--symmetric)"
    )
    unless = re.compile(r"\s-d\b|--decrypt")


class ArchiveHidden(Signature):
    """An archive in a place where nobody looks."""

    name = "archive_in_hidden_place"
    description = "Writes an archive under a hidden name or into shared memory"
    severity = 3
    attack = ("T1074.001", "T1560")
    paths = table(
        "/{tmp,var/tmp}/.*{.tar,.tar.gz,.tgz,.zip,.7z,.rar,.gz,.bz2,.xz}", "/{tmp,var/tmp}/.*/**{.tar,.tar.gz,.tgz,.zip,.7z,.rar,.gz,.bz2,.xz}",
        "/dev/shm/**{.tar,.tar.gz,.tgz,.zip,.7z,.rar,.gz,.bz2,.xz}",
    )  # fmt: skip


class ArchiveByInterpreter(Signature):
    """A script packs with a library of its language."""

    name = "archive_by_interpreter"
    description = "An interpreter's own library writes an archive"
    severity = 1
    attack = ("T1560.002",)
    paths = table("*.{gz,tgz,bz2,xz,zip,7z,tbz2,zst}")
    _interpreter = re.compile(r"python[\d.]*|perl[\d.]*|ruby[\d.]*|php[\d.]*|node(?:js)?")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return Evidence(touch.path, "file") if self._interpreter.fullmatch(scene.program) else None


class SearchesDocuments(Signature):
    """A search over the disk for kinds of files that are worth taking."""

    name = "searches_for_documents"
    description = "Searches the disk for documents, keys or wallets"
    severity = 2
    attack = ("T1119", "T1005", "T1083")
    programs = frozenset({"find", "locate", "plocate", "fd", "fdfind"})
    line = re.compile(rf"\.{_DOCUMENTS}\b|id_rsa|wallet\.dat|\.kdbx|credentials")


class ReadsManyDocuments(Signature):
    """One process goes through the documents of the users."""

    name = "reads_many_documents"
    description = "Reads many documents of the users"
    severity = 2
    attack = ("T1005", "T1119")
    paths = table(
        "/{home,root,srv,media,mnt}/**.{doc,docx,xls,xlsx,ppt,pptx,odt,ods,pdf,csv,kdbx,jpg,jpeg,png,txt,sql,eml,pem,key}",
    )  # fmt: skip
    access = READS
    ordinary = BACKUPS | {"updatedb", "updatedb.plocate", "tracker-miner-fs-3", "clamscan", "git", "grep", "rg"}
    _needed = 30

    def __init__(self) -> None:
        self._read: dict[int, set[str]] = {}

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if scene.program in self.ordinary or len(self._read) > 5_000:
            return None
        read = self._read.setdefault(scene.key, set())
        if len(read) >= self._needed:
            return None
        read.add(touch.path)
        return Evidence(touch.path, "file", f"the {self._needed}th") if len(read) == self._needed else None


class Stages(Signature):
    """Copies of other files gather in one hidden folder."""

    name = "gathers_files_in_hidden_folder"
    description = "Gathers files in a hidden folder for temporary files"
    severity = 3
    attack = ("T1074.001",)
    paths = table("/{tmp,var/tmp,dev/shm}/.*/**")
    ordinary = frozenset({"Xorg", "Xwayland", "git"})
    _needed = 5

    def __init__(self) -> None:
        self._written: dict[str, set[str]] = {}

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        folder = "/".join(touch.path.split("/")[: 3 if touch.path.startswith("/tmp/") else 4])
        if (
            scene.program in self.ordinary
            or re.search(r"/\.(?:X11|ICE|font|XIM|Test)-unix", folder)
            or len(self._written) > 1_000
        ):
            return None
        written = self._written.setdefault(folder, set())
        if len(written) >= self._needed:
            return None
        written.add(touch.path)
        return Evidence(folder, "file") if len(written) == self._needed else None


class KeepsFindings(Signature):
    """What was found out is kept until it can be sent."""

    name = "keeps_findings_in_file"
    description = "Writes what it found out about the machine into a file for temporary files"
    severity = 1
    attack = ("T1074.001", "T1119")
    programs = frozenset({
        "ps", "ss", "netstat", "ip", "ifconfig", "whoami", "id", "uname", "lsof", "env", "lsblk", "last", "w", "who", "dpkg",
        "getent", "systemctl", "crontab", "hostnamectl", "arp", "mount", "df", "find", "ls", "lsmod", "uptime", "groups",
    })  # fmt: skip

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        output = scene.descriptor(1)
        path = (output.path or "") if output is not None and output.kind == "file" else ""
        return Evidence(path, "file", command.line[:200]) if path.startswith(_OPEN_FOLDERS) else None


class CapturesScreen(Signature):
    """A picture or film of the screen."""

    name = "captures_screen"
    description = "Takes pictures of the screen"
    severity = 3
    attack = ("T1113",)
    programs = frozenset(
        {
            "import",
            "scrot",
            "xwd",
            "maim",
            "gnome-screenshot",
            "spectacle",
            "flameshot",
            "grim",
            "fbgrab",
            "fbcat",
            "ffmpeg",
            "recordmydesktop",
        }
    )
    line = re.compile(
        r"^\S*(?:scrot|xwd|maim|gnome-screenshot|spectacle|flameshot|grim|fbgrab|fbcat|recordmydesktop)\b|^\S*import\b.*-window|^\S*ffmpeg\b.*(?:x11grab|kmsgrab|fbdev)"
    )


class ReadsScreen(Signature):
    """The memory of the screen itself."""

    name = "reads_screen_memory"
    description = "Reads the frame buffer"
    severity = 3
    attack = ("T1113",)
    paths = SCREENS
    access = READS
    attempts = True
    ordinary = frozenset(
        {"Xorg", "Xwayland", "gnome-shell", "kwin_wayland", "weston", "plymouthd", "systemd-logind", "mutter"}
    )


class ReadsKeyboard(Signature):
    """Input devices give every key, whoever has the window."""

    name = "reads_input_devices"
    description = "Reads keyboards or other input devices directly"
    severity = 4
    attack = ("T1056.001",)
    paths = INPUT_DEVICES
    access = frozenset({"read", "write"})
    attempts = True
    ordinary = frozenset({
        "Xorg", "Xwayland", "gnome-shell", "kwin_wayland", "weston", "systemd-logind", "systemd-udevd", "udevadm", "acpid", "libinput",
        "upowerd", "triggerhappy", "thd", "inputattach", "agetty", "systemd", "plymouthd", "bluetoothd", "kbd_mode", "setfont", "loadkeys",
    })  # fmt: skip


class LogsKeys(Signature):
    """Programs that show or keep what is typed."""

    name = "logs_keys"
    description = "Starts a program that records what is typed"
    severity = 3
    attack = ("T1056.001",)
    programs = frozenset(
        {"logkeys", "showkey", "xinput", "xspy", "xev", "evtest", "uberkey", "lkl", "logger", "script", "screenkey"}
    )
    line = re.compile(
        r"^\S*(?:logkeys|showkey|xspy|evtest|uberkey|lkl|screenkey)\b|^\S*xinput\b.*test|^\S*logger\b.*history|^\S*script\b.* -\w*[fq]"
    )
    unless = re.compile(r"^\S*script\b.* (?:-\w*c\b|--command)")
    """It records one command then, and nobody types."""


class AuditsCommands(Signature):
    """The audit system of the kernel, made to write down every command of every user."""

    name = "logs_commands_by_audit"
    description = "Has the kernel's audit system record what users run or type"
    severity = 3
    attack = ("T1056.001",)
    programs = frozenset({"auditctl", "aureport", "ausearch"})
    line = re.compile(r"auditctl\s.*-S\s*(?:execve|read|tty)|(?:aureport|ausearch)\s.*--?(?:tty|m\s+(?:TTY|USER_CMD))")


class LogsShell(Signature):
    """A prompt that hands every command to somebody else."""

    name = "logs_shell_commands"
    description = "Has the shell hand on every command that is typed"
    severity = 3
    attack = ("T1056.001",)
    script = re.compile(r"\b(?:PROMPT_COMMAND|PS[124]|trap)\b[^\n]{0,80}(?:logger|BASH_COMMAND|history 1|fc -l)")
    words = ("PROMPT_COMMAND", "PS1=", "PS2=", "PS4=", "trap ")


class TracesLogins(Signature):
    """A tracer on the programs that passwords are typed into."""

    name = "traces_password_programs"
    description = "Attaches a tracer to a running program to read what it reads"
    severity = 3
    attack = ("T1056", "T1003.007")
    programs = frozenset({"strace", "ltrace", "gdb", "gcore", "bpftrace", "perf"})
    line = re.compile(
        r"^\S*(?:strace|ltrace)\b.*(?: -\w*p ?\d| -\w*p .*(?:sshd|su|sudo|login|passwd))|^\S*gcore\b|^\S*gdb\b.*(?:-p ?\d|--pid|attach)|^\S*(?:bpftrace|perf)\b.*(?:readline|sshd|pam_)"
    )


class RecordsSound(Signature):
    """A microphone is opened."""

    name = "records_sound"
    description = "Records sound"
    severity = 3
    attack = ("T1123",)
    paths = SOUND
    access = frozenset({"read", "write"})
    programs = frozenset({"arecord", "parec", "parecord", "pw-record", "rec", "sox"})
    ordinary = frozenset({"pulseaudio", "pipewire", "wireplumber", "alsactl"})


class RecordsVideo(Signature):
    """A camera is opened."""

    name = "records_video"
    description = "Opens a camera"
    severity = 3
    attack = ("T1125",)
    paths = CAMERAS
    access = frozenset({"read", "write"})
    programs = frozenset({"fswebcam", "streamer", "motion", "guvcview", "cheese", "mjpg_streamer"})
    ordinary = frozenset({"systemd-udevd", "v4l_id", "pipewire", "wireplumber"})


class ReadsClipboard(Signature):
    """Passwords often go through it."""

    name = "reads_clipboard"
    description = "Reads the clipboard"
    severity = 2
    attack = ("T1115",)
    programs = frozenset({"xclip", "xsel", "wl-paste", "xclipboard", "clipit", "parcellite"})


class ReadsMail(Signature):
    """Mail of the users, by a program that is none for mail."""

    name = "reads_mailboxes"
    description = "Reads the mail of users"
    severity = 3
    attack = ("T1114.001",)
    paths = MAILBOXES
    access = frozenset({"read"})
    ordinary = BACKUPS | {
        "mutt",
        "neomutt",
        "mail",
        "mailx",
        "s-nail",
        "bsd-mailx",
        "thunderbird",
        "exim4",
        "dovecot",
        "imap",
        "procmail",
        "postfix",
        "local",
        "biff",
        "from",
    }


class DumpsDatabase(Signature):
    """All of a database in one file."""

    name = "dumps_database"
    description = "Dumps a database"
    severity = 1
    attack = ("T1005",)
    programs = frozenset(
        {
            "mysqldump",
            "mariadb-dump",
            "pg_dump",
            "pg_dumpall",
            "mongodump",
            "redis-cli",
            "sqlite3",
            "slapcat",
        }
    )
    line = re.compile(
        r"^\S*(?:mysqldump|mariadb-dump|pg_dump\w*|mongodump|slapcat)\b|^\S*redis-cli\b.*--rdb|^\S*sqlite3\b.*\.dump"
    )


SIGNATURES: tuple[type[Signature], ...] = (
    Archives, ArchivesSensitive, ArchiveWithPassword, ArchiveHidden, ArchiveByInterpreter, SearchesDocuments, ReadsManyDocuments,
    Stages, CapturesScreen, ReadsScreen, ReadsKeyboard, LogsKeys, LogsShell, TracesLogins, RecordsSound, RecordsVideo,
    ReadsClipboard, ReadsMail, DumpsDatabase,
    AuditsCommands,
    KeepsFindings,
)  # fmt: skip
