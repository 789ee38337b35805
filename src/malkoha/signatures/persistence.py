"""Ways to be started again: cron, systemd, shell start-up files, SSH keys, the loader's preload list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from malkoha.model.event import Event
from malkoha.signatures.base import OPENS, Evidence, Scene, Signature, writes

_MOVES = {"rename": (1, None), "renameat": (3, 2), "renameat2": (3, 2), "link": (1, None), "linkat": (3, 2)}


class _WritesFile(Signature):
    """Something opens a file for writing, or moves one to a place, that matches ``pattern``."""

    pattern: re.Pattern[str]
    category = "file"
    syscalls = OPENS | set(_MOVES)

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.api in _MOVES:
            path = scene.path(event, *_MOVES[event.api]) if event.ret == 0 else None
        else:
            path = scene.opened(event) if writes(event) else None
        return Evidence(path, "file") if path and self.pattern.fullmatch(path) else None


class CronJob(_WritesFile):
    """Cron reads these files and runs what stands in them."""

    name = "persistence_cron"
    description = "Writes a cron job, which runs again and again"
    severity = 3
    ttps: ClassVar[Mapping[str, str]] = {"T1053.003": "Scheduled Task/Job: Cron"}
    pattern = re.compile(
        r"/etc/crontab|/etc/anacrontab|/etc/cron\.(?:d|hourly|daily|weekly|monthly)/.+|/var/spool/cron/.+"
    )


class SystemdUnit(_WritesFile):
    """systemd starts units from these folders."""

    name = "persistence_systemd_unit"
    description = "Writes a systemd unit, which is started with the machine"
    severity = 3
    ttps: ClassVar[Mapping[str, str]] = {"T1543.002": "Create or Modify System Process: Systemd Service"}
    pattern = re.compile(
        r"(?:/etc|/usr/lib|/lib|/run|/usr/local/lib)/systemd/(?:system|user)/.+\.(?:service|timer|socket|path)"
        r"|.*/\.config/systemd/user/.+\.(?:service|timer|socket|path)"
    )


class ShellStart(_WritesFile):
    """Shells read these files at every login or start."""

    name = "persistence_shell_start"
    description = "Changes a file that shells run when they start"
    severity = 3
    ttps: ClassVar[Mapping[str, str]] = {
        "T1546.004": "Event Triggered Execution: Unix Shell Configuration Modification"
    }
    pattern = re.compile(
        r"/etc/(?:profile|bash\.bashrc|zsh/zshrc|environment)|/etc/profile\.d/.+"
        r"|(?:/root|/home/[^/]+)/\.(?:bashrc|bash_profile|bash_login|bash_logout|profile|zshrc|zprofile)"
    )


class AuthorizedKeys(_WritesFile):
    """Whoever holds the other half of a key in this file can log in."""

    name = "persistence_ssh_authorized_keys"
    description = "Changes the keys that may log in over SSH"
    severity = 4
    ttps: ClassVar[Mapping[str, str]] = {"T1098.004": "Account Manipulation: SSH Authorized Keys"}
    pattern = re.compile(r".*/\.ssh/authorized_keys2?")


class PreloadFile(_WritesFile):
    """Every program that is started loads the libraries in this file."""

    name = "persistence_ld_so_preload"
    description = "Writes /etc/ld.so.preload, which puts a library into every program"
    severity = 5
    ttps: ClassVar[Mapping[str, str]] = {"T1574.006": "Hijack Execution Flow: Dynamic Linker Hijacking"}
    pattern = re.compile(r"/etc/ld\.so\.preload")


SIGNATURES: tuple[type[Signature], ...] = (CronJob, SystemdUnit, ShellStart, AuthorizedKeys, PreloadFile)
