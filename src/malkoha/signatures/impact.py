"""Doing damage: encrypting, wiping, mining, stopping, flooding, spreading bots."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar

from malkoha.model.event import Event
from malkoha.signatures.base import REMOVES, WRITES, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.places import DISKS, ESXI, RESOLVER, SYSRQ
from malkoha.signatures.programs import PACKAGERS, STOPPERS
from malkoha.trace.descriptors import argument, number

_PLAIN = re.compile(
    r"\.(?:gz|bz2|xz|zst|lz4|lzma|Z|br|zip|7z|tar|tgz|bak|old|orig|tmp|temp|new|part|swp|lock|log|pyc|o|d|\d+|dpkg-\w+|ucf-\w+|save|rpm\w+)$|~$"
)


class EncryptsManyFiles(Signature):
    """File after file is replaced by one with a further ending, which is the same each time."""

    name = "replaces_many_files_with_new_ending"
    description = "Replaces many files by others with one new ending, as ransomware does"
    severity = 5
    attack = ("T1486",)
    paths = table("/**")
    access = frozenset({"write", "remove"})
    ordinary = PACKAGERS | {"logrotate", "git", "make", "gzip", "bzip2", "xz", "zstd"}
    _needed = 8

    def __init__(self) -> None:
        self._written: dict[str, str] = {}
        self._endings: dict[str, set[str]] = {}

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        path = touch.path
        if path.startswith(("/proc/", "/dev/", "/sys/")):
            return None
        if touch.access == "write" and len(self._written) < 200_000:
            stem, dot, ending = path.rpartition(".")
            if dot and "/" not in ending and not _PLAIN.search(path):
                self._written[stem] = ending
                return (
                    self._judge(stem, ending, scene)
                    if touch.event.api.startswith("rename") and self._from(touch, scene) == stem
                    else None
                )
            return None
        ending = self._written.get(path, "")
        return self._judge(path, ending, scene) if ending and touch.access == "remove" else None

    @staticmethod
    def _from(touch: Touch, scene: Scene) -> str | None:
        return scene.path(touch.event, 0) if touch.event.api == "rename" else scene.path(touch.event, 1, 0)

    def _judge(self, path: str, ending: str, scene: Scene) -> Evidence | None:
        if scene.under(self.ordinary):
            return None
        done = self._endings.setdefault(ending, set())
        if len(done) >= self._needed:
            return None
        done.add(path)
        return (
            Evidence(f"{path}.{ending}", "file", f"the {self._needed}th file that ends in .{ending}")
            if len(done) == self._needed
            else None
        )


class EncryptsByTool(Signature):
    """Ordinary programs do it well enough."""

    name = "encrypts_files_with_tool"
    description = "Encrypts a file with a program for that"
    severity = 1
    attack = ("T1486",)
    programs = frozenset(
        {"gpg", "gpg2", "openssl", "ccrypt", "ccencrypt", "age", "7z", "7za", "zip", "mcrypt", "aescrypt"}
    )
    line = re.compile(
        r"^\S*gpg2?\s.*(?:-\w*[ce]\b|--symmetric|--encrypt)|^\S*openssl\s+(?:enc|smime -encrypt|rsautl -encrypt|pkeyutl -encrypt|aes\S*|des\S*)\b"
        r"|^\S*cc(?:rypt|encrypt)\b|^\S*age\b.*(?:-r|-p|-e)|^\S*7za?\s+a\b.*\s-p|^\S*zip\b.* -\w*[Pe]\b|^\S*mcrypt\b|^\S*aescrypt\b.*-e"
    )
    unless = re.compile(r"\s-\w*d\b|--decrypt|ccdecrypt")


class EncryptsManyByTool(EncryptsByTool):
    """Once is ordinary; file after file is not."""

    name = "encrypts_many_files_with_tool"
    description = "Encrypts file after file with a program for that"
    severity = 4
    _needed = 5

    def __init__(self) -> None:
        self._runs = 0

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        self._runs += 1
        return Evidence(command.line[:500], "command", f"the {self._needed}th") if self._runs == self._needed else None


class RansomNote(Signature):
    """The same note lies in folder after folder."""

    name = "leaves_ransom_notes"
    description = "Leaves notes that speak of decrypting or recovering files"
    severity = 4
    attack = ("T1486", "T1491.001")
    paths = table(
        "*{DECRYPT,decrypt,Decrypt,RANSOM,ransom,Ransom,RECOVER,Recover,RESTORE_,UNLOCK,YOUR_FILES,HOW_TO_}*.{txt,html,hta,md,TXT}"
    )


class WritesDisk(Signature):
    """Past all file systems, straight onto the disk."""

    name = "writes_disk_directly"
    description = "Opens a disk for writing, past its file system"
    severity = 4
    attack = ("T1485", "T1561.001")
    paths = DISKS
    ordinary = frozenset({
        "mkfs", "mke2fs", "mkfs.ext4", "mkfs.ext3", "mkfs.vfat", "mkfs.xfs", "fdisk", "sfdisk", "parted", "systemd-udevd", "e2fsck",
        "fsck.ext4", "resize2fs", "tune2fs", "blkdeactivate", "lvm", "mkswap", "swapon", "grub-install", "grub-bios-setup", "mount",
        "systemd-repart", "cryptsetup", "mdadm", "udisksd", "blockdev", "partprobe", "kpartx", "growpart", "systemd-fsck", "wipefs",
    })  # fmt: skip


class WipesByTool(Signature):
    """Zeros or noise over what was there."""

    name = "overwrites_with_tool"
    description = "Overwrites files or disks so that nothing can be recovered"
    severity = 3
    attack = ("T1485",)
    programs = frozenset(
        {"dd", "shred", "wipe", "srm", "sfill", "scrub", "wipefs", "blkdiscard", "hdparm", "nwipe", "badblocks"}
    )
    line = re.compile(
        r"^\S*dd\b(?=.*if=/dev/(?:zero|u?random)).*of=/(?:dev/(?:[shv]d|nvme|mmc|xvd|mem)|var|etc|home|root|boot|usr|s?bin|lib|srv)"
        r"|^\S*(?:shred|wipe|srm|sfill|scrub|blkdiscard|nwipe)\b|^\S*wipefs\b.* -\w*a|^\S*hdparm\b.*--security-erase|^\S*badblocks\b.* -\w*w"
    )


class DeletesEverything(Signature):
    """The whole system, or all that users have."""

    name = "deletes_whole_trees"
    description = "Deletes the whole system, homes or settings"
    severity = 4
    attack = ("T1485",)
    programs = frozenset({"rm", "find", "busybox"})
    line = re.compile(
        r"\brm\b(?=.* (?:-\w*[rR]|--recursive)).*(?:--no-preserve-root|\s/(?:\*|home/?\*?|root/?\*?|etc|boot|usr|bin|lib|srv|opt|var|var/lib|dev|\*)?(?=\s|$))"
        r"|\bfind\b\s+/(?:home|root|etc|boot|usr|var|srv)?\s.*(?:-delete|-exec (?:rm|shred))"
    )


class DeletesManyFiles(Signature):
    """File after file of users or servers goes."""

    name = "deletes_many_files"
    description = "Deletes many files of users, servers or settings"
    severity = 3
    attack = ("T1485",)
    paths = table("/{home,root,srv,etc,boot,opt}/**", "/var/{www,lib/mysql,backups}/**")
    access = REMOVES
    ordinary = PACKAGERS | {"git", "make", "cargo", "npm", "pip", "rsync", "borg", "restic", "systemd-tmpfiles"}
    _needed = 100

    def __init__(self) -> None:
        self._gone = 0

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if (
            "/.cache/" in touch.path
            or "/.git/" in touch.path
            or scene.writer(touch.path) is not None
            or scene.under(self.ordinary)
        ):
            return None
        self._gone += 1
        return Evidence(touch.path, "file", f"the {self._needed}th") if self._gone == self._needed else None


class RemovesBackups(Signature):
    """Without them a victim pays."""

    name = "removes_backups"
    description = "Removes snapshots or backups, or turns off what makes them"
    severity = 3
    attack = ("T1490",)
    line = re.compile(
        r"^\S*(?:lvremove|vgremove)\b|^\S*btrfs\s+subvolume\s+delete|^\S*zfs\s+destroy|^\S*timeshift\b.*--delete|^\S*snapper\b.*delete"
        r"|^\S*(?:rm|shred|find)\b.*(?:/var/backups|/backups?(?:/|\s|$)|\.(?:bak|bkf|backup)\b)|^\S*borg\s+delete|^\S*restic\s+forget"
    )
    ordinary = PACKAGERS | {"logrotate", "cron"}


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
    severity = 3
    attack = ("T1531",)
    programs = frozenset({"userdel", "deluser", "passwd", "usermod", "chpasswd", "chage", "pw", "vipw"})
    line = re.compile(
        r"^\S*(?:userdel|deluser|chpasswd)\b|^\S*passwd\s+(?!-S|--status)\S|^\S*usermod\b.* (?:-L|--lock|-e ?1?\b|--expiredate|-s \S*nologin)|^\S*chage\b.* -E ?0"
    )
    ordinary = PACKAGERS


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


SIGNATURES: tuple[type[Signature], ...] = (
    EncryptsManyFiles,
    EncryptsByTool,
    EncryptsManyByTool,
    RansomNote,
    WritesDisk,
    WipesByTool,
    DeletesEverything,
    DeletesManyFiles,
    RemovesBackups,
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
)
