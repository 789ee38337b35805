"""Ways to be started again: cron, systemd, shell start-up files, SSH keys, the loader's preload list."""

from __future__ import annotations

from malkoha.signatures.base import Evidence, Scene, Signature, Touch
from malkoha.signatures.places import AUTHORIZED, CRON, PRELOAD, PROFILES, TIMERS, UNITS
from malkoha.signatures.programs import PACKAGERS


class _Installed(Signature):
    """What a package's installation writes there is not counted."""

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.under(PACKAGERS) else super().on_path(touch, scene)


class CronJob(_Installed):
    """Cron reads these files and runs what stands in them."""

    name = "persistence_cron"
    description = "Writes a cron job, which runs again and again"
    severity = 3
    attack = ("T1053.003",)
    paths = CRON


class SystemdUnit(_Installed):
    """systemd starts units from these folders."""

    name = "persistence_systemd_unit"
    description = "Writes a systemd unit, which is started with the machine"
    severity = 3
    attack = ("T1543.002",)
    paths = UNITS + TIMERS


class ShellStart(_Installed):
    """Shells read these files at every login or start."""

    name = "persistence_shell_start"
    description = "Changes a file that shells run when they start"
    severity = 3
    attack = ("T1546.004",)
    paths = PROFILES


class AuthorizedKeys(Signature):
    """Whoever holds the other half of a key in this file can log in."""

    name = "persistence_ssh_authorized_keys"
    description = "Changes the keys that may log in over SSH"
    severity = 4
    attack = ("T1098.004",)
    paths = AUTHORIZED


class PreloadFile(Signature):
    """Every program that is started loads the libraries in this file."""

    name = "persistence_ld_so_preload"
    description = "Writes /etc/ld.so.preload, which puts a library into every program"
    severity = 5
    attack = ("T1574.006",)
    paths = PRELOAD


SIGNATURES: tuple[type[Signature], ...] = (CronJob, SystemdUnit, ShellStart, AuthorizedKeys, PreloadFile)
