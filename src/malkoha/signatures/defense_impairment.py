"""Blinding what watches: audit, logs, firewall, security modules and tools, tracing, certificates, permissions."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import REMOVES, WRITES, Command, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Installed
from malkoha.signatures.paths import table
from malkoha.signatures.places import (
    AUDIT,
    CACHES,
    CERTIFICATES,
    FIREWALL,
    HARDENING,
    LOGGING,
    SECURITY_POLICY,
    SECURITY_TOOLS,
)
from malkoha.signatures.programs import PACKAGERS
from malkoha.trace.descriptors import argument

_WATCHERS = (
    r"(?:auditd|rsyslogd?|syslogd?|syslog-ng|systemd-journald|journald|ufw|firewalld|iptables|nftables|apparmor|fail2ban"
    r"|falco\w*|osqueryd?|clamav[\w-]*|clamd|freshclam|wazuh[\w-]*|ossec[\w-]*|snort|suricata|tripwire|aide|rkhunter|sysmon"
    r"|auditbeat|filebeat|packetbeat|nessusd|td-agent|cbagentd|cbdaemon|aliyun[\w.-]*|aegis|cloudmonitor|qcloud[\w-]*"
    r"|selinux[\w-]*|mdatp|xagt)"
)
_TRACERS = (
    r"(?:stap\w*|stapio|strace|ltrace|gdb|tcpdump|tshark|wireshark|sysdig|bpftrace|perf|qemu-ga|tracee|cuckoo\w*)"
)


class StopsWatcher(Installed):
    """Services of audit, logging, firewall and protection are stopped by hardly any program."""

    name = "stops_security_service"
    description = "Stops or disables a service of audit, logging, firewall or protection"
    severity = 4
    attack = ("T1685",)
    programs = frozenset({"systemctl", "service", "rc-service", "initctl", "chkconfig", "update-rc.d", "invoke-rc.d"})
    line = re.compile(
        rf"\b(?:stop|disable|mask|kill|off|remove)\b.*\b{_WATCHERS}\b|\b{_WATCHERS}(?:\.service)?\s+(?:stop|disable|off|remove)\b"
    )


class StopsWatcherScript(Installed):
    """The scripts in /etc/init.d do the same."""

    name = "stops_security_script"
    description = "Stops a service of audit, logging, firewall or protection through its start-up script"
    severity = 4
    attack = ("T1685",)
    line = re.compile(rf"/etc/(?:init|rc)\.d/{_WATCHERS}\s+stop\b")


class KillsWatcher(Signature):
    """What watches is ended by its name."""

    name = "kills_security_program"
    description = "Kills programs that watch, log or protect by their name"
    severity = 4
    attack = ("T1685",)
    programs = frozenset({"pkill", "killall", "skill", "killall5"})
    line = re.compile(rf"\b(?:{_WATCHERS}|{_TRACERS})\b")


class KillsAll(Signature):
    """A signal to -1 goes to every process."""

    name = "kills_every_process"
    description = "Kills every process of the machine at once"
    severity = 4
    attack = ("T1685", "T1489")
    references = ("man 2 kill",)
    syscalls = frozenset({"kill"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if str(argument(event, 0)) != "-1" or str(argument(event, 1)) not in ("SIGKILL", "SIGTERM", "9", "15"):
            return None
        return None if scene.program in ("systemd", "init", "killall5") else Evidence("kill(-1)", "call")


class AuditRules(Installed):
    """Audit is switched off, or its rules are thrown away."""

    name = "changes_audit_rules"
    description = "Switches off audit or changes its rules"
    severity = 4
    attack = ("T1685.004",)
    references = ("man 8 auditctl",)
    programs = frozenset({"auditctl"})
    line = re.compile(r"\s-(?:e\s*0|D|d|W|R|b|r|f|A|a)\b")


class AuditFiles(Installed):
    """Rules and settings of audit lie here."""

    name = "changes_audit_settings"
    description = "Changes the settings of audit"
    severity = 3
    attack = ("T1685.004", "T1685")
    paths = AUDIT
    access = WRITES | REMOVES
    ordinary = frozenset({"auditd", "augenrules"})


class LogSettings(Installed):
    """What is logged, and where to, stands here."""

    name = "changes_log_settings"
    description = "Changes what the system logs"
    severity = 2
    attack = ("T1685",)
    paths = LOGGING
    access = WRITES | REMOVES


class FlushesFirewall(Installed):
    """Rules are thrown away, or everything is let through."""

    name = "opens_firewall"
    description = "Switches off the firewall, throws its rules away or lets everything through"
    severity = 4
    attack = ("T1686",)
    programs = frozenset(
        {"iptables", "ip6tables", "iptables-legacy", "iptables-nft", "nft", "ufw", "firewall-cmd", "ebtables"}
    )
    line = re.compile(
        r"\s(?:-F|-X|--flush|--delete-chain)(?:\s+(?:INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)\b.*|\s*)$|-P\s+\w+\s+ACCEPT|flush\s+(?:ruleset|table|chain)|delete\s+(?:table|chain)"
        r"|\b(?:disable|reset)\b|logging\s+off|--panic-off|--set-default-zone=trusted|default\s+allow"
    )


class ChangesFirewall(Installed):
    """Any other change of the rules."""

    name = "changes_firewall"
    description = "Changes the rules of the firewall"
    severity = 2
    attack = ("T1686",)
    programs = frozenset(
        {"iptables", "ip6tables", "iptables-legacy", "iptables-nft", "nft", "ufw", "firewall-cmd", "ebtables"}
    )
    line = re.compile(
        r"\s(?:-A|-I|-D|-R|--append|--insert|--delete|add|delete|insert|allow|deny|prepend|limit|reject)\b|--add-|--remove-"
    )
    paths = FIREWALL
    access = WRITES | REMOVES
    ordinary = frozenset({"ufw", "firewalld"})

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        # what ufw was asked for is the change, not what it then runs
        if "ufw" in command.names and not scene.under(PACKAGERS):
            return Evidence(command.line[:500], "command")
        return super().on_run(command, scene)


class SecurityModules(Installed):
    """Security modules of the kernel are told to let everything pass."""

    name = "disables_security_module"
    description = "Switches off SELinux or AppArmor, or weakens their rules"
    severity = 4
    attack = ("T1685",)
    programs = frozenset(
        {"setenforce", "aa-disable", "aa-teardown", "aa-complain", "apparmor_parser", "semodule", "setsebool"}
    )
    line = re.compile(r"setenforce\s+(?:0|[Pp]ermissive)|aa-\w+|\s(?:-R|--remove|-d|-r|-DB?)\b|setsebool")
    paths = SECURITY_POLICY
    access = WRITES | REMOVES
    ordinary = frozenset({"systemd", "apparmor_parser"})


class WeakensKernel(Installed):
    """Settings of the kernel that protect memory and processes."""

    name = "weakens_kernel"
    description = "Switches off a protection of the kernel"
    severity = 3
    attack = ("T1685",)
    paths = HARDENING
    ordinary = frozenset({"systemd-sysctl", "systemd", "procps"})
    programs = frozenset({"sysctl"})
    line = re.compile(
        r"(?:kernel\.(?:randomize_va_space|yama|kptr_restrict|dmesg_restrict|perf_event_paranoid|ftrace_enabled"
        r"|unprivileged_bpf_disabled|nmi_watchdog|modules_disabled)\S*|fs\.(?:suid_dumpable|protected_\w+)|\S*exec-?shield)\s*="
    )


class StopsTracing(Signature):
    """Without kprobes and tracing points nothing can watch the kernel."""

    name = "stops_kernel_tracing"
    description = "Switches off the tracing of the kernel"
    severity = 4
    attack = ("T1685",)
    paths = table(
        "/sys/kernel/debug/kprobes/enabled", "/proc/sys/{kernel/ftrace_enabled,debug/kprobes-optimization}",
        "/sys/kernel/{,debug/}tracing/{tracing_on,current_tracer,kprobe_events,uprobe_events,set_event,events/enable}",
    )  # fmt: skip
    attempts = True


class UnloadsModule(Signature):
    """A module that watches can be taken out."""

    name = "unloads_kernel_module"
    description = "Takes a module out of the kernel"
    severity = 3
    attack = ("T1685",)
    syscalls = frozenset({"delete_module"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        del scene
        return Evidence(str(argument(event, 0))[:64], "module", "" if event.ret == 0 else f"tried: {event.errno}")


class DropsCaches(Signature):
    """What the kernel keeps of files in memory is evidence too."""

    name = "drops_caches"
    description = "Makes the kernel forget what it keeps of files in memory"
    severity = 2
    attack = ("T1685",)
    paths = CACHES


class RemovesTools(Signature):
    """Coin miners take the agents of cloud providers and of protection away."""

    name = "removes_security_tool"
    description = "Removes a program that watches or protects"
    severity = 4
    attack = ("T1685",)
    paths = SECURITY_TOOLS
    access = REMOVES
    programs = frozenset({"apt", "apt-get", "dpkg", "yum", "dnf", "rpm", "zypper"})
    line = re.compile(rf"(?:\s(?:remove|purge|erase|-e|-r|-P|--purge|--remove)\b).*\b{_WATCHERS}\b")


class RootCertificate(Installed):
    """Whoever holds a trusted certificate can pose as any server."""

    name = "installs_root_certificate"
    description = "Installs a certificate that the system trusts"
    severity = 2
    attack = ("T1553.004",)
    paths = CERTIFICATES
    ordinary = frozenset({"update-ca-certificates", "update-ca-trust"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return None if scene.under(self.ordinary) else super().on_path(touch, scene)


class Immutable(Installed):
    """Even root cannot change an immutable file; malware protects its own and frees those of others."""

    name = "changes_file_attributes"
    description = "Makes files immutable, or mutable again (chattr)"
    severity = 3
    attack = ("T1222.002",)
    references = ("man 1 chattr",)
    programs = frozenset({"chattr"})
    line = re.compile(r"\s[+=-]\w*[iau]")


class SwapOff(Signature):
    """Without swap, what is in memory never comes to a disk where it could be found."""

    name = "turns_off_swap"
    description = "Turns off the swap space of the machine"
    severity = 2
    attack = ("T1685",)
    references = ("man 2 swapoff",)
    syscalls = frozenset({"swapoff"})
    programs = frozenset({"swapoff"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return Evidence(str(argument(event, 0))[:200], "file") if scene.program not in ("swapoff", "systemd") else None


class OpensRights(Installed):
    """Rights for all, ordinary in scripts of all kinds."""

    name = "changes_rights_of_files"
    description = "Changes rights or owners of files by a command"
    severity = 1
    attack = ("T1222.002",)
    programs = frozenset({"chmod", "chown", "chgrp", "setfacl"})


class StopsHistory(Signature):
    """Shells are told to keep no record of what is typed."""

    name = "stops_shell_history"
    description = "Tells the shell to keep no history"
    severity = 3
    attack = ("T1690", "T1070.003")
    script = re.compile(
        r"unset\s+HISTFILE|HIST(?:FILE|SIZE|FILESIZE)=(?:['\"]?/dev/null|0\b|['\"]{2}|\s|$)"
        r"|HISTIGNORE=|set\s+\+o\s+history|history\s+-(?:c|w|d)\b|shopt\s+-u[so]?\s+\w*hist"
    )
    words = ("HIST", "history", "hist")

    def on_text(self, text: str, scene: Scene) -> Evidence | None:
        # the system's own settings of interactive shells hold such lines as well
        return None if scene.under({"sshd", "login"}) else super().on_text(text, scene)


SIGNATURES: tuple[type[Signature], ...] = (
    StopsWatcher, StopsWatcherScript, KillsWatcher, KillsAll, AuditRules, AuditFiles, LogSettings, FlushesFirewall,
    ChangesFirewall, SecurityModules, WeakensKernel, StopsTracing, UnloadsModule, DropsCaches,
    RemovesTools, RootCertificate, Immutable, OpensRights, StopsHistory,
    SwapOff,
)  # fmt: skip
