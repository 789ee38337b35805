"""What a path is answered with when nobody has set anything: content of the kind that its name promises.

All of it is harmless. The program really runs and makes itself seen: it asks the kernel who it is (uname), writes one
line and ends with status 0.
"""

from __future__ import annotations

import base64
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from typing import NamedTuple

LINE = b"second stage\n"
UNAMES = {62: 63, 3: 122}


class Content(NamedTuple):
    """A body with its media type."""

    type: str
    body: bytes


def program(machine: str = "x86-64") -> bytes:
    """Return a static ELF program of 200 bytes or so for ``x86-64``, ``i386`` or ``aarch64``."""
    if machine == "i386":
        code = (
            b"\xb8\x7a\x00\x00\x00"  # mov eax, 122 (uname)
            b"\x81\xec\x00\x04\x00\x00\x89\xe3\xcd\x80"  # sub esp, 1024; mov ebx, esp; int 0x80
            b"\xb8\x04\x00\x00\x00\xbb\x01\x00\x00\x00"  # mov eax, 4 (write); mov ebx, 1
            b"\xe8\x00\x00\x00\x00\x59"  # call next; pop ecx
            b"\x83\xc1\x12"  # add ecx, the way to the text
            b"\xba" + struct.pack("<I", len(LINE)) + b"\xcd\x80"  # mov edx, length; int 0x80
            b"\x31\xdb\x31\xc0\x40\xcd\x80"  # xor ebx, ebx; xor eax, eax; inc eax (exit); int 0x80
        )
        return _elf32(3, code + LINE)
    if machine == "aarch64":
        words = [
            0xD11003FF,  # sub sp, sp, #1024
            0x910003E0,  # mov x0, sp
            0xD2801408,  # mov x8, #160 (uname)
            0xD4000001,  # svc #0
            0xD2800020,  # mov x0, #1
            0x100000E1,  # adr x1, #28
            0xD2800002 | len(LINE) << 5,  # mov x2, #length
            0xD2800808,  # mov x8, #64 (write)
            0xD4000001,  # svc #0
            0xD2800000,  # mov x0, #0
            0xD2800BA8,  # mov x8, #93 (exit)
            0xD4000001,  # svc #0
        ]
        return _elf64(183, struct.pack(f"<{len(words)}I", *words) + LINE)
    code = (
        b"\x48\x81\xec\x00\x04\x00\x00\x48\x89\xe7"  # sub rsp, 1024; mov rdi, rsp
        b"\xb8\x3f\x00\x00\x00\x0f\x05"  # mov eax, 63 (uname); syscall
        b"\xb8\x01\x00\x00\x00\xbf\x01\x00\x00\x00"  # mov eax, 1 (write); mov edi, 1
        b"\x48\x8d\x35\x10\x00\x00\x00"  # lea rsi, [rip + 16]
        b"\xba" + struct.pack("<I", len(LINE)) + b"\x0f\x05"  # mov edx, length; syscall
        b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05"  # xor edi, edi; mov eax, 60 (exit); syscall
    )
    return _elf64(62, code + LINE)


def _elf64(machine: int, code: bytes) -> bytes:
    base, start = 0x400000, 64 + 56
    size = start + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, base + start, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return ident + head + segment + code


def _elf32(machine: int, code: bytes) -> bytes:
    base, start = 0x08048000, 52 + 32
    size = start + len(code)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    head = struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, base + start, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000)
    return ident + head + segment + code


SCRIPT = b"""#!/bin/sh
# maintenance
uname -a
echo second stage
exit 0
"""
PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Welcome</title></head>
<body><h1>Welcome</h1><p>This site is running. <a href="/about.html">About us</a></p></body></html>
"""
JSON = b'{"status":"ok","code":0,"result":[],"message":"success"}\n'
TEXT = b"ok\n"
PYTHON = b"#!/usr/bin/env python3\nimport platform\n\nprint('second stage', platform.machine())\n"
PERL = b'#!/usr/bin/perl\nprint "second stage\\n";\n'
GIF = base64.b64decode("R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")
PUBLIC_ADDRESS = "185.34.112.61"
"""What the guest is told when it asks where it is seen to come from."""
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////"
    "////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)


def png() -> bytes:
    """Return a picture of one white pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff")) + chunk(b"IEND", b"")


def archive() -> bytes:
    """Return a tar.gz with the program and the script in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (("run.sh", SCRIPT), ("agent", program())):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def zipped() -> bytes:
    """Return a zip with the same."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in (("run.sh", SCRIPT), ("agent", program())):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o755 << 16
            file.writestr(entry, content)
    return packed.getvalue()


