"""Names of programs that rules of several tactics need."""

from __future__ import annotations

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "csh", "tcsh", "fish", "rbash"})
INTERPRETERS = frozenset({"perl", "php", "ruby", "lua", "node", "tclsh", "awk", "gawk", "mawk"}) | {
    f"python{version}" for version in ("", "2", "2.7", "3", *(f"3.{minor}" for minor in range(6, 16)))
}
PYTHONS = frozenset(name for name in INTERPRETERS if name.startswith("python"))
DOWNLOADERS = frozenset(
    {"curl", "wget", "ftp", "tftp", "ncftpget", "lftp", "axel", "aria2c", "fetch", "lwp-download", "whois"}
)
COPIERS = frozenset({"scp", "sftp", "rsync"})
SSH = frozenset(
    {"ssh", "sshd", "sshd-session", "ssh-keygen", "ssh-add", "ssh-agent", "ssh-copy-id", "sftp", "scp", "autossh"}
)
PACKAGERS = frozenset({"dpkg", "apt", "apt-get", "aptitude", "unattended-upgrade", "dpkg-preconfigure", "rpm"})
"""What they and their maintainer scripts do is the administration of packages."""
ACCOUNTS = frozenset({
    "su", "sudo", "login", "passwd", "chpasswd", "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel",
    "chage", "chsh", "chfn", "gpasswd", "newgrp", "unix_chkpwd", "unix_update", "sshd", "sshd-session", "cron", "crond",
    "atd", "getent", "pwck", "grpck", "vipw", "newusers", "adduser", "deluser", "addgroup", "pwconv", "shadowconfig",
    "systemd-sysusers", "systemd", "systemd-executor", "at", "crontab", "polkitd", "doas", "visudo", "runuser", "pkexec",
})  # fmt: skip
"""Programs that check or change accounts in the course of their work."""
BACKUPS = frozenset({"tar", "rsync", "cp", "borg", "restic", "duplicity", "dump"})
EDITORS = frozenset({"vim", "vim.basic", "vim.tiny", "vi", "nano", "emacs", "ed"})
BROWSERS = frozenset({"firefox", "firefox-esr", "chromium", "chrome", "google-chrome", "brave", "opera", "thunderbird"})
RELAYS = frozenset({"nc", "ncat", "netcat", "nc.traditional", "nc.openbsd", "socat", "openssl", "telnet", "cryptcat"})
"""Programs that carry their input to the network and back."""
STOPPERS = frozenset({"kill", "pkill", "killall", "skill", "killall5", "fuser", "xkill"})
RAW = frozenset({
    "tcpdump", "dhclient", "dhcpcd", "systemd-networkd", "NetworkManager", "tshark", "dumpcap", "udhcpc", "wpa_supplicant",
    "arping", "systemd-udevd", "nmap", "ping", "busybox", "ping6", "traceroute", "mtr-packet", "fping", "arp-scan", "iptables",
    "ip6tables", "xtables-nft-multi", "ipset",
})  # fmt: skip
"""Programs that need raw packets."""
