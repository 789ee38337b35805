"""Getting at passwords, keys and tokens: files of the system and of users, memory, keyboards, networks, guessing."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import READS, Command, Evidence, Scene, Signature, Touch, system_name
from malkoha.signatures.kinds import Installed, Wanted
from malkoha.signatures.paths import table
from malkoha.signatures.places import (
    BROWSER,
    CLOUD,
    HASHES,
    HISTORIES,
    PASSWORD_FILES,
    PASSWORD_STORES,
    PGP_KEYS,
    TICKETS,
    TOKENS,
)
from malkoha.signatures.programs import ACCOUNTS, BROWSERS, SHELLS, SSH
from malkoha.trace.descriptors import argument, endpoint

_DEBUGGERS = frozenset({"gdb", "strace", "gcore", "perf", "valgrind"})
_SNIFFERS = frozenset({"tcpdump", "tshark", "dumpcap", "wireshark", "ettercap", "dsniff", "ngrep", "tcpflow"})
_METADATA = "169.254.169.254"


class PasswordHashes(Wanted, Installed):
    """Programs that check or change passwords read these files; hardly any other does."""

    name = "reads_password_hashes"
    description = "Reads the password hashes of the system's users"
    severity = 3
    attack = ("T1003.008",)
    references = ("man 5 shadow",)
    paths = HASHES
    access = READS
    ordinary = ACCOUNTS | {"screen", "tmux", "vlock"}

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        # Perl's getpwnam reads them too when root asks it for a user, as scripts of the system do
        command = scene.command if scene.program == "perl" else None
        return None if command is not None and system_name(command.script) else super().on_path(touch, scene)


class SshKeys(Wanted):
    """SSH's own programs read these keys."""

    name = "reads_ssh_keys"
    description = "Reads private keys of SSH"
    severity = 3
    attack = ("T1552.004",)
    paths = table(".ssh/id_{rsa,dsa,ecdsa,ed25519,ed25519_sk,ecdsa_sk}", ".ssh/identity", "/etc/ssh/ssh_host_*_key")
    access = READS
    ordinary = SSH | {"git", "ssh-keysign"}


class PgpKeys(Wanted):
    """GnuPG's own programs read these keys."""

    name = "reads_pgp_keys"
    description = "Reads keys of GnuPG"
    severity = 3
    attack = ("T1552.004",)
    paths = PGP_KEYS
    access = READS
    ordinary = frozenset(
        {"gpg", "gpg2", "gpg-agent", "gpgv", "gpgsm", "gpgconf", "dirmngr", "keyboxd", "scdaemon", "git"}
    )


class SearchesKeys(Signature):
    """Keys are known by their names."""

    name = "searches_for_keys"
    description = "Searches the disk for private keys"
    severity = 3
    attack = ("T1552.004",)
    programs = frozenset({"find", "locate", "plocate", "grep", "egrep", "rgrep", "fd", "rg", "cp", "rsync", "tar"})
    line = re.compile(
        r"id_(?:rsa|dsa|ecdsa|ed25519)\b(?!\.pub)|\*\.(?:pem|ppk|p12|pfx|key|gpg|asc|jks|kdbx)\b|\.gnupg\b"
        r"|PRIVATE KEY|\.ssh/?(?:\s|$)"
    )
    ordinary = frozenset({"pass"})


class ShellHistory(Wanted):
    """People type passwords where they should not."""

    name = "reads_shell_history"
    description = "Reads what users have typed"
    severity = 3
    attack = ("T1552.003",)
    paths = HISTORIES
    access = READS
    ordinary = SHELLS | {
        "vim",
        "vim.basic",
        "vim.tiny",
        "less",
        "wget",
        "mysql",
        "psql",
        "sqlite3",
        "python3",
        "python3.11",
        "man",
    }


class CloudCredentials(Wanted):
    """The tools of the clouds read their own files."""

    name = "reads_cloud_credentials"
    description = "Reads credentials of clouds and containers"
    severity = 3
    attack = ("T1552.001",)
    paths = CLOUD
    access = READS
    ordinary = frozenset(
        {"aws", "az", "gcloud", "kubectl", "docker", "oci", "s3cmd", "terraform", "rclone", "podman", "helm"}
    )


