"""A guest of an image's kernel and initrd that boots in seconds and does what it is told: busybox as its only program.

It reads lines from the agent's port, runs each as a shell command and answers with its output, a newline and ``.``.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Self

from malkoha.machinery import Machinery, disk, image
from malkoha.machinery.command import MachineSpec
from malkoha.machinery.qemu import Machine
from malkoha.machinery.snapshot import Snapshot, save
from malkoha.store import Home

B = "/bin/busybox"
DISK = 256 << 20
INIT = (
    f"b={B}; $b mkdir /proc /sys; $b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev; "
    "$b insmod /virtio_blk.ko; exec 3<>/dev/vport1p1; "
    "while :; do while read -r l <&3; do eval $l >&3 2>&1; echo >&3; echo . >&3; done; $b usleep 5000; done"
)
ANSWER_S = 60.0


def shell_spec(built: image.Image, folder: Path, memory_mb: int = 256, write_limit_mb: int = 512) -> MachineSpec:
    """Return a machine with an empty disk and that shell."""
    empty = folder / "empty.qcow2"
    if not empty.exists():
        folder.mkdir(parents=True, exist_ok=True)
        empty.write_bytes(disk.empty_qcow2(DISK))
    return MachineSpec(
        kernel=built.kernel,
        initrd=built.initrd,
        disk=empty,
        memory_mb=memory_mb,
        write_limit_mb=write_limit_mb,
        append=f'rdinit={B} quiet -- sh -c "{INIT}"',
    )


class Shell:
    """One connection to the guest's shell."""

    def __init__(self, machine: Machinery) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(str(machine.agent_socket))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def say(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def ask(self, line: str) -> str:
        """Run one line and return what it printed; EOFError when the guest has gone."""
        self.say(line)
        answer = b""
        while not answer.endswith(b"\n.\n"):
            chunk = self._socket.recv(65536)
            if not chunk:
                raise EOFError(answer)
            answer += chunk
        return answer[:-3].decode()


def saved(spec: MachineSpec, home: Home, name: str) -> Snapshot:
    """Boot the shell, let it write down where it was saved, and keep it."""
    machine = Machine(spec, home)
    try:
        machine.start()
        with Shell(machine) as shell:
            shell.ask("v=kept; echo on-disk >/dev/vda; $b sync")
        home.snapshots.mkdir(parents=True, exist_ok=True)
        return save(machine, home.snapshots / name)
    finally:
        machine.close()


def processes(home: Home) -> list[int]:
    """Return the ids of all machine processes of a home."""
    found = []
    mark = f"MALKOHA_RUN={home.run.absolute()}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in environment.split(b"\0"):
                found.append(int(entry.name))
    return found
