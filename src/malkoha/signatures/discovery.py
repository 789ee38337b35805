"""Looking around: system, users, processes, network, files, software; ordinary one by one, telling when many come."""

from __future__ import annotations

import re

from malkoha.signatures.base import READS, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Installed, Often
from malkoha.signatures.paths import table
from malkoha.signatures.places import (
    BROWSING,
    DRIVERS,
    HARDWARE,
    LOCALE,
    NETWORK_SETUP,
    NETWORK_STATE,
    PASSWORD_POLICY,
    RELEASE,
    SECURITY_TOOLS,
    SERVICES,
    SUDO_RULES,
)
from malkoha.signatures.programs import ACCOUNTS

_SHOWS = frozenset({
    "cat", "head", "tail", "less", "more", "grep", "egrep", "fgrep", "awk", "gawk", "mawk", "sed", "cut", "sort",
    "ls", "find", "cp", "strings", "od", "xxd", "tac", "nl", "file", "getent", "busybox", "python3", "perl", "dd",
    "tee", "wc", "column",
})  # fmt: skip
"""Programs that show files to whoever started them."""
_TEXTS = frozenset(
    {"cat", "head", "tail", "less", "more", "grep", "egrep", "awk", "gawk", "mawk", "sed", "cut", "tac", "nl"}
)


class _Looks(Installed):
    """A command that shows something of the machine, or a file that does, read by the sample or by what shows files."""

    severity = 1
    access = READS

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if not scene.program or scene.program in _SHOWS else None


class SystemFacts(_Looks):
    """Name, release and hardware of the machine."""

    name = "discovers_system"
    description = "Asks for the name, the release or the hardware of the machine"
    attack = ("T1082",)
    programs = frozenset({
        "uname", "hostnamectl", "lscpu", "dmidecode", "lshw", "uptime", "free", "arch", "env", "printenv", "hostname",
        "lsb_release", "inxi", "neofetch", "nproc", "getconf", "vmstat", "sysctl", "dmesg", "df",
    })  # fmt: skip
    paths = RELEASE + HARDWARE


class Accounts(_Looks):
    """Who may use the machine, and who does."""

    name = "discovers_accounts"
    description = "Asks for the users of the machine"
    attack = ("T1087.001", "T1033")
    programs = frozenset({
        "id", "who", "w", "whoami", "users", "last", "lastlog", "lastb", "finger", "getent", "compgen", "pinky",
        "lslogins", "logname",
    })  # fmt: skip
    paths = table("/etc/passwd")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        # the C library reads it for any program, to turn the numbers of users into names
        return super().on_path(touch, scene) if scene.program in _TEXTS else None


class AccountsOfFiles(_Looks):
    """Open files by user tell of users as well."""

    name = "discovers_users_of_files"
    description = "Asks which files the users have open"
    attack = ("T1087.001",)
    programs = frozenset({"lsof", "fuser"})


class Groups(_Looks):
    """Groups give rights."""

    name = "discovers_groups"
    description = "Asks for groups and who is in them"
    attack = ("T1069.001",)
    programs = frozenset({"groups", "id", "getent", "lid", "members"})
    line = re.compile(r"\bgroups?\b|^(?:\S*/)?id\b|^(?:\S*/)?(?:lid|members)\b")
    paths = table("/etc/group")
    access = READS

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return super().on_path(touch, scene) if scene.program in _TEXTS else None


class SudoRights(_Looks):
    """Who may become root."""

    name = "discovers_sudo_rights"
    description = "Asks who may become root"
    severity = 2
    attack = ("T1087.001", "T1069.001", "T1033")
    programs = frozenset({"sudo"})
    line = re.compile(r"sudo\s(?:.*\s)?(?:-\w*l\w*|--list)\b")
    paths = SUDO_RULES


class DomainAccounts(_Looks):
    """Directories of whole companies."""

    name = "discovers_domain"
    description = "Asks a directory for its users, groups or hosts"
    severity = 2
    attack = ("T1087.002", "T1069.002", "T1018")
    programs = frozenset(
        {"ldapsearch", "ldapwhoami", "rpcclient", "enum4linux", "net", "wbinfo", "realm", "adcli", "bloodhound-python"}
    )


