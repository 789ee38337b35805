"""Shells for somebody else: on connections, on what relays, on terminals that are relayed."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import Command, Evidence, Scene, Signature, system_name
from malkoha.signatures.programs import INTERPRETERS, RELAYS, SHELLS
from malkoha.trace.descriptors import argument, endpoint, number

_SERVERS = frozenset({"sshd", "sshd-session", "telnetd", "in.telnetd", "mosh-server", "dropbear", "ttyd"})
_APPLETS = SHELLS | {"busybox", "toybox"}


class ReverseShell(Signature):
    """A shell is started whose input comes from a connection: what arrives there is executed."""

    name = "shell_on_socket"
    description = "Starts a shell whose standard input is a network connection"
    severity = 5
    attack = ("T1059.004", "T1095")
    programs = _APPLETS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        peer = scene.connection(0)
        return Evidence(str(peer), "ip", command.line[:200]) if peer is not None else None


class BindShell(Signature):
    """A shell is started on a connection that somebody else made to this machine."""

    name = "shell_on_accepted_connection"
    description = "Waits for a connection and starts a shell on it"
    severity = 5
    attack = ("T1059.004", "T1571")
    syscalls = frozenset({"accept", "accept4"})
    programs = _APPLETS

    def __init__(self) -> None:
        self._accepted: set[str] = set()

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        if peer is not None and peer.family in ("AF_INET", "AF_INET6") and len(self._accepted) < 10_000:
            self._accepted.add(str(peer))
        return None

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        peer = str(scene.connection(0))
        return Evidence(peer, "ip", command.line[:200]) if peer in self._accepted else None


class SocketOnStreams(Signature):
    """Standard input and output are replaced by one connection, as before a program is handed to its other side."""

    name = "socket_on_standard_streams"
    description = "Puts a network connection in the place of its standard input and output"
    severity = 3
    attack = ("T1059", "T1095")
    syscalls = frozenset({"dup2", "dup3"})

    def __init__(self) -> None:
        self._done: dict[tuple[int, str], set[int]] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer, target = scene.connection(argument(event, 0)), number(argument(event, 1))
        if (
            peer is None
            or target not in (0, 1, 2)
            or event.ret != target
            or scene.program in _SERVERS
            or len(self._done) > 10_000
        ):
            return None
        seen = self._done.setdefault((scene.key, str(peer)), set())
        seen.add(target)
        return Evidence(str(peer), "ip") if {0, 1} <= seen and target == max(seen) else None


class InterpreterOnSocket(Signature):
    """An interpreter whose program or orders come from a connection."""

    name = "interpreter_on_socket"
    description = "Starts an interpreter whose standard input is a network connection"
    severity = 4
    attack = ("T1059", "T1095")
    programs = INTERPRETERS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        peer = scene.connection(0)
        return Evidence(str(peer), "ip", command.line[:200]) if peer is not None else None


class ShellOverRelay(Signature):
    """A shell reads from a pipe, and what it says goes to a program that talks to the network."""

    name = "shell_over_relay"
    description = "Connects a shell to the network through pipes and a program that relays"
    severity = 5
    attack = ("T1059.004", "T1095")
    programs = _APPLETS | RELAYS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        if _relays(command):
            shell = next((key for key in scene.piped_keys(0) if scene.runs(key, _APPLETS)), None)
            return Evidence(command.line[:500], "command") if shell is not None and _fed(scene, shell) else None
        relay = next((one for one in scene.piped(1) if _relays(one)), None)
        return Evidence(relay.line[:500], "command") if relay is not None and _fed(scene, scene.key) else None


class ShellOnWires(Signature):
    """Programs of languages without dup2 (Node.js, Java, Lua, awk) read the connection and write into a shell's pipe."""

    name = "shell_driven_by_connected_program"
    description = "Drives a shell through pipes from a program that has a network connection"
    severity = 4
    attack = ("T1059.004", "T1095")
    references = ("man 2 socketpair",)
    syscalls = frozenset({"connect", "accept", "accept4"})
    programs = _APPLETS
    _most = 10_000

    def __init__(self) -> None:
        self._connected: set[int] = set()
        self._driving: dict[int, str] = {}

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        failed = (event.ret or 0) < 0 and event.errno != "EINPROGRESS"
        if failed or peer is None or peer.family not in ("AF_INET", "AF_INET6") or peer.port == 53:
            return None
        if len(self._connected) < self._most:
            self._connected.add(scene.key)
        line = self._driving.pop(scene.key, None)
        return Evidence(line, "command", str(peer)) if line is not None else None

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        words = [word for word in command.argv[1:] if word not in _APPLETS]
        if any(not word.startswith("-") or "c" in word for word in words):
            return None  # it was given a command or a script
        for key in _wired(scene):
            if system_name(scene.tables.exe(key)) in _SERVERS:
                continue
            if key in self._connected:
                return Evidence(command.line[:500], "command")
            if len(self._driving) < self._most:
                self._driving[key] = command.line[:500]
        return None


