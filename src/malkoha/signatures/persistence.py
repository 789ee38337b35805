"""Ways to be started again with the machine, by the clock or by a hook: cron, systemd, rc scripts, modules, loaders."""

from __future__ import annotations

import re

from malkoha.signatures.base import REMOVES, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Installed
from malkoha.signatures.paths import table
from malkoha.signatures.places import (
    ALIASES,
    APT_HOOKS,
    AT,
    BINFMT,
    BOOT,
    CRON,
    DBUS,
    GENERATORS,
    GIT_HOOKS,
    INITRAMFS,
    LIBRARIES,
    LOADER,
    MAINTAINER,
    MODULES,
    NETWORK_HOOKS,
    PRELOAD,
    PYTHON_HOOKS,
    RC,
    SYSTEM_PROGRAMS,
    TIMERS,
    UDEV,
    UNITS,
    WEB_ROOT,
)
from malkoha.signatures.programs import PACKAGERS


class CronJob(Installed):
    """Cron reads these files and runs what stands in them."""

    name = "persistence_cron"
    description = "Writes a cron job, which runs again and again"
    severity = 3
    attack = ("T1053.003",)
    references = ("man 5 crontab",)
    paths = CRON


class AtJob(Installed):
    """The at daemon runs what is spooled here."""

    name = "persistence_at_job"
    description = "Leaves a job for the at daemon, which runs it later"
    severity = 3
    attack = ("T1053.002",)
    references = ("man 1 at",)
    paths = AT
    ordinary = frozenset({"atd"})


class SystemdUnit(Installed):
    """systemd starts units from these folders."""

    name = "persistence_systemd_unit"
    description = "Writes a systemd unit, which is started with the machine"
    severity = 3
    attack = ("T1543.002",)
    references = ("man 5 systemd.unit",)
    paths = UNITS + TIMERS


class SystemdTimer(Installed):
    """A timer starts its unit again and again."""

    name = "persistence_systemd_timer"
    description = "Sets up a systemd timer, which starts a program again and again"
    severity = 3
    attack = ("T1053.006",)
    references = ("man 5 systemd.timer",)
    paths = TIMERS
    ordinary = frozenset({"systemd"})
    programs = frozenset({"systemd-run"})
    line = re.compile(r"--(?:on-(?:calendar|boot|startup|active|unit)|timer-property)")


class SystemdGenerator(Installed):
    """Generators are run by systemd before all units; hooks in the same place when the machine stops or sleeps."""

    name = "persistence_systemd_generator"
    description = "Writes a program that systemd runs before it starts anything else"
    severity = 4
    attack = ("T1543.002",)
    references = ("man 7 systemd.generator",)
    paths = GENERATORS


class EnablesService(Installed):
    """What is enabled is started with the machine."""

    name = "persistence_enables_service"
    description = "Has a service started with the machine"
    severity = 2
    attack = ("T1543.002",)
    programs = frozenset({"systemctl", "update-rc.d", "chkconfig", "rc-update", "insserv"})
    line = re.compile(r"\b(?:enable|reenable|link|defaults|add|on)\b")


class RcScript(Installed):
    """init runs these scripts at every start."""

    name = "persistence_rc_script"
    description = "Writes a script that runs when the machine starts"
    severity = 3
    attack = ("T1037.004",)
    paths = RC
    ordinary = frozenset({"update-rc.d", "insserv"})


class UdevRule(Installed):
    """A rule can run a program whenever a device appears."""

    name = "persistence_udev_rule"
    description = "Writes a udev rule, which can run a program when a device appears"
    severity = 3
    attack = ("T1546.017",)
    references = ("man 7 udev",)
    paths = UDEV
    ordinary = frozenset({"systemd-udevd", "udevadm"})


class TrustedName(Signature):
    """A unit that is called like the system's own is passed over by whoever looks at the list."""

    name = "unit_with_name_of_system"
    description = "Writes a unit of its own whose name looks like one of the system's"
    severity = 3
    attack = ("T1036.004", "T1543.002")
    paths = table("/{etc,run}/systemd/system/*.{service,timer}", "/usr/local/lib/systemd/system/*.{service,timer}")
    ordinary = PACKAGERS | {"systemctl", "systemd", "deb-systemd-helper", "ln"}
    _trusted = re.compile(
        r"/(?:systemd|dbus|networkd?|network-manager|sshd?|crond?|rsyslog|syslog|udev|polkit|getty|snapd|kernel|kworker|"
        r"init|apt|unattended|cloud|journal|logind?|resolved?|irqbalance|acpid|auditd?)[-_.@][^/]*$"
    )

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if not self._trusted.search(touch.path) or scene.under(self.ordinary):
            return None
        return super().on_path(touch, scene)


class PreloadFile(Signature):
    """Every program that is started loads the libraries in this file."""

    name = "persistence_ld_so_preload"
    description = "Writes /etc/ld.so.preload, which puts a library into every program"
    severity = 5
    attack = ("T1574.006", "T1014")
    references = ("man 8 ld.so",)
    paths = PRELOAD


class LoaderPaths(Installed):
    """The dynamic loader searches these folders for libraries."""

    name = "persistence_library_path"
    description = "Changes where the dynamic loader looks for libraries"
    severity = 2
    attack = ("T1574.006",)
    paths = LOADER
    ordinary = frozenset({"ldconfig", "ldconfig.real"})


