"""Doing damage to what runs: burning the processor, stopping services, shutting down, flooding, defacing."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar

from malkoha.model.event import Event
from malkoha.signatures.base import REMOVES, WRITES, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.places import ESXI, RESOLVER, SYSRQ
from malkoha.signatures.programs import PACKAGERS, STOPPERS
from malkoha.trace.descriptors import argument, number


class BurnsProcessor(Signature):
    """Work for nothing."""

    name = "burns_processor_time"
    description = "Keeps the processor busy with nothing"
    severity = 2
    attack = ("T1496",)
    programs = frozenset({"yes", "stress", "stress-ng", "dd", "openssl", "sysbench", "cpuburn"})
    line = re.compile(
        r"^\S*(?:stress|stress-ng|cpuburn)\b|^\S*dd\b(?=.*if=/dev/(?:zero|u?random)).*of=/dev/null(?!.*count)|^\S*openssl\s+speed|^\S*yes\b"
    )

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        if "yes" in command.names:  # into a pipe it answers questions
            item = scene.descriptor(1)
            return Evidence(command.line[:500], "command") if item is not None and item.path == "/dev/null" else None
        return super().on_run(command, scene)


class StopsServices(Signature):
    """Databases, backups, protection and logs are in the way."""

    name = "stops_services"
    description = "Stops services or their processes"
    severity = 2
    attack = ("T1489",)
    programs = STOPPERS | {"systemctl", "service", "initctl", "rc-service", "update-rc.d", "chkconfig", "invoke-rc.d"}
    line = re.compile(
        r"^\S*systemctl\b.* (?:stop|disable|mask|kill)\b|^\S*(?:service|rc-service|initctl|invoke-rc\.d)\b.* stop\b|^\S*update-rc\.d\b.* (?:disable|remove)|^\S*chkconfig\b.* off"
        r"|^\S*(?:pkill|killall|skill)\b.*\s[\w^.-]+\$?|^\S*fuser\b.*\s-\w*k|^\S*kill\b.* (?!-?0\b)\d+"
    )
    unless = re.compile(r"^\S*kill\s+(?:-l|-0|-L)\b")
    ordinary = PACKAGERS | {"logrotate", "systemd", "cron"}


class StopsForeignProcess(Signature):
    """The target was there before, and is none of the sample's own."""

    name = "stops_foreign_process"
    description = "Kills a process that is none of its own"
    severity = 2
    attack = ("T1489",)
    syscalls = frozenset({"kill"})
    _ordinary = PACKAGERS | {"start-stop-daemon", "systemctl", "systemd", "logrotate", "init"}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        target = number(argument(event, 0))
        signal = str(argument(event, 1))
        deadly = signal in ("SIGKILL", "SIGTERM", "SIGSTOP", "9", "15", "19")
        if not deadly or event.ret != 0 or target is None or target < 2 or scene.under(self._ordinary):
            return None
        own = any(process.pid == target or target in process.tids for process in scene.processes.values())
        return None if own else Evidence(str(target), "process", signal)


class ShutsDown(Signature):
    """The machine goes off or starts again."""

    name = "shuts_down_machine"
    description = "Shuts the machine down or restarts it"
    severity = 3
    attack = ("T1529",)
    programs = frozenset({"shutdown", "reboot", "halt", "poweroff", "init", "telinit", "systemctl", "kexec", "busybox"})
    line = re.compile(
        r"^(?:\S*busybox )?\S*(?:shutdown|reboot|halt|poweroff)\b|^\S*(?:init|telinit)\s+[06]\b|^\S*systemctl\b.* (?:reboot|halt|poweroff|kexec|suspend|hibernate)\b|^\S*kexec\b.* -e"
    )
    unless = re.compile(r"--help|--version| -c\b")


