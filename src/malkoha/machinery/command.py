"""What a machine is made of, and QEMU's command line for it; no side effects."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

Accelerator = Literal["kvm", "tcg"]

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
MAC = "d0:94:66:5b:1e:72"
"""Of the network card: a number of the maker that the firmware names as well (IEEE's list: D0-94-66 is Dell's)."""
AGENT_PORT = "serial.0"
TB_SIZE_MB = 256
"""Buffer of translated code; it fills once and is then reused, so it also bounds QEMU's own memory."""

APPEND = "console=ttyS0 clocksource=tsc tsc=reliable mitigations=off nowatchdog panic=-1"
"""Added to the image's own arguments. A panic reboots at once, which QEMU turns into "machine off"; the rest is
measured in docs/guides/machines.md."""


@dataclass(frozen=True)
class Identity:
    """What the guest's firmware says about the computer: an ordinary rack server, nothing of QEMU."""

    vendor: str = "Dell Inc."
    product: str = "PowerEdge R640"
    version: str = "Not Specified"
    serial: str = "7XK4WQ2"
    uuid: str = "4c4c4544-0058-4b10-8034-b7c04f575132"
    board: str = "0W23H8"
    bios: str = "2.19.1"
    bios_date: str = "06/04/2023"
    processor: str = "Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz"


@dataclass(frozen=True)
class MachineSpec:
    """One kind of machine: all that decides whether a saved one can be restored."""

    kernel: Path
    initrd: Path
    disk: Path
    """qcow2 file that is never written: every machine lays its own overlay over it."""
    accelerator: Accelerator = "tcg"
    memory_mb: int = 1024
    cpus: int = 1
    skip_idle: bool = False
    """Whether the guest's time jumps ahead while it only waits; software emulation alone can do that."""
    append: str = ""
    """The image's kernel arguments (``Image.kernel_arguments``); what stands after " -- " goes to init."""
    nic: bool = False
    """Whether it has a network card; what is behind its wire is no part of the machine."""
    write_limit_mb: int = 2048
    """How much a guest can write to its disk before it sees I/O errors; no file of QEMU grows beyond."""
    identity: Identity = field(default_factory=Identity)
    binary: str = "qemu-system-x86_64"


@dataclass(frozen=True)
class Descriptors:
    """Numbers of the open files that QEMU inherits; it opens nothing else for writing."""

    memory: int
    overlay: int
    qmp: int
    agent: int
    console: int
    firmware: int
    """What the firmware says of itself, as ``firmware`` makes it."""
    wire: int = -1
    """Stream socket that carries the frames of the network card, -1 where there is none."""

    def all(self) -> tuple[int, ...]:
        inherited = (self.memory, self.overlay, self.qmp, self.agent, self.console, self.firmware, self.wire)
        return tuple(fd for fd in inherited if fd >= 0)


def _escaped(text: str) -> str:
    """Write a comma the way QEMU's option parser wants it."""
    return text.replace(",", ",,")


def firmware(who: Identity) -> bytes:
    """Return the SMBIOS structure of type 0 (DSP0134, 7.1): QEMU's own says that the system is a virtual machine."""
    # PCI, plug and play, flash, shadowing, boot from CD, selectable boot; ACPI, USB; boot specification, content
    features, more = 1 << 7 | 1 << 9 | 1 << 11 | 1 << 12 | 1 << 15 | 1 << 16, (0x03, 0x05)
    fixed = struct.pack("<BBHBBHBBQBBBBBB", 0, 24, 0, 1, 2, 0xF000, 3, 0xFF, features, *more, 2, 19, 0xFF, 0xFF)
    return fixed + b"".join(text.encode() + b"\0" for text in (who.vendor, who.bios, who.bios_date)) + b"\0"


def _smbios(who: Identity, firmware: int) -> list[str]:
    vendor, product, serial = _escaped(who.vendor), _escaped(who.product), _escaped(who.serial)
    more = f"serial={serial},uuid={who.uuid},sku=SKU=NotProvided;ModelName={product},family=PowerEdge"
    tables = (
        f"file=/proc/self/fd/{firmware}",
        f"type=1,manufacturer={vendor},product={product},version={_escaped(who.version)},{more}",
        f"type=2,manufacturer={vendor},product={_escaped(who.board)},version=A00,serial=.{serial}.CNFCP0089R00AB.",
        f"type=3,manufacturer={vendor},version={_escaped(who.version)},serial={serial}",
        f"type=4,sock_pfx=CPU,manufacturer=Intel,version={_escaped(who.processor)}",
        "type=17,loc_pfx=A1,manufacturer=00CE00B300CE,part=M393A2K43CB2-CTD,speed=2666",
    )
    return [word for table in tables for word in ("-smbios", table)]