_MACHINES = {
    "i386": ("i386", "i486", "i586", "i686", "x86_32"),
    "aarch64": ("aarch64", "arm64", "armv8"),
    "x86-64": ("x86_64", "x86-64", "amd64", "x64", "linux64", "x86", "elf", "bin"),
}
_OTHER_MACHINES = (
    "mips",
    "mipsel",
    "arm",
    "arm4",
    "arm5",
    "arm6",
    "arm7",
    "ppc",
    "powerpc",
    "sh4",
    "spc",
    "sparc",
    "m68k",
    "arc",
)
_PROGRAM_WORDS = (
    "miner",
    "xmrig",
    "kinsing",
    "bot",
    "agent",
    "payload",
    "shell",
    "implant",
    "beacon",
    "mirai",
    "kworker",
)
_ADDRESS_HOSTS = ("ipify", "ifconfig", "icanhazip", "checkip", "myip", "ipinfo", "ip-api", "ident.me", "whatismyip")
_BINARY, _SCRIPT_TYPE = "application/octet-stream", "text/x-shellscript"


def _by_suffix(suffix: str) -> Content | None:
    table = {
        "sh": Content(_SCRIPT_TYPE, SCRIPT),
        "bash": Content(_SCRIPT_TYPE, SCRIPT),
        "py": Content("text/x-python", PYTHON),
        "pl": Content("text/x-perl", PERL),
        "json": Content("application/json", JSON),
        "txt": Content("text/plain", TEXT),
        "html": Content("text/html; charset=utf-8", PAGE),
        "htm": Content("text/html; charset=utf-8", PAGE),
        "xml": Content("application/xml", b'<?xml version="1.0"?>\n<status>ok</status>\n'),
        "css": Content("text/css", b"body { margin: 2em; }\n"),
        "js": Content("text/javascript", b"console.log('ready');\n"),
        "gif": Content("image/gif", GIF),
        "jpg": Content("image/jpeg", _JPEG),
        "jpeg": Content("image/jpeg", _JPEG),
        "elf": Content(_BINARY, program()),
        "bin": Content(_BINARY, program()),
        "so": Content(_BINARY, program()),
        "out": Content(_BINARY, program()),
    }
    if suffix in {"png", "ico"}:
        return Content("image/png", png())
    if suffix in {"tgz", "gz"}:
        return Content("application/gzip", archive())
    if suffix == "zip":
        return Content("application/zip", zipped())
    return table.get(suffix)


def machine_of(name: str) -> str | None:
    """Return the machine that a file name promises a program for; None when it promises none."""
    words = name.lower().replace("-", "_").replace(".", " ").replace("_64", "-64").replace("_32", "-32").split()
    flat = name.lower()
    for machine, marks in _MACHINES.items():
        if any(mark in words or flat.endswith(mark) for mark in (m.replace("_", "-") for m in marks)):
            return machine
        if any(flat.endswith(mark) for mark in marks):
            return machine
    if any(word in _OTHER_MACHINES for word in words):
        return "x86-64"
    return "x86-64" if any(word in flat for word in _PROGRAM_WORDS) else None


def content(method: str, host: str, path: str, headers: dict[str, str]) -> Content:
    """Return what a server of that kind would send for a path; nothing is remembered between two calls."""
    name = path.split("?", maxsplit=1)[0].rsplit("/", 1)[-1]
    accept, agent = headers.get("accept", ""), headers.get("user-agent", "").lower()
    if any(mark in host.lower() for mark in _ADDRESS_HOSTS):
        if "json" in path or "json" in accept or "ip-api" in host:
            body = (
                f'{{"ip":"{PUBLIC_ADDRESS}","query":"{PUBLIC_ADDRESS}","country":"Netherlands","status":"success"}}\n'
            )
            return Content("application/json", body.encode())
        return Content("text/plain", PUBLIC_ADDRESS.encode() + b"\n")
    if method not in {"GET", "HEAD"} or "json" in accept:
        return Content("application/json", JSON)
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    found = _by_suffix(suffix)
    if found is not None:
        return found
    machine = machine_of(name) if name else None
    if machine is not None:
        return Content(_BINARY, program(machine))
    if not name or "mozilla" in agent or suffix in {"php", "asp", "aspx", "cgi", "jsp"}:
        return Content("text/html; charset=utf-8", PAGE)
    # a script runs when it is piped into a shell as well as when it is made executable
    return Content(_SCRIPT_TYPE, SCRIPT)