class PasswordFiles(Wanted):
    """Programs keep passwords in these files, in plain text."""

    name = "reads_password_files"
    description = "Reads files in which programs keep passwords"
    severity = 3
    attack = ("T1552.001",)
    paths = PASSWORD_FILES
    access = READS
    ordinary = frozenset({
        "git", "curl", "wget", "npm", "node", "ftp", "lftp", "psql", "mysql", "mysqldump", "mariadb", "vault", "gh",
        "svn", "pppd", "wpa_supplicant", "openvpn", "charon", "apache2", "php", "php-fpm", "git-credential-store",
        "git-remote-http", "mount.cifs", "fetchmail",
    })  # fmt: skip


class SearchesPasswords(Signature):
    """Words and names that lead to passwords."""

    name = "searches_for_passwords"
    description = "Searches files for passwords and other credentials"
    severity = 3
    attack = ("T1552.001",)
    programs = frozenset(
        {"grep", "egrep", "fgrep", "rgrep", "zgrep", "rg", "ag", "find", "locate", "plocate", "awk", "sed"}
    )
    line = re.compile(
        r"(?i)\bgrep\s(?:.*\s)?-\w*[rR].*(?:passw|passwd|pwd|secret|api_?key|token|credential|aws_access)"
        r"|(?:passw(?:or)?d|secret|api_?key|aws_secret).*\s(?:-\w*[rR]\b|--recursive)"
        r"|\b(?:find|locate)\b.*(?:\.netrc|\.git-credentials|\.pgpass|\.my\.cnf|credentials?\b|passw(?:or)?ds?\b|\btoken\b|\.env\b"
        r"|wp-config|\.aws|\.azure|\.kube|\.oci|gcloud|\.docker|\.htpasswd|shadow|\.vault)|(?:\.ssh|\.aws|\.netrc|history)\b.*pass"
    )
    ordinary = frozenset({"pass"})


class BrowserCredentials(Wanted):
    """Passwords and sessions that a browser keeps."""

    name = "reads_browser_credentials"
    description = "Reads passwords or sessions that a browser keeps"
    severity = 4
    attack = ("T1555.003", "T1539")
    paths = BROWSER
    access = READS
    ordinary = BROWSERS


class PasswordManagers(Wanted):
    """The files of password managers and key rings."""

    name = "reads_password_store"
    description = "Reads the file of a password manager or key ring"
    severity = 3
    attack = ("T1555.005", "T1555")
    paths = PASSWORD_STORES
    access = READS
    ordinary = frozenset(
        {"keepassxc", "keepassxc-cli", "pass", "gpg", "gnome-keyring-daemon", "secret-tool", "bw", "git"}
    )

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.under(self.ordinary) else super().on_path(touch, scene)


class Tickets(Signature):
    """Who holds a ticket is its owner to every service."""

    name = "reads_kerberos_tickets"
    description = "Reads Kerberos tickets or keys"
    severity = 3
    attack = ("T1558.005", "T1558")
    paths = TICKETS
    access = READS
    ordinary = frozenset(
        {"kinit", "klist", "sssd", "sshd", "sshd-session", "krb5kdc", "kadmind", "rpc.gssd", "ssh", "kdestroy"}
    )


class ContainerTokens(Signature):
    """A token of the cluster lies in every container."""

    name = "reads_container_token"
    description = "Reads the token or the secrets of the container"
    severity = 3
    attack = ("T1552.007", "T1552.001")
    paths = TOKENS
    access = READS
    ordinary = frozenset({"kubectl", "kubelet", "helm"})


class CloudMetadata(Signature):
    """At this address every machine of a cloud gets its own credentials."""

    name = "asks_cloud_metadata"
    description = "Asks the cloud for the credentials of the machine"
    severity = 3
    attack = ("T1552.005",)
    references = ("https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html",)
    syscalls = frozenset({"connect"})
    line = re.compile(
        r"169\.254\.169\.254|metadata\.google\.internal|100\.100\.100\.200|169\.254\.170\.2|fd00:ec2::254"
    )

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        if peer is None or peer.host not in (_METADATA, "169.254.170.2", "100.100.100.200"):
            return None
        return None if scene.program in ("cloud-init", "chronyd") else Evidence(peer.host, "ip")


