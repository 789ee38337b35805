"""Ways to come back through a login: shells' start-up files, SSH, PAM, accounts and groups."""

from __future__ import annotations

import re

from malkoha.signatures.base import Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Installed
from malkoha.signatures.places import ACCOUNT_FILES, AUTHORIZED, MOTD, PAM, PROFILES, SSH_RC, SSHD, XDG
from malkoha.signatures.programs import ACCOUNTS

_ADDERS = frozenset({"useradd", "adduser", "newusers"})
_ROOT = re.compile(r"(?:^|\s)(?:-\w*u|--uid)[ =]*0\b|(?:^|\s)(?:-g|--gid)[ =]*(?:0|root)\b")
_POWERFUL = re.compile(r"\b(?:root|sudo|wheel|docker|lxd|disk|shadow|admin)\b")


class ShellStart(Installed):
    """Shells read these files at every login or start."""

    name = "persistence_shell_start"
    description = "Changes a file that shells run when they start"
    severity = 2
    attack = ("T1546.004",)
    paths = PROFILES

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        # a new account gets its copies from useradd
        return None if scene.under(_ADDERS) else super().on_path(touch, scene)


class Autostart(Installed):
    """Desktops start what lies here at every login."""

    name = "persistence_xdg_autostart"
    description = "Has a program started when a user logs in to the desktop"
    severity = 3
    attack = ("T1547.013",)
    references = ("https://specifications.freedesktop.org/autostart-spec/latest/",)
    paths = XDG


class Motd(Installed):
    """These scripts run as root at every login."""

    name = "persistence_motd_script"
    description = "Writes a script that runs as root at every login"
    severity = 3
    attack = ("T1037",)
    references = ("man 5 update-motd",)
    paths = MOTD


class AuthorizedKeys(Signature):
    """Whoever holds the other half of a key in this file can log in."""

    name = "persistence_ssh_authorized_keys"
    description = "Changes the keys that may log in over SSH"
    severity = 3
    attack = ("T1098.004",)
    references = ("man 8 sshd",)
    paths = AUTHORIZED


class SshRc(Signature):
    """sshd runs this file at every login."""

    name = "persistence_ssh_rc"
    description = "Writes a file that sshd runs at every login"
    severity = 4
    attack = ("T1546.004",)
    references = ("man 8 sshd",)
    paths = SSH_RC


class SshdSettings(Installed):
    """Root logins, empty passwords and key commands are allowed here."""

    name = "changes_sshd_settings"
    description = "Changes the settings of the SSH server"
    severity = 2
    attack = ("T1556", "T1021.004")
    references = ("man 5 sshd_config",)
    paths = SSHD


class PamModule(Installed):
    """PAM sees every password that is given."""

    name = "changes_authentication_modules"
    description = "Changes how logins are checked (PAM)"
    severity = 3
    attack = ("T1556.003",)
    references = ("man 7 pam",)
    paths = PAM
    ordinary = frozenset({"pam-auth-update"})


class NewAccount(Installed):
    """Programs add users when packages are installed, others hardly ever."""

    name = "creates_account"
    description = "Creates a user account"
    severity = 2
    attack = ("T1136.001",)
    programs = _ADDERS


class RootAccount(Installed):
    """A second account with root's number is root."""

    name = "creates_root_account"
    description = "Creates an account with the rights of root"
    severity = 4
    attack = ("T1136.001", "T1078.003")
    programs = _ADDERS | {"usermod"}
    line = _ROOT


class ChangedAccount(Installed):
    """Passwords, shells and locks of accounts."""

    name = "changes_account"
    description = "Changes an account: its password, its shell, its groups or its lock"
    severity = 2
    attack = ("T1098", "T1078.003", "T1531")
    programs = frozenset(
        {"usermod", "chpasswd", "passwd", "chsh", "chage", "gpasswd", "groupmod", "userdel", "deluser"}
    )
    unless = re.compile(r"(?:^|\s)(?:-l|--list|-S|--status)\b")


class PowerfulGroup(Installed):
    """Members of these groups can become root."""

    name = "joins_powerful_group"
    description = "Puts an account into a group whose members can become root"
    severity = 3
    attack = ("T1098.007",)
    programs = frozenset({"usermod", "gpasswd", "adduser", "useradd"})

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        words = command.argv[1:]
        options = [word for word in words if word.startswith("-")]
        joins = "adduser" in command.names or any(
            "G" in word or word in ("-a", "--groups", "--add") for word in options
        )
        if not joins or not any(_POWERFUL.search(word) for word in words):
            return None
        return super().on_run(command, scene)


class AccountFiles(Installed):
    """The system's own programs write these files; hardly any other does."""

    name = "writes_account_files"
    description = "Writes the files of accounts and passwords itself"
    severity = 4
    attack = ("T1098", "T1136.001")
    references = ("man 5 passwd", "man 5 shadow")
    paths = ACCOUNT_FILES
    ordinary = ACCOUNTS


class DomainAccount(Signature):
    """An account in the directory is good for every machine of the domain."""

    name = "creates_domain_account"
    description = "Creates or changes an account in a directory (LDAP, Kerberos, Active Directory)"
    severity = 3
    attack = ("T1136.002",)
    programs = frozenset(
        {"samba-tool", "net", "ldapadd", "ldapmodify", "kadmin", "kadmin.local", "adcli", "ipa", "smbpasswd"}
    )
    line = re.compile(
        r"\bsamba-tool\s+user\s+(?:create|add)|\bnet\s+(?:ads\s+|rpc\s+)?user\s+add|^\S*ldap(?:add|modify)\b"
        r"|\b(?:addprinc|add_principal|ank)\b|\badcli\s+create-user|\bipa\s+user-add|\bsmbpasswd\s.*-a"
    )


class Trap(Signature):
    """A trap runs when the shell ends, or before each of its commands."""

    name = "shell_trap"
    description = "Has the shell run something at signals, at its end or before each command (trap)"
    severity = 1
    attack = ("T1546.005",)
    script = re.compile(
        r"(?m)(?:^|[;&|]\s*|\s-c\s+)trap\s+(?:['\"]|[\w/.-]+\s)[^\n]*\b(?:DEBUG|EXIT|ERR|RETURN|(?:SIG)?(?:INT|TERM|HUP))\b"
    )
    words = ("trap ",)


SIGNATURES: tuple[type[Signature], ...] = (
    ShellStart, Autostart, Motd, AuthorizedKeys, SshRc, SshdSettings, PamModule, NewAccount, RootAccount,
    ChangedAccount, PowerfulGroup, AccountFiles, Trap,
    DomainAccount,
)  # fmt: skip
