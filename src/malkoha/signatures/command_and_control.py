"""Being led from outside: tunnels, proxies, known ways to talk, tools that are fetched."""

from __future__ import annotations

import re
from collections import deque

from malkoha.model.event import Event
from malkoha.signatures.base import Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.programs import DOWNLOADERS, INTERPRETERS, RAW
from malkoha.trace.descriptors import argument, endpoint
from malkoha.trace.objects import is_loopback


class Tunnel(Signature):
    """Programs whose only use is a way around what the network allows."""

    name = "tunnel_program"
    description = "Starts a program that tunnels traffic"
    severity = 3
    attack = ("T1572", "T1090")
    programs = frozenset({
        "ngrok", "chisel", "frpc", "frps", "cloudflared", "bore", "gost", "iodine", "iodined", "dnscat", "dnscat2", "dns2tcpc",
        "ptunnel", "ptunnel-ng", "hans", "pagekite", "rathole", "ligolo-agent", "sshuttle", "stunnel", "stunnel4", "udp2raw",
        "icmpsh", "dnstunnel", "revsocks", "wstunnel", "nps", "npc", "hping3",
    })  # fmt: skip


class SshForwarding(Signature):
    """People forward ports too; samples do it without asking anybody."""

    name = "ssh_port_forwarding"
    description = "Forwards ports or a network through SSH"
    severity = 2
    attack = ("T1572", "T1021.004")
    programs = frozenset({"ssh", "autossh", "dbclient", "plink"})
    line = re.compile(r" -[46AaCfGgKkMNnqsTtVvXxYy]*[RLDw] ?\S*[:\d]|(?:Remote|Local|Dynamic)Forward")


class Proxy(Signature):
    """Traffic goes through, or is offered through, another machine."""

    name = "proxy_program"
    description = "Starts a proxy, or a program through one"
    severity = 3
    attack = ("T1090",)
    programs = frozenset({
        "proxychains", "proxychains4", "3proxy", "microsocks", "tinyproxy", "privoxy", "redsocks", "dante-server", "danted",
        "ss-local", "ss-server", "sslocal", "v2ray", "xray", "trojan", "tsocks", "squid", "mitmproxy", "mitmdump", "shadowsocks",
    })  # fmt: skip


class ProxySetting(Signature):
    """From then on most programs send their requests there."""

    name = "sets_proxy"
    description = "Sets a proxy for the programs that follow"
    severity = 1
    attack = ("T1090.001",)
    script = re.compile(r"\b(?:https?|all|ftp|socks)_proxy=\S+|\b(?:HTTPS?|ALL)_PROXY=\S+")
    words = ("_proxy=", "_PROXY=")


class ProxyOption(Signature):
    """The address of a proxy stands in the arguments."""

    name = "uses_proxy"
    description = "Has a program send its requests through a proxy"
    severity = 2
    attack = ("T1090",)
    programs = DOWNLOADERS | {"git", "ssh", "nc", "ncat"}
    line = re.compile(
        r"^\S*curl\b.* -[a-zA-Z]*x ?\S|--proxy[ =]|--socks[45]|--preproxy|ProxyCommand|ProxyJump|_proxy=|http\.proxy"
    )


