"""Getting at passwords and keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from malkoha.model.event import Event
from malkoha.signatures.base import OPENS, Evidence, Scene, Signature, writes

_HASHES = frozenset({"/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-"})
_KEEPERS = frozenset({
    "su", "sudo", "login", "passwd", "chpasswd", "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel",
    "chage", "unix_chkpwd", "sshd", "sshd-session", "cron", "getent", "pwck", "vipw", "newusers", "adduser", "deluser",
})  # fmt: skip


class ReadsPasswordHashes(Signature):
    """Programs that check or change passwords read these files; hardly any other does."""

    name = "reads_password_hashes"
    description = "Reads the password hashes of the system's users"
    severity = 3
    ttps: ClassVar[Mapping[str, str]] = {"T1003.008": "OS Credential Dumping: /etc/passwd and /etc/shadow"}
    syscalls = OPENS

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if writes(event):
            return None
        path = scene.opened(event)
        folder, _, program = scene.exe.rpartition("/")
        ordinary = program in _KEEPERS and folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/lib/openssh")
        return Evidence(path, "file") if path in _HASHES and not ordinary else None


SIGNATURES: tuple[type[Signature], ...] = (ReadsPasswordHashes,)