def _wired(scene: Scene) -> set[int]:
    """Give the keys of the processes that both write a process's input and read its output."""
    sides = []
    for fd in (0, 1):
        item = scene.descriptor(fd)
        if item is None or item.kind not in ("pipe", "socket") or scene.connection(fd) is not None:
            return set()
        sides.append(set(scene.tables.behind(scene.key, fd).processes) - {scene.key})
    return sides[0] & sides[1]


def _relays(command: Command) -> bool:
    """Tell whether a command carries its input to the network: openssl does more than that."""
    return not command.names.isdisjoint(RELAYS) and ("openssl" not in command.names or " s_" in command.line)


def _fed(scene: Scene, key: int) -> bool:
    """Tell whether a shell takes its orders from a pipe, named or not; one that was given a command takes none."""
    item, command = scene.tables.descriptor(key, 0), scene.command_of(key)
    if item is None or command is None or "-c" in command.argv:
        return False
    return item.kind == "pipe" or (item.kind == "file" and "-i" in command.argv and not item.path.startswith("/dev/"))


class RelayWithFifo(Signature):
    """A named pipe is made, and then a relay is started: together they carry a shell."""

    name = "relay_with_named_pipe"
    description = "Makes a named pipe and starts a program that relays to the network"
    severity = 4
    attack = ("T1059.004", "T1095")
    syscalls = frozenset({"mknod", "mknodat"})
    programs = RELAYS

    def __init__(self) -> None:
        self._fifo = ""

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret == 0 and "S_IFIFO" in str(argument(event, 1 if event.api == "mknod" else 2)):
            self._fifo = (scene.path(event, 0) if event.api == "mknod" else scene.path(event, 1, 0)) or "unknown"
        return None

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        return Evidence(command.line[:500], "command", self._fifo) if self._fifo and _relays(command) else None


class RelayRunsProgram(Signature):
    """The relay itself starts a program on its connection."""

    name = "relay_runs_program"
    description = "Has a network relay start a program on its connection"
    severity = 4
    attack = ("T1059.004", "T1095")
    programs = RELAYS
    line = re.compile(
        r" -\w*[ec] ?\S*(?:sh|cmd|python|perl)\b|--(?:sh-)?exec\b|\b(?:exec|system|shell):", re.IGNORECASE
    )


class TerminalRelay(Signature):
    """A shell gets a pseudo terminal whose other side belongs to a process with a network connection."""

    name = "shell_on_relayed_terminal"
    description = "Gives a shell a terminal that a process with a network connection relays"
    severity = 4
    attack = ("T1059.004", "T1095")
    programs = _APPLETS

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        item = scene.descriptor(0)
        if item is None or item.kind != "pty":
            return None
        for key in scene.ancestors():
            if scene.runs(key, _SERVERS):
                return None
            for fd in range(16):
                other = scene.tables.descriptor(key, fd)
                if (
                    other is not None
                    and other.kind == "socket"
                    and other.peer is not None
                    and other.peer.family.startswith("AF_INET")
                ):
                    return Evidence(str(other.peer), "ip", command.line[:200])
        return None


class OneLiner(Signature):
    """The known one-line programs that open a connection and start a shell on it."""

    name = "reverse_shell_one_liner"
    description = "Runs a one-line program that opens a connection and starts a shell on it"
    severity = 5
    attack = ("T1059", "T1095")
    references = ("https://gtfobins.github.io/#+reverse%20shell",)
    programs = INTERPRETERS | SHELLS | {"busybox", "lua5.3", "lua5.4", "nodejs", "java", "go"}
    line = re.compile(
        r"socket\.(?:socket|create_connection).*(?:dup2|pty\.spawn|subprocess|os\.system|/bin/(?:ba)?sh)"
        r"|(?:use Socket|IO::Socket).*(?:exec|system|open\b|`).*"
        r"|TCPSocket.*(?:exec|IO\.popen|spawn|/bin/)|fsockopen.*(?:exec|proc_open|popen|passthru|/bin/)"
        r"|(?:net\.connect|new net\.Socket|net\.Socket).*(?:spawn|exec)|(?:spawn|exec).*net\.(?:connect|Socket)"
        r"|/inet/tcp/\d+/|socket\.tcp\(\).*(?:io\.popen|os\.execute)"
        r"|\b(?:ba|z|k)?sh\b.*(?:[<>]&?|exec \d+<>) ?/dev/(?:tcp|udp)/[\w.$-]+/",
        re.DOTALL,
    )


class ShellRedirection(Signature):
    """bash opens connections by itself when these paths are redirected to; scripts that wait for a service do so too."""

    name = "script_opens_connection_by_redirection"
    description = "A script has the shell open a network connection by itself"
    severity = 3
    attack = ("T1059.004", "T1095")
    script = re.compile(r"[<>]&? ?/dev/(?:tcp|udp)/[\w.$\"{}-]+/[\w$\"{}]+")
    words = ("/dev/tcp/", "/dev/udp/")


SIGNATURES: tuple[type[Signature], ...] = (
    ReverseShell,
    BindShell,
    SocketOnStreams,
    InterpreterOnSocket,
    ShellOverRelay,
    ShellOnWires,
    RelayWithFifo,
    RelayRunsProgram,
    TerminalRelay,
    OneLiner,
    ShellRedirection,
)
