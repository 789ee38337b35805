"""Whether hardware virtualisation really works here.

/dev/kvm may open, create a machine and still never run a guest (nested hosts do that), so KVM is believed only after it
has booted a tiny guest in time: the kernel that is going to be used, with an initramfs whose only program says one word
and restarts the machine. The answer is kept in the cache of the home for this kernel, QEMU and processor.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import selectors
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from malkoha.errors import HostError, MachineError
from malkoha.machinery.command import SANDBOX
from malkoha.machinery.disk import nameless
from malkoha.machinery.spawn import find, spawn

if TYPE_CHECKING:
    from malkoha.machinery.command import Accelerator
    from malkoha.store import Home

DEVICE = Path("/dev/kvm")
WORD = b"malkoha-guest-runs\n"
OUTPUT_LIMIT = 1 << 20
BASE = 0x400000
PROBE_MEMORY_MB = 256


@dataclass(frozen=True)
class Answer:
    """Which accelerator to use, and the one line that says why."""

    accelerator: Accelerator
    why: str


def tiny_program() -> bytes:
    """Return a static x86-64 ELF program that writes ``WORD`` and restarts the machine (write(2), reboot(2))."""
    code = b"".join(
        (
            b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00",  # eax = write, edi = 1
            b"\x48\x8d\x35",  # rsi = WORD, which lies behind the code
            struct.pack("<i", 36),
            b"\xba" + struct.pack("<I", len(WORD)) + b"\x0f\x05",
            b"\xb8\xa9\x00\x00\x00\xbf\xad\xde\xe1\xfe",  # eax = reboot, edi = LINUX_REBOOT_MAGIC1
            b"\xbe\x69\x19\x12\x28\xba\x67\x45\x23\x01\x0f\x05",  # esi = LINUX_REBOOT_MAGIC2, edx = RESTART
            b"\xf3\x90\xeb\xfc\x90\x90\x90",  # wait for it
        )
    )
    size = 64 + 56 + len(code) + len(WORD)
    entry = BASE + 64 + 56
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = ident + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, BASE, BASE, size, size, 4096)
    return header + segment + code + WORD


def tiny_initramfs() -> bytes:
    """Return a cpio archive ("newc", Documentation/driver-api/early-userspace/buffer-format.rst) with /init alone."""

    def member(name: bytes, mode: int, body: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
        fields = (0, mode, 0, 0, 1, 0, len(body), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
        return head + b"\0" * (-len(head) % 4) + body + b"\0" * (-len(body) % 4)

    return b"".join(
        (
            member(b"dev", 0o040755),
            member(b"dev/console", 0o020600, device=(5, 1)),
            member(b"init", 0o100755, tiny_program()),
            member(b"TRAILER!!!", 0),
        )
    )


def boots(binary: str, kernel: Path, folder: Path, accelerator: Accelerator, timeout_s: float) -> str:
    """Boot the tiny guest; return "" when it came to life within ``timeout_s`` seconds, else what happened instead."""
    processor = "host,hypervisor=off,arch-capabilities=off" if accelerator == "kvm" else "Nehalem"
    initramfs = nameless(folder)
    readable, writable = os.pipe2(os.O_CLOEXEC)
    try:
        os.pwrite(initramfs, tiny_initramfs(), 0)
        words = [find(binary, "qemu-system-x86"), "-nodefaults", "-nographic", "-no-user-config", "-nic", "none"]
        words += ["-sandbox", SANDBOX, "-no-reboot", "-machine", "q35,smm=off,sata=off", "-m", str(PROBE_MEMORY_MB)]
        words += ["-accel", accelerator, "-cpu", processor]
        words += ["-kernel", str(kernel), "-initrd", f"/proc/self/fd/{initramfs}"]
        words += ["-append", "console=ttyS0 quiet panic=-1 mitigations=off"]
        words += ["-chardev", f"file,id=out,path=/proc/self/fd/{writable}", "-serial", "chardev:out"]
        process = spawn(words, stderr=writable, pass_fds=(initramfs, writable))
    except BaseException:
        os.close(readable)
        raise
    finally:
        os.close(initramfs)
        os.close(writable)
    try:
        said = _listen(readable, time.monotonic() + timeout_s)
    finally:
        process.kill()
        process.wait()
        os.close(readable)
    if WORD.strip() in said:
        return ""
    lines = [line.strip() for line in said.decode("ascii", "replace").splitlines() if line.startswith("qemu")]
    return lines[-1] if lines else f"no sign of life within {timeout_s:g} s"


def _listen(fd: int, deadline: float) -> bytes:
    """Read until the word was said, the other side is closed, the time is up or it is too much."""
    said = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while WORD.strip() not in said and len(said) < OUTPUT_LIMIT:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                break
            chunk = os.read(fd, 65536)
            if not chunk:
                break
            said += chunk
    return bytes(said)


def _key(binary: str, kernel: Path) -> str:
    """Return what the answer depends on: the host's kernel, QEMU, the guest's kernel and the processor."""
    program = Path(find(binary, "qemu-system-x86")).resolve().stat()
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    host = platform.uname()
    return "|".join(
        str(part)
        for part in (host.release, host.version, program.st_size, program.st_mtime_ns, kernel.stat().st_size, model)
    )


def _openable() -> str:
    """Return "" when the device can be opened, else why not."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"there is no {DEVICE}"
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"
    return ""


def choose(
    home: Home,
    kernel: Path,
    setting: Literal["auto", "kvm", "tcg"] = "auto",
    *,
    binary: str = "qemu-system-x86_64",
    timeout_s: float = 5.0,
) -> Answer:
    """Say which accelerator machines of this home use; ``setting`` other than "auto" decides without a probe.

    Takes up to ``timeout_s`` seconds the first time and a file read after that. HostError without QEMU.
    """
    if setting != "auto":
        return Answer(setting, f"machine.accelerator says {setting}")
    trouble = _openable()
    if trouble:
        # cheap to ask, and it changes when the user is put into a group
        return Answer("tcg", f"software emulation, {trouble}")
    try:
        key = _key(binary, kernel)
    except OSError as error:
        raise MachineError("The image is not complete", f"{kernel}: {error.strerror}") from error
    cache = home.cache / "kvm.json"
    with contextlib.suppress(OSError, msgspec.DecodeError):
        known = msgspec.json.decode(cache.read_bytes(), type=dict[str, str])
        if known.get("key") == key:
            return _answer(known.get("trouble", ""))
    try:
        trouble = boots(binary, kernel, home.run, "kvm", timeout_s)
    except OSError as error:
        raise HostError("KVM cannot be tried", str(error)) from error
    _remember(cache, {"key": key, "trouble": trouble})
    return _answer(trouble)


def forget(home: Home) -> None:
    """Have the next ``choose`` probe anew."""
    (home.cache / "kvm.json").unlink(missing_ok=True)


def _answer(trouble: str) -> Answer:
    if trouble:
        return Answer("tcg", f"software emulation, KVM booted no guest: {trouble}")
    return Answer("kvm", "KVM has booted a guest")


def _remember(cache: Path, answer: dict[str, str]) -> None:
    # a home that cannot be written to is no reason to fail: the probe is made again next time
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        making = cache.with_name(f"{cache.name}.{secrets.token_hex(4)}")
        making.write_bytes(msgspec.json.encode(answer))
        making.replace(cache)