class ModuleAtBoot(Installed):
    """Modules listed or lying here are loaded with the machine."""

    name = "persistence_kernel_module"
    description = "Has a kernel module loaded with the machine"
    severity = 3
    attack = ("T1547.006",)
    references = ("man 5 modules-load.d",)
    paths = MODULES


class Initramfs(Installed):
    """Hooks of the first file system run before everything else."""

    name = "persistence_initramfs_hook"
    description = "Writes a hook of the initial file system, which runs before anything else"
    severity = 3
    attack = ("T1542",)
    paths = INITRAMFS
    ordinary = frozenset({"mkinitramfs", "update-initramfs"})


class BootLoader(Installed):
    """Kernel, initial file system and boot loader lie here."""

    name = "persistence_boot_loader"
    description = "Changes the kernel, the boot loader or its settings"
    severity = 3
    attack = ("T1542.003",)
    paths = BOOT
    ordinary = frozenset({"grub-mkconfig", "grub-editenv", "update-initramfs", "mkinitramfs"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.under(self.ordinary) else super().on_path(touch, scene)


class DbusService(Installed):
    """The message bus starts these services when they are asked for."""

    name = "persistence_dbus_service"
    description = "Writes a service or a policy of the message bus"
    severity = 3
    attack = ("T1543",)
    paths = DBUS


class PythonHook(Installed):
    """Python runs these files whenever it starts."""

    name = "persistence_python_hook"
    description = "Writes a file that Python runs at each of its starts"
    severity = 2
    attack = ("T1546.018",)
    references = ("https://docs.python.org/3/library/site.html",)
    paths = PYTHON_HOOKS

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        # setuptools brings this one into every virtual environment
        return None if touch.path.endswith("/distutils-precedence.pth") else super().on_path(touch, scene)


class GitHook(Installed):
    """git runs these programs before and after its own work."""

    name = "persistence_git_hook"
    description = "Writes a hook that git runs"
    severity = 2
    attack = ("T1546",)
    references = ("man 5 githooks",)
    paths = GIT_HOOKS


class PackageHook(Installed):
    """Package managers run commands from their settings, and the scripts of installed packages."""

    name = "persistence_package_hook"
    description = "Changes what the package manager runs in the course of its work"
    severity = 3
    attack = ("T1546.016",)
    references = ("man 5 apt.conf",)
    paths = APT_HOOKS + MAINTAINER


class NetworkHook(Installed):
    """These scripts run whenever a network interface comes or goes."""

    name = "persistence_network_hook"
    description = "Writes a script that runs when the network comes up"
    severity = 3
    attack = ("T1546",)
    paths = NETWORK_HOOKS


class BinaryFormat(Installed):
    """The kernel hands files of a registered format to the interpreter that stands here."""

    name = "persistence_binary_format"
    description = "Registers an interpreter that the kernel runs for files of some format"
    severity = 3
    attack = ("T1546",)
    references = ("man 5 binfmt.d",)
    paths = BINFMT
    ordinary = frozenset({"systemd-binfmt", "update-binfmts"})


class MailOrInetd(Installed):
    """Mail that arrives, or a connection, starts what stands in these files."""

    name = "persistence_mail_or_inetd"
    description = "Has a program started by mail or by connections that arrive"
    severity = 2
    attack = ("T1546",)
    paths = ALIASES
    ordinary = frozenset({"newaliases", "postalias"})


class LogRotation(Installed):
    """logrotate runs scripts as root, every day."""

    name = "persistence_log_rotation"
    description = "Changes the settings of logrotate, which runs scripts as root every day"
    severity = 2
    attack = ("T1053",)
    references = ("man 8 logrotate",)
    paths = table("/etc/logrotate.d/*", "/etc/logrotate.conf")


class WebShell(Installed):
    """The web server runs these files for whoever asks."""

    name = "persistence_web_shell"
    description = "Puts a program into the folders of the web server"
    severity = 3
    attack = ("T1505.003",)
    paths = WEB_ROOT


class ReplacesProgram(Installed):
    """Programs and libraries of the system come from packages."""

    name = "replaces_system_program"
    description = "Writes a program or a library into the system's folders"
    severity = 3
    attack = ("T1554",)
    paths = SYSTEM_PROGRAMS + LIBRARIES
    ordinary = frozenset({"ldconfig", "ldconfig.real", "update-alternatives"})


class ClearsPersistence(Installed):
    """Whoever removes its own job wants no traces of it."""

    name = "removes_scheduled_job"
    description = "Removes a job, a unit or a start-up script"
    severity = 1
    attack = ("T1070.009",)
    paths = CRON + UNITS + TIMERS + RC
    access = REMOVES
    ordinary = frozenset({"crontab", "systemd"})


SIGNATURES: tuple[type[Signature], ...] = (
    CronJob, AtJob, SystemdUnit, SystemdTimer, SystemdGenerator, EnablesService, RcScript, UdevRule, PreloadFile,
    LoaderPaths, ModuleAtBoot, Initramfs, BootLoader, DbusService, PythonHook, GitHook, PackageHook, NetworkHook,
    BinaryFormat, MailOrInetd, LogRotation, WebShell, ReplacesProgram, ClearsPersistence,
    TrustedName,
)  # fmt: skip