class Tor(Signature):
    """Hides who talks to whom."""

    name = "uses_tor"
    description = "Uses Tor: its programs, its ports, or names that exist in it only"
    severity = 4
    attack = ("T1090.003",)
    programs = frozenset({"tor", "torsocks", "torify", "nyx", "arti", "obfs4proxy", "snowflake-client"})
    syscalls = frozenset({"connect"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        there = peer is not None and peer.port in (9050, 9150) and is_loopback(peer.host)
        return Evidence(str(peer), "ip") if there else None


class TorService(Signature):
    """The package brings a service."""

    name = "starts_tor"
    description = "Starts the service of Tor"
    severity = 3
    attack = ("T1090.003",)
    programs = frozenset({"systemctl", "service"})
    line = re.compile(r"\b(?:start|restart|enable)\b.*\btor(?:@\w+)?(?:\.service)?(?:\s|$)|\btor\s+(?:start|restart)\b")


class OnionName(Signature):
    """Names that only Tor and its gateways know."""

    name = "onion_address"
    description = "Names a hidden service in its arguments"
    severity = 4
    attack = ("T1090.003",)
    line = re.compile(r"\b[a-z2-7]{16}(?:[a-z2-7]{40})?\.onion\b")


class Irc(Signature):
    """Bots have been led over IRC for long."""

    name = "speaks_irc"
    description = "Speaks IRC: takes a name or joins a channel"
    severity = 3
    attack = ("T1071",)
    sends = re.compile(r"(?:^|\\n|\n)(?:NICK \S+|JOIN [#&]\S+|PRIVMSG \S+|USER \S+ \S+ \S+ :)")
    words = ("NICK ", "JOIN ", "PRIVMSG ", "USER ")


class Beacon(Signature):
    """Connections to one address in even intervals, whether anybody answers or not."""

    name = "connects_in_even_intervals"
    description = "Connects to one address again and again in even intervals"
    severity = 3
    attack = ("T1071", "T1095")
    syscalls = frozenset({"connect"})
    _needed = 5

    def __init__(self) -> None:
        self._times: dict[str, deque[int]] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        if (
            peer is None
            or peer.family not in ("AF_INET", "AF_INET6")
            or peer.port in (0, 53, None)
            or len(self._times) > 10_000
        ):
            return None
        times = self._times.setdefault(str(peer), deque(maxlen=self._needed))
        if times and event.time_ns - times[-1] < 500_000_000:
            return None  # one attempt: several addresses, or a second try at once
        times.append(event.time_ns)
        if len(times) < self._needed:
            return None
        pauses = [(later - earlier) / 1e9 for earlier, later in zip(times, list(times)[1:], strict=False)]
        mean = sum(pauses) / len(pauses)
        if mean < 1.0 or max(abs(pause - mean) for pause in pauses) > max(0.25 * mean, 0.4):
            return None
        return Evidence(str(peer), "ip", f"every {mean:.0f} s")


class Downloads(Signature):
    """Fetching files is what these programs are for."""

    name = "downloads_file"
    description = "Fetches a file with a program for downloads"
    severity = 1
    attack = ("T1105",)
    programs = DOWNLOADERS - {"whois"}
    line = re.compile(
        r"(?:https?|ftps?|tftp)://|^\S*(?:tftp|ftpget|ncftpget)\b|^(?:\S*busybox )?\S*(?:curl|wget)\b.* [\w-]+\.[\w.-]+",
        re.IGNORECASE,
    )


class RemoteCopy(Signature):
    """Files go to or come from another machine over SSH."""

    name = "copies_files_over_ssh"
    description = "Copies files from or to another machine"
    severity = 2
    attack = ("T1105", "T1570", "T1021.004")
    programs = frozenset({"scp", "sftp", "rsync"})
    line = re.compile(r" (?:[\w.-]+@)?[\w.-]+::?[/~\w.]|@[\w.-]+|rsync://")
    unless = re.compile(r" --server\b")


class WhoisTransfer(Signature):
    """whois sends its question to any host and port, and prints whatever comes back."""

    name = "transfer_by_whois"
    description = "Has whois or finger talk to a chosen host, which carries data"
    severity = 3
    attack = ("T1105",)
    programs = frozenset({"whois", "finger"})
    line = re.compile(r" (?:-h|--host|-p|--port)[ =]?\S+")


class InlineDownload(Signature):
    """A one-line program fetches something."""

    name = "inline_program_downloads"
    description = "Fetches something with a program in the arguments of an interpreter"
    severity = 2
    attack = ("T1105", "T1059")
    programs = INTERPRETERS
    line = re.compile(
        r" -(?:c|e|r) .*(?:urllib|urlretrieve|urlopen|requests\.get|http\.client|LWP::|HTTP::Tiny|Net::HTTP|open-uri"
        r"|file_get_contents\(\s*[\"']https?:|https?\.get\()",
        re.DOTALL,
    )


class DownloadMadeExecutable(Signature):
    """A file that a download wrote becomes a program."""

    name = "download_made_executable"
    description = "Makes a file that it has downloaded executable"
    severity = 3
    attack = ("T1105", "T1222.002")
    paths = table("/**")
    access = frozenset({"mode"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        writer = scene.writer(touch.path)
        by = scene.command_of(writer) if writer is not None else None
        if by is None or not by.names & DOWNLOADERS:
            return None
        modes = [str(value) for value in touch.event.args.values()]
        return (
            Evidence(touch.path, "file")
            if any(re.search(r"^0?[0-7]*[1357][0-7]{0,2}$|S_IX", mode) for mode in modes[1:])
            else None
        )


class RawPacketTrigger(Signature):
    """A program that sees every packet before the firewall does, and picks out the one it waits for."""

    name = "filters_raw_packets"
    description = "Waits for chosen packets on a raw socket with a filter in the kernel"
    severity = 4
    attack = ("T1205.002", "T1040")
    families = ("BPFDoor",)
    syscalls = frozenset({"setsockopt"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        item = scene.descriptor(argument(event, 0))
        # netlink's sockets are raw by name, and carry no packets: udev's clients filter what the kernel tells
        inet = item is not None and item.family in ("AF_INET", "AF_INET6") and "SOCK_RAW" in item.flags
        raw = item is not None and item.kind == "socket" and (inet or "PACKET" in item.family)
        if not raw or "SO_ATTACH_FILTER" not in str(argument(event, 2)) or scene.program in RAW:
            return None
        return Evidence(scene.exe or "unknown program", "file", item.family if item else "")


class RawSocket(Signature):
    """Packets without the kernel's protocols: tools for networks need that, few others."""

    name = "opens_raw_socket"
    description = "Opens a socket for raw packets"
    severity = 2
    attack = ("T1095", "T1040")
    syscalls = frozenset({"socket"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        family, kind = str(argument(event, 0)), str(argument(event, 1))
        raw = family == "AF_PACKET" or ("SOCK_RAW" in kind and family in ("AF_INET", "AF_INET6"))
        if not raw or event.ret is None or event.ret < 0 or scene.program in RAW:
            return None
        return Evidence(f"{family} {kind}", "socket", str(argument(event, 2)))


_PORTS = frozenset({
    20, 21, 22, 25, 37, 43, 53, 67, 68, 69, 80, 88, 110, 111, 119, 123, 137, 138, 139, 143, 161, 179, 389, 443, 445, 465, 514, 515,
    546, 547, 554, 587, 631, 636, 853, 873, 989, 990, 993, 995, 1900, 2049, 3128, 3142, 3306, 3389, 5222, 5353, 5355, 5432, 5672,
    6379, 8080, 8443, 8883, 9418, 11371, 27017,
})  # fmt: skip


class ChosenAgent(Signature):
    """What a client calls itself is how many servers of malware know their own."""

    name = "chosen_user_agent"
    description = "Has a client for downloads call itself something else"
    severity = 1
    attack = ("T1071.001",)
    programs = DOWNLOADERS
    line = re.compile(r"^\S*curl\b.* (?:-\w*A|--user-agent)[ =]|^\S*wget\b.* (?:-U|--user-agent)[ =]|[Uu]ser-[Aa]gent:")


class UnusualPort(Signature):
    """Servers have usual ports; what is led from outside often has another."""

    name = "connects_to_unusual_port"
    description = "Connects to a port that no usual service has"
    severity = 1
    attack = ("T1571",)
    syscalls = frozenset({"connect"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        if (
            peer is None
            or peer.family not in ("AF_INET", "AF_INET6")
            or not peer.port
            or peer.port in _PORTS
            or is_loopback(peer.host)
        ):
            return None
        item = scene.descriptor(argument(event, 0))
        stream = item is not None and "SOCK_STREAM" in item.flags
        return Evidence(str(peer), "ip") if stream else None


class ChosenPort(Signature):
    """A port that is not the one of the protocol stands in the arguments."""

    name = "client_on_unusual_port"
    description = "Has a client talk to a port that is not the one of its protocol"
    severity = 2
    attack = ("T1571",)
    programs = frozenset({"telnet", "nc", "ncat", "netcat", "nc.openbsd", "nc.traditional", "socat", "curl", "wget"})
    line = re.compile(
        r"^\S*(?:telnet|nc\S*|netcat|ncat)\b.* [\w.-]+\s+(?!(?:21|22|23|25|53|80|110|143|443|993|995)\b)\d{2,5}\b|https?://[\w.-]+:(?!(?:80|443|8080|8443|3128)\b)\d{2,5}"
    )
    unless = re.compile(r"localhost|127\.0\.0\.1| -\w*l")


class WebService(Signature):
    """Places where anybody can leave and fetch texts."""

    name = "public_web_service"
    description = "Uses a public service that samples take orders or leave data at"
    severity = 3
    attack = ("T1102", "T1567")
    line = re.compile(
        r"\b(?:pastebin\.com|paste\.(?:rs|ee|c-net\.org)|hastebin\.\w+|ix\.io|sprunge\.us|termbin\.com|dpaste\.\w+|0x0\.st|rentry\.co"
        r"|transfer\.sh|file\.io|temp\.sh|bashupload\.com|anonfiles\.com|catbox\.moe|gofile\.io|api\.telegram\.org|t\.me/"
        r"|discord(?:app)?\.com/api/webhooks|hooks\.slack\.com|webhook\.site|requestbin\.\w+|pipedream\.net|interact\.sh|oast\.\w+"
        r"|gist\.githubusercontent\.com|api\.github\.com/gists|ngrok\.(?:io|app)|trycloudflare\.com|duckdns\.org)",
        re.IGNORECASE,
    )


class RemoteControl(Signature):
    """Programs that let others see and steer the screen."""

    name = "remote_control_program"
    description = "Starts a program for remote control"
    severity = 3
    attack = ("T1219",)
    programs = frozenset({
        "anydesk", "teamviewer", "teamviewerd", "rustdesk", "x11vnc", "x0vncserver", "Xvnc", "vncserver", "tigervncserver", "dwagent",
        "meshagent", "splashtop", "remmina", "xrdp", "gotty", "ttyd", "tmate", "sliver-client",
    })  # fmt: skip


class IcmpChannel(Signature):
    """ICMP of a program's own making carries whatever it wants."""

    name = "own_icmp_packets"
    description = "Makes ICMP packets by itself, as tunnels through ping do"
    severity = 3
    attack = ("T1095",)
    syscalls = frozenset({"socket"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        icmp = "ICMP" in str(argument(event, 2)) and "SOCK_RAW" in str(argument(event, 1))
        if not icmp or event.ret is None or event.ret < 0 or scene.program in RAW:
            return None
        return Evidence(scene.exe or "unknown program", "file")


class PortKnocking(Signature):
    """A port opens after a secret sequence only."""

    name = "port_knocking"
    description = "Uses port knocking"
    severity = 3
    attack = ("T1205.001",)
    programs = frozenset({"knock", "knockd", "fwknop", "fwknopd"})


class EncodedHost(Signature):
    """Data encoded in the name of the host that is asked."""

    name = "encodes_data_for_request"
    description = "Asks for a host or address whose name is encoded data"
    severity = 2
    attack = ("T1132.001",)
    programs = DOWNLOADERS
    line = re.compile(r"(?:^|[ /])[A-Za-z0-9+/]{10,}={1,2}\.[\w.-]+|[?&]\w+=[A-Za-z0-9+/]{30,}={1,2}")


SIGNATURES: tuple[type[Signature], ...] = (
    Tunnel,
    SshForwarding,
    Proxy,
    ProxySetting,
    ProxyOption,
    Tor,
    OnionName,
    Irc,
    Beacon,
    Downloads,
    RemoteCopy,
    WhoisTransfer,
    InlineDownload,
    DownloadMadeExecutable,
    RawPacketTrigger,
    RawSocket,
    UnusualPort,
    ChosenPort,
    WebService,
    RemoteControl,
    IcmpChannel,
    PortKnocking,
    EncodedHost,
    TorService,
    ChosenAgent,
)
