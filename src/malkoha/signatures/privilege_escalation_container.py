"""Ways out of a container: the host's processes, devices and namespaces, and the socket of the container engine."""

from __future__ import annotations

import re

from malkoha.model.event import Event
from malkoha.signatures.base import READS, WRITES, Evidence, Scene, Signature
from malkoha.signatures.paths import table
from malkoha.signatures.places import CONTAINER_SOCKETS, DISKS
from malkoha.trace.descriptors import argument, endpoint

_ENGINES = frozenset({"docker", "dockerd", "podman", "containerd", "crictl", "nerdctl", "ctr", "systemd"})
_DAEMONS = frozenset({"systemd", "systemd-executor", "udisksd", "systemd-udevd", "(sd-mkdcreds)"})


class ContainerSocket(Signature):
    """Whoever reaches the engine's socket is root on the host."""

    name = "talks_to_container_engine"
    description = "Talks to the container engine, which gives the rights of root on the host"
    severity = 3
    attack = ("T1611", "T1552.007")
    references = ("https://docs.docker.com/engine/security/protect-access/",)
    syscalls = frozenset({"connect"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        peer = endpoint(argument(event, 1))
        if peer is None or peer.host not in CONTAINER_SOCKETS or scene.program in _ENGINES:
            return None
        return Evidence(peer.host, "socket")


class HostFiles(Signature):
    """The first process of the host leads to all its files."""

    name = "reaches_files_of_host"
    description = "Reaches files through the root folder of the first process, which is the host's"
    severity = 3
    attack = ("T1611",)
    references = ("man 5 proc",)
    paths = table("/proc/1/root/**", "/proc/1/cwd/**")
    access = READS | WRITES
    ordinary = _DAEMONS


class HostNamespaces(Signature):
    """Who enters the namespaces of the first process has left its container."""

    name = "enters_namespaces_of_host"
    description = "Enters the namespaces of the first process, which are the host's"
    severity = 3
    attack = ("T1611",)
    references = ("man 1 nsenter",)
    paths = table("/proc/1/ns/*")
    access = READS
    ordinary = _DAEMONS
    programs = frozenset({"nsenter"})
    line = re.compile(r"(?:\s-\w*t|--target)[ =]*1\b")


class MountsDisk(Signature):
    """In a container, the host's disk is seen only by who mounts it."""

    name = "mounts_disk"
    description = "Mounts a disk of the machine"
    severity = 2
    attack = ("T1611",)
    syscalls = frozenset({"mount"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        source = str(argument(event, 0))
        return Evidence(source, "device") if source in DISKS and scene.program not in _DAEMONS else None


class RawFileSystem(Signature):
    """These programs read and write files of a disk past all rights."""

    name = "opens_file_system_of_disk"
    description = "Opens the file system of a disk past the kernel's checks"
    severity = 3
    attack = ("T1611",)
    programs = frozenset({"debugfs", "xfs_db", "dumpe2fs", "e2image"})
    line = re.compile(r"/dev/")


class PrivilegedContainer(Signature):
    """Such a container has the host's files and rights."""

    name = "starts_privileged_container"
    description = "Starts a container with the rights or files of the host"
    severity = 4
    attack = ("T1611", "T1610")
    programs = frozenset({"docker", "podman", "nerdctl", "ctr", "lxc", "kubectl"})
    line = re.compile(
        r"--privileged|security\.privileged=true|\s-v\s*/:|--volume[ =]/:|--mount\s\S*src=/,|source=/\s|--pid[ =]host"
        r"|--cap-add[ =](?:SYS_ADMIN|ALL)|\"privileged\":\s*true"
    )


SIGNATURES: tuple[type[Signature], ...] = (
    ContainerSocket, HostFiles, HostNamespaces, MountsDisk, RawFileSystem, PrivilegedContainer,
)  # fmt: skip