class Processes(_Looks):
    """What runs on the machine."""

    name = "discovers_processes"
    description = "Asks what runs on the machine"
    attack = ("T1057",)
    programs = frozenset({"ps", "pgrep", "top", "htop", "pstree", "pidof", "lsof", "tasklist", "pwdx", "atop"})


class WalksProcesses(Often):
    """The sample goes through /proc itself: worms look for rivals there."""

    name = "walks_through_processes"
    description = "Goes through the processes of the machine one by one"
    severity = 2
    attack = ("T1057",)
    families = ("Mirai", "Gafgyt")
    paths = table("/proc/*/{cmdline,comm,exe,stat,status,maps}")
    access = READS | {"probe"}
    attempts = True
    times = 10
    _other = re.compile(r"/proc/[0-9]+/")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if scene.program or not self._other.match(touch.path) or not self.reached(scene.key):
            return None
        return Evidence(touch.path, "file")


class NetworkSettings(_Looks):
    """Addresses, routes and names of the network."""

    name = "discovers_network_settings"
    description = "Asks for addresses, routes or names of the network"
    attack = ("T1016",)
    programs = frozenset(
        {
            "ip",
            "ifconfig",
            "route",
            "arp",
            "nmcli",
            "resolvectl",
            "iwconfig",
            "ethtool",
            "networkctl",
            "netstat",
            "traceroute",
        }
    )
    line = re.compile(r"^(?:\S*/)?(?!netstat)\w+|netstat\s.*-\w*[ri]")
    paths = NETWORK_SETUP


class Connections(_Looks):
    """Who talks to whom."""

    name = "discovers_connections"
    description = "Asks for the connections of the machine"
    attack = ("T1049",)
    programs = frozenset({"ss", "netstat", "sockstat", "lsof", "who", "conntrack"})
    line = re.compile(r"^(?:\S*/)?(?:ss|netstat|sockstat|conntrack)\b|lsof\s.*-\w*i|who\s+-a")
    paths = NETWORK_STATE


class Neighbours(_Looks):
    """Other machines near by."""

    name = "discovers_neighbours"
    description = "Looks for other machines near by"
    attack = ("T1018",)
    line = re.compile(
        r"\barp\b(?:\s|$)|\bip\s.*\b(?:neigh\w*|n|route|r|tcp_metrics)\b|\bnetstat\s+-\w*r|\broute\b(?:\s|$)|\barp-scan\b|\bnmap\s.*-s[nP]"
        r"|\bnbtscan\b|\bfping\b|\bnetdiscover\b|\bavahi-browse\b|/etc/hosts\b"
    )
    programs = frozenset({
        "arp", "ip", "netstat", "route", "arp-scan", "nmap", "nbtscan", "fping", "netdiscover", "avahi-browse", "cat",
        "grep",
    })  # fmt: skip


class InternetCheck(_Looks):
    """A well-known host answers when there is an Internet."""

    name = "checks_internet_connection"
    description = "Checks whether the Internet can be reached"
    attack = ("T1016.001",)
    line = re.compile(
        r"\b(?:ping6?|traceroute|tracepath|mtr|curl|wget|nc|host|dig|nslookup)\b.*(?:\b8\.8\.[48]\.[48]\b|\b1\.1\.1\.1\b|google\.com|example\.com"
        r"|cloudflare\.com|bing\.com|baidu\.com|114\.114\.114\.114)"
    )


class Location(_Looks):
    """Services that tell from which country one calls."""

    name = "discovers_location"
    description = "Asks a service on the Internet for its own address or country"
    severity = 2
    attack = ("T1614", "T1016")
    line = re.compile(
        r"(?:ipinfo\.io|ifconfig\.(?:me|co|io)|ip-api\.com|icanhazip\.com|ipify\.org|checkip\.\w+|ipecho\.net|geoip\w*\.\w+|wtfismyip\.com"
        r"|ident\.me|myip\.\w+|ip\.sb|api\.myip|whatismyip\w*|freegeoip|ipwho\.is|ipapi\.co)"
    )
    sends = line
    words = (
        "ipinfo",
        "ifconfig",
        "ip-api",
        "icanhazip",
        "ipify",
        "checkip",
        "ipecho",
        "geoip",
        "myip",
        "ident.me",
        "ip.sb",
        "ipwho",
        "ipapi",
    )