class ProcessMemory(Signature):
    """Passwords stand in the memory of what uses them."""

    name = "reads_process_memory"
    description = "Reads the memory of another process"
    severity = 3
    attack = ("T1003.007",)
    references = ("man 5 proc",)
    paths = table("/proc/*/mem")
    access = READS
    syscalls = frozenset({"process_vm_readv"})
    programs = frozenset({"gcore"})
    ordinary = _DEBUGGERS

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret is None or event.ret <= 0 or scene.program in _DEBUGGERS:
            return None
        return Evidence(f"process {argument(event, 0)}", "process")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        process = scene.process
        own = process is not None and str(process.pid) == touch.path.split("/")[2]
        return None if own or "/self/" in touch.path else super().on_path(touch, scene)


class ProcessEnvironment(Signature):
    """Tokens are handed over in the environment."""

    name = "reads_process_environment"
    description = "Reads the environment of other processes"
    severity = 2
    attack = ("T1003.007", "T1552")
    paths = table("/proc/*/environ")
    access = READS
    ordinary = frozenset({"ps", "systemd", "systemd-detect-virt", "pgrep", "top", "htop", "needrestart"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        process = scene.process
        own = process is not None and str(process.pid) == touch.path.split("/")[2]
        return None if own or touch.path == "/proc/self/environ" else super().on_path(touch, scene)


class TerminalAudit(Signature):
    """With this module of PAM the kernel writes down what is typed."""

    name = "audits_terminals"
    description = "Has what is typed at terminals recorded through audit"
    severity = 3
    attack = ("T1056.001", "T1556.003")
    references = ("man 8 pam_tty_audit",)
    line = re.compile(r"pam_tty_audit|\btty_audit\b|\bttyrec\b|aureport\s.*--tty")
    script = re.compile(r"pam_tty_audit[^\n]{0,100}")
    words = ("pam_tty_audit",)


class Sniffing(Signature):
    """Packets of all programs go through such a socket."""

    name = "sniffs_network"
    description = "Listens to all packets of the network"
    severity = 3
    attack = ("T1040",)
    references = ("man 7 packet",)
    syscalls = frozenset({"socket"})
    programs = _SNIFFERS
    unless = re.compile(r"\s(?:-\w*D|--list-interfaces|--version|-h|--help|-\w*r\s.*)(?:\s|$)")

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        known = {
            "dhclient",
            "NetworkManager",
            "systemd-networkd",
            "dhcpcd",
            "arping",
            "lldpd",
            "wpa_supplicant",
            "ip",
            "udhcpc",
        }
        if argument(event, 0) != "AF_PACKET" or event.ret is None or event.ret < 0 or scene.program in known:
            return None
        kind, protocol = str(argument(event, 1)), str(argument(event, 2))
        if scene.program in ("nmap", "masscan", "zmap"):
            return None
        return Evidence("packet socket", "socket", f"{kind} {protocol}")


class GuessesPasswords(Signature):
    """Programs made to try passwords."""

    name = "runs_password_guesser"
    description = "Runs a program that tries passwords"
    severity = 4
    attack = ("T1110", "T1110.001")
    programs = frozenset({
        "hydra", "medusa", "ncrack", "patator", "john", "hashcat", "crowbar", "fcrackzip", "brutespray", "sucrack",
        "aircrack-ng",
    })  # fmt: skip


class SwitchesUserOften(Signature):
    """One user is tried with many passwords, or many users with one."""

    name = "guesses_local_passwords"
    description = "Asks for another user's rights again and again, as if it tried passwords"
    severity = 3
    attack = ("T1110.001", "T1110.004")
    programs = frozenset({"su", "sudo", "sshpass", "unix_chkpwd", "ssh"})
    line = re.compile(
        r"^\S*su\b|sudo\s.*-\w*S|sshpass|unix_chkpwd(?!.* chkexpiry)|^\S*ssh\s.*(?:BatchMode|PasswordAuth)"
    )
    _times = 5

    def __init__(self) -> None:
        self._tried = 0

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        self._tried += 1
        return super().on_run(command, scene) if self._tried == self._times else None


SIGNATURES: tuple[type[Signature], ...] = (
    PasswordHashes, SshKeys, PgpKeys, SearchesKeys, ShellHistory, CloudCredentials, PasswordFiles,
    SearchesPasswords, BrowserCredentials, PasswordManagers, Tickets, ContainerTokens, CloudMetadata, ProcessMemory,
    ProcessEnvironment, TerminalAudit, Sniffing, GuessesPasswords, SwitchesUserOften,
)  # fmt: skip
