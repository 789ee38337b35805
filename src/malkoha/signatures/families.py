"""Habits of families: miners, and the bots that go from device to device."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.places import WATCHDOGS
from malkoha.signatures.programs import SHELLS, STOPPERS
from malkoha.trace.descriptors import argument, endpoint
from malkoha.trace.objects import is_loopback


class Mines(Signature):
    """The words of mining programs and their pools."""

    name = "mines_cryptocurrency"
    description = "Starts a program that mines cryptocurrency"
    severity = 5
    attack = ("T1496.001", "T1496")
    line = re.compile(
        r"stratum\d?\+(?:tcp|ssl|tls)://|--donate-level|--randomx|--coin[ =](?:monero|xmr)|\bcryptonight\b|--nicehash|rx/0"
        r"|^\S*(?:xmrig|xmr-stak|minerd|cpuminer|ccminer|ethminer|t-rex|nbminer|lolMiner|cgminer|bfgminer|xmrigDaemon|kdevtmpfsi|kinsing)(?:\s|$)"
    )


class SpeaksStratum(Signature):
    """The protocol between miners and their pools."""

    name = "speaks_stratum"
    description = "Speaks to a mining pool"
    severity = 5
    attack = ("T1496.001", "T1496")
    sends = re.compile(
        r"mining\.(?:subscribe|authorize|submit|extranonce)|eth_submitLogin|.method.{1,6}login.{1,80}(?:agent|pass|algo)",
        re.DOTALL,
    )
    words = ("mining.", "eth_submitLogin", "login")


class PreparesMining(Signature):
    """Large pages and processor registers make hashes faster."""

    name = "tunes_for_mining"
    description = "Sets large pages or processor registers as miners do"
    severity = 3
    attack = ("T1496.001",)
    paths = table(
        "/proc/sys/vm/nr_hugepages",
        "/sys/devices/system/node/node*/hugepages/**",
        "/dev/cpu/*/msr",
        "/sys/module/msr/parameters/allow_writes",
    )
    programs = frozenset({"sysctl", "wrmsr", "modprobe"})
    line = re.compile(r"nr_hugepages|^\S*wrmsr\b|^\S*modprobe\b.*\bmsr\b")


class KillsRivals(Signature):
    """Other miners and bots go first."""

    name = "kills_rival_malware"
    description = "Stops other miners and bots"
    severity = 4
    attack = ("T1489", "T1496")
    families = ("Kinsing", "TeamTNT")
    programs = STOPPERS | {"grep", "pgrep"} | SHELLS
    line = re.compile(
        r"\b(?:xmrig|kdevtmpfsi|kinsing|minerd|xmr-stak|watchbog|ddgs|sysrv\d*|kthreaddi|cryptonight|networkservice|sysupdate|crypto-pool|minexmr)\b"
    )


class ConnectsToMany(Signature):
    """One port at machine after machine: a search for the next victim."""

    name = "connects_to_many_hosts"
    description = "Connects to the same port of many machines, as scanners and worms do"
    severity = 4
    attack = ("T1046", "T1018", "T1110")
    families = ("Mirai", "Gafgyt")
    syscalls = frozenset({"connect"})
    _needed = 20

    def __init__(self) -> None:
        self._hosts: dict[tuple[int, int], set[str]] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        if peer is None or peer.family not in ("AF_INET", "AF_INET6") or not peer.port or is_loopback(peer.host):
            return None
        item = scene.descriptor(argument(event, 0))
        if item is None or "SOCK_STREAM" not in item.flags or peer.port in (80, 443) or len(self._hosts) > 10_000:
            return None
        hosts = self._hosts.setdefault((scene.key, peer.port), set())
        if len(hosts) >= self._needed:
            return None
        hosts.add(peer.host)
        return Evidence(f"port {peer.port}", "network", f"{self._needed} hosts") if len(hosts) == self._needed else None


class BotLogin(Signature):
    """What bots type after they have guessed a password of a device."""

    name = "mirai_login_sequence"
    description = "Types into a device's login what Mirai and its children type"
    severity = 5
    attack = ("T1110.001", "T1059.004")
    families = ("Mirai",)
    sends = re.compile(
        r"/bin/busybox [A-Z]{4,12}\b|enable(?:\\r)?(?:\\n|\\x00|\\0)|\bxc3511\b|\bvizxv\b|\b7ujMko0admin\b|tftp -g -l \S+ -r"
    )
    words = ("/bin/busybox", "enable", "xc3511", "vizxv", "7ujMko0admin", "tftp -g")


class BotOrders(Signature):
    """Answers and greetings of Gafgyt, Tsunami and their children."""

    name = "gafgyt_talk"
    description = "Talks to its master as Gafgyt and its children do"
    severity = 5
    attack = ("T1071", "T1498")
    families = ("Gafgyt", "Tsunami")
    sends = re.compile(
        r"\bBUILD (?:GAFGYT|RAZER|\w+):|\bPONG!|REPORT \d+\.\d+\.\d+\.\d+:|LOLNOGTFO|gayfgt|My IP: \d|\bFLOODING\b|NOTICE \S+ :(?:TSUNAMI|Packeting|Spoofs)"
    )
    words = ("BUILD ", "PONG!", "REPORT ", "LOLNOGTFO", "gayfgt", "My IP:", "FLOODING", "NOTICE ")


class Watchdog(Signature):
    """A device restarts when its watchdog is not fed; bots turn it off."""

    name = "turns_off_watchdog"
    description = "Opens the watchdog of the machine, as bots on devices do to prevent a restart"
    severity = 4
    attack = ("T1653",)
    families = ("Mirai", "Gafgyt")
    paths = WATCHDOGS
    access = frozenset({"read", "write"})
    attempts = True
    ordinary = frozenset({"systemd", "watchdog", "wd_keepalive", "busybox", "systemd-udevd", "corosync", "sbd"})


class WalksProcesses(Signature):
    """Bots look at every program that runs, to kill other bots."""

    name = "searches_processes_to_kill"
    description = "Goes through the programs of all processes and kills some"
    severity = 4
    attack = ("T1057", "T1489")
    families = ("Mirai",)
    paths = table("/proc/*/{exe,maps,fd,cmdline,comm}")
    access = frozenset({"probe", "read", "list"})
    attempts = True
    syscalls = frozenset({"kill"})
    _needed = 20
    _ordinary = frozenset(
        {
            "pkill",
            "killall",
            "pgrep",
            "ps",
            "top",
            "htop",
            "systemd",
            "start-stop-daemon",
            "fuser",
            "lsof",
            "pidof",
            "killall5",
            "needrestart",
            "busybox",
        }
    )

    def __init__(self) -> None:
        self._seen: dict[int, set[str]] = {}

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if len(self._seen) < 5_000:
            seen = self._seen.setdefault(scene.key, set())
            if len(seen) < self._needed:
                seen.add(touch.path.split("/")[2])
        return None

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        deadly = str(argument(event, 1)) in ("SIGKILL", "9", "SIGTERM", "15")
        many = len(self._seen.get(scene.key, ())) >= self._needed
        return (
            Evidence(str(argument(event, 0)), "process")
            if deadly and many and scene.program not in self._ordinary
            else None
        )


SIGNATURES: tuple[type[Signature], ...] = (
    Mines,
    SpeaksStratum,
    PreparesMining,
    KillsRivals,
    ConnectsToMany,
    BotLogin,
    BotOrders,
    Watchdog,
    WalksProcesses,
)