class Services(_Looks):
    """What is started with the machine."""

    name = "discovers_services"
    description = "Asks for the services of the machine"
    attack = ("T1007",)
    programs = frozenset({"systemctl", "service", "chkconfig", "rc-status", "initctl", "ls", "find"})
    line = re.compile(
        r"\blist-\w+|\bstatus\b|--status-all|--list|rc-status|--type[ =]?\w*service|(?:init|rc\d?)\.d\b"
        r"|systemd/system\b"
    )
    paths = SERVICES


class Software(_Looks):
    """What is installed."""

    name = "discovers_software"
    description = "Asks what is installed"
    attack = ("T1518",)
    programs = frozenset({
        "dpkg", "dpkg-query", "rpm", "apt", "apt-cache", "yum", "dnf", "snap", "flatpak", "pip", "pip3", "gem",
        "pacman", "which", "apk",
    })  # fmt: skip
    line = re.compile(r"\s(?:-l|-\w*qa|-W|--list|list|-Q|--get-selections|policy|freeze|info|-vv)\b|\bwhich\s")


class SecuritySoftware(_Looks):
    """What might see the sample."""

    name = "discovers_security_software"
    description = "Looks for programs that watch or protect"
    severity = 2
    attack = ("T1518.001",)
    line = re.compile(
        r"(?i)\b(?:e?grep|pgrep|pidof|which|find|locate|dpkg|rpm|systemctl\s+(?:status|is-active|list)|service\s+\S+\s+status|ls|ps)\b.*"
        r"(?:falcon|crowdstrike|nessus|cbagent|carbonblack|osquery|auditbeat|packetbeat|filebeat|td-agent|sentinel|clam(?:d|av)|wazuh|ossec"
        r"|falco\b|auditd|rkhunter|chkrootkit|snort|suricata|sophos|kaspersky|eset|mdatp|tripwire|aliyun|aegis|apparmor|selinux|fail2ban|ufw\b)"
        r"|\b(?:getenforce|sestatus|aa-status|apparmor_status|auditctl\s+-[ls]|iptables\s+.*-\w*[LS]\b|ufw\s+status|nft\s+list)\b"
    )
    paths = SECURITY_TOOLS
    access = READS | {"probe"}
    attempts = True


class Files(_Looks):
    """What lies on the disks."""

    name = "discovers_files"
    description = "Lists files and folders"
    attack = ("T1083",)
    programs = frozenset(
        {"find", "ls", "tree", "locate", "plocate", "file", "findmnt", "du", "lsattr", "stat", "dir", "vdir"}
    )


class Shares(_Looks):
    """Folders of other machines."""

    name = "discovers_shares"
    description = "Asks for shared folders and mounts"
    attack = ("T1135",)
    programs = frozenset(
        {"showmount", "smbclient", "smbmap", "smbstatus", "mount", "findmnt", "df", "smbtree", "nfsstat"}
    )
    line = re.compile(r"showmount|smbclient\s.*-\w*L|smbmap|smbtree|smbstatus|nfs|cifs|smb")
    paths = table("/etc/{exports,fstab}", "/etc/samba/smb.conf", "/proc/fs/nfsd/exports")
    attempts = True


class PasswordRules(_Looks):
    """How long passwords must be, and how long they hold."""

    name = "discovers_password_rules"
    description = "Asks for the rules of passwords"
    attack = ("T1201",)
    programs = frozenset({"chage", "passwd", "cat", "grep", "less"})
    line = re.compile(r"\bchage\s+-\w*l|\bpasswd\s+-S|pam\.d/|login\.defs|pwquality")
    paths = PASSWORD_POLICY


class Devices(_Looks):
    """What is plugged in."""

    name = "discovers_devices"
    description = "Asks for devices of the machine"
    attack = ("T1120", "T1082")
    programs = frozenset(
        {"lsusb", "lspci", "lsblk", "usb-devices", "lsscsi", "hwinfo", "blkid", "fdisk", "lsinput", "udevadm"}
    )


