"""Persistence: files whose change makes something run again, with the mechanism and when it triggers.

Sources: the man pages of the programs that read these files; ATT&CK tactic TA0003.
"""

from __future__ import annotations

import re
from functools import lru_cache

from malkoha.processing.rules.base import View

_HOME = r"(?:/root|/home/[^/]+)"
_UNITS = r"(?:/etc|/usr/lib|/lib|/run|/usr/local/lib)/systemd"
_TABLE: tuple[tuple[str, str, str], ...] = (
    ("cron", "timer", r"/etc/crontab|/etc/cron\.d/.+|/var/spool/cron/.+|/etc/anacrontab|/var/spool/anacron/.+"),
    ("cron", "timer", r"/etc/cron\.(?:hourly|daily|weekly|monthly|yearly)/.+"),
    ("at", "timer", r"/var/spool/(?:cron/)?at(?:jobs|spool)?/.+"),
    ("incron", "file event", r"/var/spool/incron/.+|/etc/incron\.d/.+"),
    ("systemd timer", "timer", rf"{_UNITS}/(?:system|user)/.+\.timer"),
    ("systemd unit", "boot", rf"{_UNITS}/(?:system|user)/.+|/(?:etc|run|usr/lib)/systemd/system\.control/.+"),
    ("systemd user unit", "login", rf"{_HOME}/\.(?:config|local/share)/systemd/user/.+"),
    ("systemd generator", "boot", rf"{_UNITS}/(?:system|user)-(?:environment-)?generators/.+"),
    ("systemd hook", "sleep or shutdown", rf"{_UNITS}/system-(?:sleep|shutdown)/.+"),
    ("tmpfiles", "boot", r"/(?:etc|run|usr/lib)/tmpfiles\.d/.+"),
    ("init script", "boot", r"/etc/init\.d/.+|/etc/rc[0-6S]?\.d/.+|/etc/rc\.local|/etc/inittab|/etc/init/.+"),
    ("kernel module", "boot", r"/etc/modules|/etc/mod(?:ules-load|probe)\.d/.+|/lib/modules/.+\.ko(?:\.\w+)?"),
    ("udev rule", "device event", r"(?:/etc|/usr/lib|/lib|/run)/udev/rules\.d/.+"),
    ("loader preload", "every program", r"/etc/ld\.so\.preload"),
    ("loader search path", "every program", r"/etc/ld\.so\.conf(?:\.d/.+)?"),
    ("shell start-up file", "login", r"/etc/(?:profile|bash\.bashrc|bashrc|zsh/\w+|environment|csh\.\w+)"),
    ("shell start-up file", "login", r"/etc/profile\.d/.+"),
    ("shell start-up file", "login", rf"{_HOME}/\.(?:bash_(?:profile|login|logout|aliases)|(?:ba|z|k|c|tc)shrc)"),
    ("shell start-up file", "login", rf"{_HOME}/\.(?:profile|z(?:profile|login|shenv)|login|config/fish/.+)"),
    ("X session", "login", rf"{_HOME}/\.(?:xinitrc|xsession|xprofile|Xclients)|/etc/X11/Xsession\.d/.+"),
    ("desktop autostart", "login", rf"{_HOME}/\.config/autostart/.+|/etc/xdg/autostart/.+"),
    ("SSH", "login", rf"{_HOME}/\.ssh/(?:authorized_keys2?|rc)|/etc/ssh/sshrc"),
    ("SSH server", "login", r"/etc/ssh/sshd_config(?:\.d/.+)?"),
    ("PAM", "login", r"/etc/pam\.d/.+|/etc/pam\.conf|.*/security/pam_[^/]+\.so"),
    ("message of the day", "login", r"/etc/update-motd\.d/.+"),
    ("accounts", "login", r"/etc/passwd|/etc/shadow|/etc/group|/etc/gshadow"),
    ("sudo", "sudo", r"/etc/sudoers(?:\.d/.+)?"),
    ("privilege rules", "sudo", r"/etc/doas\.conf|/(?:etc|usr/share)/polkit-1/.+"),
    ("packages", "package installation", r"/etc/apt/apt\.conf\.d/.+|/etc/dpkg/dpkg\.cfg\.d/.+"),
    ("packages", "package installation", r"/var/lib/dpkg/info/.+\.(?:pre|post)(?:inst|rm)"),
    ("network hook", "network event", r"/etc/NetworkManager/dispatcher\.d/.+|/etc/dhcp/dhclient-.+"),
    ("network hook", "network event", r"/etc/network/if-(?:pre-up|up|down|post-down)\.d/.+"),
    ("logrotate", "timer", r"/etc/logrotate\.d/.+"),
    ("git hook", "git command", r".*/\.git/hooks/[^/]+|.*/\.gitconfig"),
    ("editor start-up file", "editor", rf"{_HOME}/\.(?:vimrc|emacs|config/nvim/.+|vim/plugin/.+)"),
    ("Python start-up file", "every Python", r".*/(?:site|user)customize\.py|.*/(?:site|dist)-packages/[^/]+\.pth"),
    ("binary format", "every program", r"/etc/binfmt\.d/.+|/proc/sys/fs/binfmt_misc/register"),
    ("kernel helper", "crash or module request", r"/proc/sys/kernel/(?:core_pattern|modprobe)"),
    ("program in the search path", "when it is called", r"(?:/usr)?/(?:s?bin|local/s?bin)/[^/]+"),
    ("boot loader", "boot", r"/boot/.+|/etc/(?:default/grub|grub\.d/.+)|/etc/initramfs-tools/.+"),
    ("web server", "request", r".*/(?:wp-content|www|htdocs|public_html)/.+\.(?:php|jsp|aspx?|phtml)"),
)
"""Mechanism, when it triggers, and the paths; the first that fits counts."""
_RULES = tuple((re.compile(pattern), mechanism, trigger) for mechanism, trigger, pattern in _TABLE)
_ACCOUNTS = re.compile(r"/etc/(?:passwd|shadow|group|gshadow|subuid|subgid|sudoers(?:\.d/.+)?)[-+]?")
_LOCKS = re.compile(r".*(?:\.lock|\.[0-9]+|~|\.swp|\.dpkg-(?:new|tmp|old))")


@lru_cache(4096)
def mechanism(path: str) -> tuple[str, str] | None:
    """Name the mechanism that a file belongs to, and when it makes something run; None for others."""
    if _LOCKS.fullmatch(path) or path.startswith(("/tmp/", "/dev/")):  # noqa: S108 - a path of the guest
        return None
    return next(((name, trigger) for pattern, name, trigger in _RULES if pattern.fullmatch(path)), None)


def changed(view: View, path: str) -> None:
    """Note a file that was made, opened for writing, or put at its place, when something runs because of it."""
    found = mechanism(path)
    if found is not None:
        view.note("persistence", path=path, mechanism=found[0], trigger=found[1])
    if _ACCOUNTS.fullmatch(path):
        view.note("users_groups", what="changed", path=path)