class RebootCall(Signature):
    """The kernel itself is asked; LINUX_REBOOT_CMD_CAD_OFF only changes what Ctrl-Alt-Del does."""

    name = "reboot_call"
    description = "Asks the kernel to restart, halt or power off, or keeps Ctrl-Alt-Del from working"
    severity = 4
    attack = ("T1529",)
    references = ("man 2 reboot",)
    syscalls = frozenset({"reboot"})
    _ordinary = frozenset({"systemd", "systemd-shutdown", "init", "busybox"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return None if scene.program in self._ordinary else Evidence(str(argument(event, 2)), "call")


class MagicKey(Signature):
    """A byte there restarts the machine, kills everything or makes the disks read-only."""

    name = "magic_sysrq"
    description = "Uses the magic SysRq key, which can restart or crash the machine"
    severity = 4
    attack = ("T1529", "T1685")
    paths = SYSRQ
    ordinary = frozenset({"sysctl", "systemd-sysctl", "systemd"})


class LocksOut(Signature):
    """Users lose their way in."""

    name = "removes_account_access"
    description = "Removes accounts, or locks or changes passwords"
    severity = 2
    attack = ("T1531",)
    programs = frozenset(
        {"userdel", "deluser", "passwd", "usermod", "chpasswd", "chage", "pw", "vipw", "useradd", "adduser"}
    )
    line = re.compile(
        r"\b(?:useradd|adduser)\b|^\S*(?:userdel|deluser|chpasswd)\b|^\S*passwd\s+(?!-S|--status)\S|^\S*usermod\b.* (?:-L|--lock|-e ?1?\b|--expiredate|-s \S*nologin)|^\S*chage\b.* -E ?0"
    )
    ordinary = PACKAGERS

    def __init__(self) -> None:
        self._made: set[str] = set()

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        account = command.argv[-1] if command.argv else ""
        if not command.names.isdisjoint({"useradd", "adduser"}):
            self._made.add(account)
            return None
        # nobody loses an account that was made a moment ago; its password is set like this as well
        if account in self._made or (self._made and "chpasswd" in command.names):
            return None
        return super().on_run(command, scene)


class ForkBomb(Signature):
    """Processes that make processes until nothing is left."""

    name = "fork_bomb"
    description = "Makes processes without end"
    severity = 4
    attack = ("T1499.001", "T1499")
    script = re.compile(r":\s*\(\)\s*\{\s*:\s*\|\s*:\s*&\s*\}\s*;\s*:|\b(\w+)\s*\(\)\s*\{\s*\1\s*\|\s*\1\s*&\s*\}\s*;")
    words = ("|",)


class FloodTool(Signature):
    """Programs whose only use is load on others."""

    name = "flood_tool"
    description = "Starts a program that floods others"
    severity = 4
    attack = ("T1498", "T1499")
    programs = frozenset(
        {
            "hping3",
            "slowloris",
            "slowloris.pl",
            "goldeneye.py",
            "t50",
            "mdk3",
            "mdk4",
            "xerxes",
            "hulk.py",
            "siege",
            "ab",
            "MHDDoS",
            "nping",
        }
    )
    line = re.compile(
        r"--flood|--faster|-i u\d|^\S*(?:slowloris\S*|goldeneye\S*|t50|mdk[34]|xerxes|hulk\.py|MHDDoS)\b|--rate \d{4,}|^\S*(?:ab|siege)\b.* -\w*[cn] ?\d{4,}"
    )


class ScanTool(Signature):
    """Administrators use them too."""

    name = "scan_or_guess_tool"
    description = "Starts a program that scans networks or guesses passwords"
    severity = 3
    attack = ("T1046", "T1110")
    programs = frozenset({
        "nmap", "masscan", "zmap", "zgrab", "rustscan", "unicornscan", "pnscan", "naabu", "hydra", "medusa", "ncrack", "patator",
        "john", "hashcat", "nikto", "sqlmap", "gobuster", "dirb", "ffuf", "wpscan", "arp-scan", "netdiscover", "fping", "nbtscan",
    })  # fmt: skip


class Defaces(Signature):
    """The page that visitors see."""

    name = "changes_web_page"
    description = "Overwrites the start page of a web server, or the greeting of the machine"
    severity = 3
    attack = ("T1491", "T1491.001")
    paths = table(
        "/var/www/**/index.{html,htm,php}",
        "/var/www/index.{html,htm,php}",
        "/usr/share/nginx/html/index.html",
        "/srv/http/**index.html",
        "/etc/{motd,issue,issue.net}",
    )

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.under(PACKAGERS) else super().on_path(touch, scene)


class StopsVirtualMachines(Signature):
    """Hypervisors' own commands, before their disks are encrypted."""

    name = "stops_virtual_machines"
    description = "Stops virtual machines, or touches their disks"
    severity = 4
    attack = ("T1059.012", "T1489")
    programs = frozenset({"esxcli", "vim-cmd", "vmkfstools", "virsh", "qm", "xe", "VBoxManage"})
    line = re.compile(
        r"^\S*esxcli\b.*(?:vm process kill|system)|^\S*vim-cmd\b|^\S*virsh\b.* (?:destroy|undefine|shutdown)|^\S*qm\b.* (?:stop|destroy)|^\S*xe\b.*vm-(?:shutdown|destroy)|^\S*VBoxManage\b.*poweroff"
    )
    paths = ESXI
    access: ClassVar[Collection[str]] = WRITES | REMOVES
    ordinary = frozenset({"qemu-img", "qemu-system-x86_64", "VBoxManage", "cp", "rsync"})


class ChangesNames(Signature):
    """Names lead elsewhere, or nowhere: updates and scanners of the victim, or rivals' pools."""

    name = "changes_name_resolution"
    description = "Changes how names become addresses"
    severity = 3
    attack = ("T1565.001", "T1685")
    paths = RESOLVER
    ordinary = PACKAGERS | {
        "NetworkManager", "systemd-resolved", "dhclient", "dhclient-script", "resolvconf", "resolvectl", "netplan", "cloud-init", "dhcpcd", "hostnamectl",
    }  # fmt: skip

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.under(self.ordinary) else super().on_path(touch, scene)


class Firmware(Signature):
    """What starts the machine."""

    name = "writes_firmware"
    description = "Writes to the firmware of the machine"
    severity = 4
    attack = ("T1495", "T1542")
    paths = table("/dev/mtd*", "/sys/firmware/efi/efivars/*", "/dev/nvram", "/sys/class/mtd/**")
    programs = frozenset({"flashrom", "flashcp", "nandwrite", "flash_erase", "fw_setenv", "efivar", "afulnx_64"})
    ordinary = frozenset({"systemd", "efibootmgr", "fwupd", "grub-install", "bootctl", "systemd-udevd", "mtd_probe"})


class StaysAwake(Signature):
    """A machine that sleeps serves nobody."""

    name = "prevents_sleep"
    description = "Keeps the machine from going to sleep"
    severity = 2
    attack = ("T1653",)
    programs = frozenset({"systemctl", "systemd-inhibit", "caffeinate", "xset"})
    line = re.compile(
        r"systemctl\s.*\bmask\b.*\b(?:sleep|suspend|hibernate|hybrid-sleep)\b|systemd-inhibit|caffeinate|xset\s+(?:s\s+off|-dpms)"
    )


SIGNATURES: tuple[type[Signature], ...] = (
    BurnsProcessor,
    StopsServices,
    StopsForeignProcess,
    ShutsDown,
    RebootCall,
    MagicKey,
    LocksOut,
    ForkBomb,
    FloodTool,
    ScanTool,
    Defaces,
    StopsVirtualMachines,
    ChangesNames,
    Firmware,
    StaysAwake,
)