def _processor(spec: MachineSpec) -> tuple[str, str]:
    """Return the accelerator and the processor; both hide that there is a hypervisor."""
    if spec.accelerator == "kvm":
        # arch-capabilities: QEMU aborts on an MSR where KVM offers the flag but not its contents
        return "kvm", "host,kvm=off,hypervisor=off,arch-capabilities=off"
    model = f"Nehalem,hypervisor=off,tcg-cpuid=off,model-id={_escaped(spec.identity.processor)}"
    threads = "single" if spec.skip_idle else "multi"
    return f"tcg,thread={threads},tb-size={TB_SIZE_MB}", model


def _blocks(spec: MachineSpec, frozen: Path | None) -> list[str]:
    """Return the chain of disks: the image, what arming has written (when restored), the throw-away overlay."""
    nodes: list[dict[str, object]] = []

    def read_only(name: str, path: Path, backing: str | None) -> None:
        source = {"driver": "file", "node-name": f"{name}-file", "filename": str(path), "read-only": True}
        nodes.append(source)
        nodes.append(
            {"driver": "qcow2", "node-name": name, "file": f"{name}-file", "read-only": True, "backing": backing}
        )

    below = "image"
    read_only("image", spec.disk, None)
    if frozen is not None:
        read_only("frozen", frozen, "image")
        below = "frozen"
    nodes.append({"driver": "file", "node-name": "overlay-file", "filename": "/dev/fdset/1", "locking": "off"})
    nodes.append(
        {"driver": "qcow2", "node-name": "overlay", "file": "overlay-file", "backing": below, "discard": "unmap"}
    )
    return [word for node in nodes for word in ("-blockdev", json.dumps(node))]


def _network(spec: MachineSpec, fds: Descriptors) -> list[str]:
    """Return the network card: its frames go through an inherited socket, so QEMU itself reaches no network."""
    if not spec.nic:
        return ["-nic", "none"]
    # the last device: those before it keep the places that they have without it
    wire = ["-netdev", f"socket,id=wire,fd={fds.wire}"]
    return [*wire, "-device", f"virtio-net-pci,netdev=wire,mac={MAC},romfile="]


def command(
    spec: MachineSpec, binary: str, fds: Descriptors, *, incoming: bool = False, frozen: Path | None = None
) -> list[str]:
    """Return the arguments that start a paused machine, waiting for a saved state when ``incoming``."""
    accelerator, processor = _processor(spec)
    memory = {
        "qom-type": "memory-backend-file",
        "id": "ram",
        "size": spec.memory_mb << 20,
        "mem-path": f"/proc/self/fd/{fds.memory}",
        "share": True,
    }
    words = [binary, "-name", "malkoha", "-nodefaults", "-nographic", "-no-user-config"]
    words += ["-sandbox", SANDBOX, "-S", "-no-reboot", "-accel", accelerator, "-cpu", processor]
    words += ["-machine", "q35,memory-backend=ram,vmport=off,smm=off,sata=off,x-oem-id=DELL,x-oem-table-id=PE_SC3"]
    words += ["-m", f"{spec.memory_mb}M", "-object", json.dumps(memory), "-smp", str(spec.cpus)]
    if spec.skip_idle:
        # time counts instructions (one a nanosecond) and jumps to the next timer when there is nothing to do
        words += ["-icount", "shift=0,sleep=off"]
    words += _smbios(spec.identity, fds.firmware)
    words += ["-add-fd", f"fd={fds.overlay},set=1"]
    words += _blocks(spec, frozen)
    # report: a full overlay or host disk is an I/O error in the guest, not a machine that stands still
    words += ["-device", "virtio-blk-pci,drive=overlay,werror=report,rerror=report"]
    words += ["-chardev", f"socket,id=qmp,fd={fds.qmp},server=off", "-mon", "chardev=qmp,mode=control"]
    words += ["-chardev", f"socket,id=console,fd={fds.console},server=off", "-serial", "chardev:console"]
    words += ["-chardev", f"socket,id=agent,fd={fds.agent},server=on,wait=off", "-device", "virtio-serial-pci"]
    words += ["-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"]
    words += _network(spec, fds)
    words += ["-kernel", str(spec.kernel), "-initrd", str(spec.initrd)]
    arguments, dashes, to_init = spec.append.partition(" -- ")
    words += ["-append", f"{arguments} {APPEND}{dashes}{to_init}".strip()]
    if incoming:
        words += ["-incoming", "defer"]
    return words
