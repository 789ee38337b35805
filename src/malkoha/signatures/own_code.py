"""What other rules look for in commands, done by the sample's own code or by a program given to an interpreter."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import READS, Evidence, Scene, Signature, Touch
from malkoha.signatures.kinds import Often
from malkoha.signatures.paths import table
from malkoha.signatures.programs import BROWSERS, DOWNLOADERS, INTERPRETERS, PACKAGERS, SHELLS
from malkoha.trace.descriptors import Endpoint, argument, endpoint, number

_CODE = re.compile(r"^\S+(?: -\w+)* -\w*[ceE](?: |$)")
REMEMBERED = 5_000
"""Processes or hosts of which something is remembered."""


def own_code(scene: Scene) -> bool:
    """Tell whether the process runs the sample's own code: no program of the system, or an interpreter for a script."""
    return not scene.program or scene.program in INTERPRETERS


class _Many(Signature):
    """A rule for what means something only when it is done to ``needed`` different things."""

    needed: int

    def __init__(self) -> None:
        self._seen: dict[object, set[object]] = {}

    def complete(self, group: object, one: object) -> bool:
        """Note one thing of a group, and tell whether it was the one that makes them many."""
        if group not in self._seen and len(self._seen) >= REMEMBERED:
            return False
        seen = self._seen.setdefault(group, set())
        if len(seen) >= self.needed:
            return False
        seen.add(one)
        return len(seen) == self.needed


class WalksFolders(_Many):
    """A walk over the disk for what may be worth taking."""

    name = "walks_through_folders"
    description = "Goes through many folders one by one"
    severity = 1
    attack = ("T1083",)
    paths = table("/**")
    access = frozenset({"list"})
    needed = 40

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        if not own_code(scene) or scene.under(PACKAGERS) or not self.complete(scene.key, touch.path):
            return None
        return Evidence(touch.path, "folder", f"the {self.needed}th")


class ReadsProcesses(_Many):
    """A shell can go through /proc without ps."""

    name = "reads_many_processes"
    description = "Reads in /proc what many processes are"
    severity = 1
    attack = ("T1057",)
    paths = table("/proc/*/{cmdline,comm,status,stat,environ}")
    access = READS
    needed = 8
    _readers = SHELLS | INTERPRETERS | {"cat", "tr", "head", "grep", "sed", "strings", "xargs"}
    _other = re.compile(r"/proc/([0-9]+)/")

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        found = self._other.match(touch.path)
        if found is None or scene.program not in self._readers or not self.complete("", found[1]):
            return None
        return Evidence(touch.path, "file", f"the {self.needed}th process")