class Drivers(_Looks):
    """Drivers tell of hardware, of machines that are none, and of what watches."""

    name = "discovers_drivers"
    description = "Asks for drivers and modules of the kernel"
    attack = ("T1652", "T1082")
    programs = frozenset({"lsmod", "modinfo", "kmod", "find", "ls"})
    line = re.compile(r"^(?:\S*/)?(?:lsmod|modinfo)\b|kmod\s+list|/modules/|/sys/module|/drivers\b")
    paths = DRIVERS


class Time(_Looks):
    """Time and zone."""

    name = "discovers_time"
    description = "Asks for the time or the time zone"
    attack = ("T1124",)
    programs = frozenset({"date", "timedatectl", "hwclock", "ntpq", "chronyc"})


class Language(_Looks):
    """Some samples spare certain countries."""

    name = "discovers_language"
    description = "Asks for the language or keyboard of the machine"
    attack = ("T1614.001",)
    programs = frozenset({"locale", "localectl", "setxkbmap"})
    paths = LOCALE

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.program in ACCOUNTS else super().on_path(touch, scene)


class Containers(_Looks):
    """What else runs in containers, and what this one may do."""

    name = "discovers_containers"
    description = "Asks for containers, or for what it may do inside of one"
    attack = ("T1613",)
    programs = frozenset({"docker", "podman", "kubectl", "crictl", "ctr", "lxc", "capsh", "amicontained", "deepce.sh"})
    line = re.compile(r"\b(?:ps|get|list|ls|images|info|inspect|describe|version|auth)\b|--print|amicontained|deepce")


class Logs(_Looks):
    """Logs tell of people, addresses and habits."""

    name = "discovers_logs"
    description = "Reads logs of the system"
    attack = ("T1654",)
    programs = frozenset(
        {"journalctl", "last", "lastb", "dmesg", "ausearch", "aureport", "cat", "grep", "zgrep", "tail", "less", "zcat"}
    )
    line = re.compile(r"^(?:\S*/)?(?:journalctl|last|lastb|dmesg|ausearch|aureport)\b|/var/log/")
    unless = re.compile(r"--(?:vacuum|rotate)")


class BrowserFacts(_Looks):
    """Bookmarks and history of browsers."""

    name = "discovers_browsing"
    description = "Looks for bookmarks or the history of browsers"
    severity = 2
    attack = ("T1217",)
    line = re.compile(
        r"places\.sqlite|\bBookmarks\b|(?:chrome|chromium|firefox|mozilla|opera|brave|edge)\S*/\S*(?:History|Bookmarks)|sqlite3.*(?:History|places)"
    )
    paths = BROWSING


_LOOKS: tuple[type[_Looks], ...] = (
    SystemFacts, Accounts, AccountsOfFiles, Groups, SudoRights, DomainAccounts, Processes, NetworkSettings, Connections,
    Neighbours, InternetCheck, Location, Services, Software, SecuritySoftware, Files, Shares, PasswordRules, Devices,
    Drivers, Time, Language, Containers, Logs, BrowserFacts,
)  # fmt: skip


class LooksAround(Installed):
    """One question is nothing; many of different kinds are a survey."""

    name = "looks_around"
    description = "Asks many things about the machine, as intruders do first"
    severity = 2
    attack = ("T1082", "T1057", "T1016", "T1033")
    programs = frozenset({
        "uname", "hostnamectl", "lscpu", "id", "whoami", "who", "w", "last", "ps", "pstree", "ss", "netstat",
        "ifconfig", "ip", "arp", "route", "lsmod", "lsusb", "lspci", "lsblk", "hostname", "uptime", "groups",
        "getent", "lsof", "df", "free", "mount",
    })  # fmt: skip
    _enough = 6

    def __init__(self) -> None:
        self._asked: set[str] = set()

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        if super().on_run(command, scene) is None:
            return None
        before = len(self._asked)
        self._asked |= command.names & self.programs
        reached = before < self._enough <= len(self._asked)
        return Evidence(", ".join(sorted(self._asked)), "commands") if reached else None


SIGNATURES: tuple[type[Signature], ...] = (*_LOOKS, WalksProcesses, LooksAround)
