"""Doing damage to what is kept: encrypting, wiping, deleting, removing backups."""

from __future__ import annotations

import re

from malkoha.signatures.base import REMOVES, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.places import DISKS
from malkoha.signatures.programs import PACKAGERS

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
    # what is older than some days goes from every backup; a build clears its own folder
    unless = re.compile(r"^\S*find\b.* -[acm](?:time|min) \+\d|^\S*find \.\s")
    ordinary = PACKAGERS | {"logrotate", "cron"}


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
)
