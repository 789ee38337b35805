"""Getting to other machines."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import READS, Command, Evidence, Scene, Signature
from malkoha.signatures.paths import table
from malkoha.signatures.programs import SSH
from malkoha.trace.descriptors import argument, endpoint


class SshUnattended(Signature):
    """A log-in that asks nobody: no host check, a key of its own, no question."""

    name = "ssh_without_questions"
    description = "Logs in to another machine over SSH with all checks and questions turned off"
    severity = 2
    attack = ("T1021.004",)
    programs = frozenset({"ssh", "scp", "sftp", "dbclient"})
    line = re.compile(
        r"StrictHostKeyChecking[= ](?:no|off|accept-new)|BatchMode[= ]yes|UserKnownHostsFile[= ]/dev/null",
        re.IGNORECASE,
    )


class SshToMany(Signature):
    """One machine after the other, as worms go through a list."""

    name = "ssh_to_many_hosts"
    description = "Logs in to many machines over SSH"
    severity = 4
    attack = ("T1021.004", "T1570")
    programs = frozenset({"ssh", "scp", "sftp", "dbclient"})
    _needed = 4

    def __init__(self) -> None:
        self._hosts: set[str] = set()

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        host = _host(command)
        if not host or host in self._hosts or len(self._hosts) > 1000:
            return None
        self._hosts.add(host)
        return Evidence(host, "host", command.line[:200]) if len(self._hosts) >= self._needed else None


def _host(command: Command) -> str:
    """Give the host that a command of OpenSSH names: the first word that is no option and no option's value."""
    words = iter(command.argv[1:])
    for word in words:
        if re.fullmatch(r"-\w*[BbcDEeFIiJLlmOopQRSWwP]", word):
            next(words, None)
        elif not word.startswith("-"):
            found = word.removeprefix("ssh://").rpartition("@")[2].partition(":")
            if command.names & {"ssh", "dbclient"} or found[1] or "sftp" in command.names:
                return found[0]
    return ""


class PasswordFeeder(Signature):
    """Programs that type a password for their user, as scripts that try many do."""

    name = "feeds_ssh_password"
    description = "Starts a program that gives passwords to SSH by itself"
    severity = 3
    attack = ("T1021.004", "T1110")
    programs = frozenset({"sshpass", "plink", "crowbar"})


class ReadsKnownHosts(Signature):
    """The list of machines that can be reached from here."""

    name = "reads_known_hosts"
    description = "Reads which machines the user logs in to"
    severity = 3
    attack = ("T1018", "T1021.004")
    paths = table("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
    access = READS
    ordinary = SSH | {"git", "tar", "cp", "rsync", "bash"}


class AgentHijack(Signature):
    """The socket of a key agent signs for whoever asks."""

    name = "uses_ssh_agent_socket"
    description = "Connects to an SSH agent, or to a log-in that another program keeps open"
    severity = 4
    attack = ("T1563.001",)
    syscalls = frozenset({"connect"})
    _socket = re.compile(r"/tmp/ssh-[^/]+/agent\.\d+|.*/\.ssh/(?:cm|master|control|mux)[^/]*")

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        there = peer is not None and peer.family == "AF_UNIX" and self._socket.fullmatch(peer.host)
        if not there or peer is None or scene.program in SSH | {"git", "gpg-agent"}:
            return None
        return Evidence(peer.host, "file")


class FindsAgents(Signature):
    """Sockets of key agents are looked for."""

    name = "looks_for_ssh_agents"
    description = "Looks for sockets of SSH agents, or takes over one"
    severity = 3
    attack = ("T1563.001", "T1552.004")
    line = re.compile(r"\b(?:find|ls|grep)\b.*(?:/tmp/ssh-|agent\.\*|SSH_AUTH_SOCK)|^\S*env\b.*SSH_AUTH_SOCK=/tmp/")


class ManyMachinesTool(Signature):
    """Administrators' programs that run a command everywhere."""

    name = "runs_on_many_machines"
    description = "Starts a program that runs commands on many machines"
    severity = 2
    attack = ("T1021.004",)
    programs = frozenset(
        {
            "ansible",
            "ansible-playbook",
            "pssh",
            "parallel-ssh",
            "pdsh",
            "clush",
            "dsh",
            "salt",
            "salt-ssh",
            "pscp",
            "parallel-scp",
        }
    )


class WindowsShares(Signature):
    """Clients of Windows' protocols, and the attack tools that speak them."""

    name = "speaks_to_windows_machines"
    description = "Uses shares or services of Windows machines"
    severity = 3
    attack = ("T1021.002",)
    programs = frozenset({
        "smbclient", "rpcclient", "winexe", "psexec.py", "impacket-psexec", "wmiexec.py", "impacket-wmiexec", "smbexec.py",
        "crackmapexec", "netexec", "nxc", "evil-winrm", "smbmap", "mount.cifs", "smbget", "net",
    })  # fmt: skip


class RemoteScreen(Signature):
    """A log-in with a screen."""

    name = "remote_screen_client"
    description = "Opens the screen of another machine"
    severity = 2
    attack = ("T1021.005", "T1021")
    programs = frozenset(
        {"xfreerdp", "xfreerdp3", "rdesktop", "vncviewer", "xtightvncviewer", "xvnc4viewer", "krdc", "vinagre"}
    )


class ScriptLogsIn(Signature):
    """A loop over hosts or keys stands in a script that a shell reads."""

    name = "script_spreads_over_ssh"
    description = "A script goes through keys or hosts and logs in to each"
    severity = 4
    attack = ("T1021.004", "T1570", "T1552.004")
    script = re.compile(r"\bfor \w+ in\b[^#]{0,800}?\b(?:ssh|scp|sshpass)\s+[^\n]{0,200}(?:\$|@)", re.DOTALL)
    words = ("ssh ", "scp ", "sshpass ")


class Spoofs(Signature):
    """Other machines are told that this one is their way out."""

    name = "spoofs_addresses"
    description = "Starts a program that answers for the addresses of other machines"
    severity = 4
    attack = ("T1557", "T1557.002", "T1040")
    programs = frozenset(
        {"arpspoof", "ettercap", "bettercap", "responder", "Responder.py", "dnsspoof", "mitm6", "arping"}
    )
    line = re.compile(r"arpspoof|ettercap|bettercap|[Rr]esponder|dnsspoof|mitm6|arping\s.*-\w*[UPA]\b")


class ForwardsPackets(Signature):
    """A machine between two others hands on what it reads."""

    name = "forwards_packets"
    description = "Makes the machine hand on the packets of others"
    severity = 2
    attack = ("T1557", "T1090.001")
    paths = table("/proc/sys/net/ipv4/{ip_forward,conf/*/forwarding}", "/proc/sys/net/ipv6/conf/*/forwarding")
    ordinary = frozenset({"systemd-networkd", "systemd-sysctl", "dockerd", "libvirtd", "systemd", "NetworkManager"})


SIGNATURES: tuple[type[Signature], ...] = (
    SshUnattended, SshToMany, PasswordFeeder, ReadsKnownHosts, AgentHijack, FindsAgents, ManyMachinesTool, WindowsShares,
    RemoteScreen, ScriptLogsIn,
    Spoofs, ForwardsPackets,
)  # fmt: skip