class ChangesRights(Signature):
    """Ordinary in programs that install something, and in what downloads and runs."""

    name = "changes_rights_itself"
    description = "Changes rights or owners of files by calls of its own"
    severity = 1
    attack = ("T1222.002",)
    paths = table("/**")
    access = frozenset({"mode", "owner"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return Evidence(touch.path, "file") if own_code(scene) and not scene.under(PACKAGERS) else None


class SetsTimes(Signature):
    """One line of an interpreter sets the times of one file; programs that copy files keep their times."""

    name = "sets_file_times_by_code"
    description = "Sets the times of a file to chosen ones, by a program in the arguments of an interpreter"
    severity = 2
    attack = ("T1070.006",)
    paths = table("/**")
    access = frozenset({"time"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        command = scene.command
        times = argument(touch.event, 2 if touch.event.api in ("utimensat", "futimesat") else 1)
        inline = scene.program in INTERPRETERS and command is not None and _CODE.search(command.line)
        return Evidence(touch.path, "file") if inline and times not in ("NULL", "0x0", "", []) else None


class TriesPorts(_Many):
    """Many ports of one host, this machine among them, by one process or a loop of a shell."""

    name = "connects_to_many_ports"
    description = "Connects to many ports of one host"
    severity = 2
    attack = ("T1046",)
    syscalls = frozenset({"connect"})
    needed = 12

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        item = scene.descriptor(argument(event, 0))
        if not _remote(peer) or peer is None or item is None or "SOCK_STREAM" not in item.flags:
            return None
        return Evidence(peer.host, "ip", f"{self.needed} ports") if self.complete(peer.host, peer.port) else None


class HoldsPort(Signature):
    """A port of the machine itself as a lock: a second copy finds it taken and ends."""

    name = "holds_local_port"
    description = "Waits on a port that only this machine reaches, as programs do that want to run once"
    severity = 1
    attack = ("T1480.002",)
    syscalls = frozenset({"bind"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        here = endpoint(argument(event, 1))
        local = _remote(here) and here is not None and _here(here.host)
        return Evidence(str(here), "ip", event.errno or "") if local and own_code(scene) else None


class TakesServicePort(Signature):
    """Bots kill the server of a port and take the port, so that nobody comes in after them."""

    name = "takes_port_of_service"
    description = "Waits on the port of a login or web service, in place of the service"
    severity = 3
    attack = ("T1489", "T1543")
    families = ("Mirai",)
    syscalls = frozenset({"bind"})
    _ports = frozenset({22, 23, 80, 443, 2323, 7547, 37215, 52869})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        here = endpoint(argument(event, 1))
        taken = _remote(here) and here is not None and here.port in self._ports and not _here(here.host)
        return Evidence(str(here), "ip", event.errno or "") if taken and not scene.program else None


class WaitsForUser(Signature):
    """Where nobody works, nothing ever happens to these files."""

    name = "waits_for_user"
    description = "Waits until something happens to files of users, logins or devices (inotify)"
    severity = 2
    attack = ("T1497.002",)
    references = ("man 7 inotify",)
    paths = table(
        "/home", "/home/**", "/root", "/root/**", "/media/**", "/mnt/**", "/dev", "/dev/input", "/dev/input/*",
        "/var/log/{wtmp,lastlog,auth.log}", "/{run,var/run}/utmp",
    )  # fmt: skip
    access = frozenset({"watch"})
    attempts = True

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        waits = own_code(scene) or scene.program in ("inotifywait", "inotifywatch", "incrond")
        return super().on_path(touch, scene) if waits else None


class UsesUpMemory(Often):
    """Ordinary programs stop when they are given none."""

    name = "uses_up_memory"
    description = "Asks for memory again and again when there is none left"
    severity = 3
    attack = ("T1499",)
    syscalls = frozenset({"brk", "mmap", "mremap"})
    times = 3

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return Evidence(event.api, "call", "ENOMEM") if event.errno == "ENOMEM" and self.reached(scene.key) else None


class FillsDisk(Signature):
    """A gigabyte at once for a file that holds nothing."""

    name = "fills_disk"
    description = "Takes a gigabyte or more of the disk at once, or asks for more than there is"
    severity = 3
    attack = ("T1499",)
    syscalls = frozenset({"fallocate", "ftruncate", "truncate"})
    programs = frozenset({"fallocate", "dd"})
    line = re.compile(
        r"^\S*fallocate\b.*(?:-l|--length)[ =]?\d+(?:[GT]|\d{9})"
        r"|^\S*dd\b(?!.*\bcount=).*\bif=/dev/(?:zero|urandom)\b.*\bof=/(?!dev/)"
    )
    _large = 1 << 30

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        size = number(argument(event, 3 if event.api == "fallocate" else 1)) or 0
        full = event.errno == "ENOSPC" or (event.api == "fallocate" and size >= self._large)
        return Evidence(event.api, "call", f"{size} bytes") if full and scene.program != "fallocate" else None


class SpeaksHttp(Signature):
    """The protocol that is let through everywhere."""

    name = "speaks_http"
    description = "Asks a web server for something"
    severity = 1
    attack = ("T1071.001",)
    sends = re.compile(r"^(?:GET|POST|PUT|HEAD) [^\s]{1,500} HTTP/1")
    words = ("GET ", "POST ", "PUT ", "HEAD ")


class Downloads(Signature):
    """No program for downloads is needed to fetch the next stage."""

    name = "downloads_by_own_code"
    description = "Fetches a file from a web server by code of its own"
    severity = 2
    attack = ("T1105", "T1071.001")
    sends = re.compile(r"^GET [^\s]{1,500} HTTP/1")
    words = ("GET ",)
    paths = table("/{tmp,var/tmp,dev/shm,root,home,opt,etc,usr,run}/**")

    def __init__(self) -> None:
        self._asked: set[int] = set()

    def on_text(self, text: str, scene: Scene) -> Evidence | None:
        del text
        if scene.program not in DOWNLOADERS | BROWSERS | PACKAGERS and len(self._asked) < REMEMBERED:
            self._asked.add(scene.key)
        return None

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        return Evidence(touch.path, "file") if scene.key in self._asked else None


class SendsAccounts(Signature):
    """The content tells, whoever sends it and however the file was read."""

    name = "sends_account_file"
    description = "Sends the list of accounts of this machine over the network"
    severity = 4
    attack = ("T1048.003", "T1041", "T1087.001")
    sends = re.compile(r"(?:^|[\n\r=&])(root:[^:\n]{0,200}:(?:0:0:[^:\n]*:/root|\d{4,6}:\d))")
    words = ("root:",)


class SendsKey(Signature):
    """A private key in what goes over the network in plain text."""

    name = "sends_private_key"
    description = "Sends a private key over the network"
    severity = 4
    attack = ("T1048.003", "T1041", "T1552.004")
    sends = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")
    words = ("PRIVATE KEY",)


def _remote(peer: Endpoint | None) -> bool:
    return peer is not None and peer.family in ("AF_INET", "AF_INET6") and bool(peer.port)


def _here(host: str) -> bool:
    """Tell whether only this machine reaches an address; 0.0.0.0 is where everybody does."""
    return host.startswith("127.") or host == "::1"


SIGNATURES: tuple[type[Signature], ...] = (
    HoldsPort, TakesServicePort, WaitsForUser, UsesUpMemory, FillsDisk, WalksFolders, ReadsProcesses, ChangesRights,
    SetsTimes, TriesPorts, SpeaksHttp, Downloads, SendsAccounts, SendsKey,
)  # fmt: skip
