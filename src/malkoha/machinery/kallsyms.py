"""Reads the symbol table out of a kernel image: vmlinuz in, the text of a System.map out.

Debian ships a stub in place of System.map, yet the kernel carries the names and addresses of all its symbols for
/proc/kallsyms. The layout is that of Linux 6.4 and newer with 64-bit relative offsets (scripts/kallsyms.c,
kernel/kallsyms.c): number of symbols, compressed names, markers, token table, token index, offsets, relative base.
"""

from __future__ import annotations

import gzip
import lzma
import re
import struct
import subprocess
from pathlib import Path

from malkoha.errors import ImageError

_MAX_SYMBOLS = 1 << 21
_ZSTD = b"\x28\xb5\x2f\xfd"


def system_map(vmlinuz: Path) -> str:
    """Return lines "address type name", sorted by address, as nm(1) would for the uncompressed kernel."""
    try:
        return _format(unpack(vmlinuz.read_bytes()))
    except (struct.error, IndexError, ValueError, lzma.LZMAError, EOFError) as error:
        raise ImageError(
            f"no symbol table found in {vmlinuz.name}", str(error), "use the kernel package that the image was made for"
        ) from error


def unpack(image: bytes) -> bytes:
    """Return the ELF file inside a bzImage (boot protocol 2.08 and newer; gzip, xz or zstd)."""
    if image[0x202:0x206] != b"HdrS":
        raise ValueError("not a Linux kernel image")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if payload.startswith(b"\x1f\x8b"):
        return gzip.decompress(payload[:-4])
    if payload.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(_ZSTD):
        command = ["zstd", "-q", "-d", "-c"]
        done = subprocess.run(command, input=payload[:-4], capture_output=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"zstd: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout
    raise ValueError("the kernel is packed in an unknown way")


def _format(kernel: bytes) -> str:
    tokens, index_end, table_start = _tokens(kernel)
    count, names = _names(kernel, tokens, table_start)
    offsets_at = (index_end + 7) & ~7
    offsets = struct.unpack_from(f"<{count}i", kernel, offsets_at)
    (base,) = struct.unpack_from("<Q", kernel, (offsets_at + 4 * count + 7) & ~7)
    if base >> 47 != 0x1FFFF:
        raise ValueError("the addresses are not where they are expected")
    rows = []
    for offset, name in zip(offsets, names, strict=True):
        # CONFIG_KALLSYMS_ABSOLUTE_PERCPU: positive offsets are absolute (per-CPU), negative ones relative to the base
        address = offset if offset >= 0 else base - 1 - offset
        rows.append((address, name))
    rows.sort(key=lambda row: row[0])
    return "".join(f"{address:016x} {name[0]} {name[1:]}\n" for address, name in rows)


def _tokens(kernel: bytes) -> tuple[list[bytes], int, int]:
    """Find the table of 256 pieces of names: digits and letters stand for themselves at their own ASCII numbers."""
    digits = b"\0".join(b"%d" % digit for digit in range(10)) + b"\0"
    for match in re.finditer(re.escape(digits), kernel):
        for start in _starts_before(kernel, match.start()):
            pieces = []
            index = []
            position = start
            for _ in range(256):
                end = kernel.index(b"\0", position)
                pieces.append(kernel[position:end])
                index.append(position - start)
                position = end + 1
            at = (position + 7) & ~7
            if kernel[at : at + 512] == struct.pack("<256H", *index):
                return pieces, at + 512, start
    raise ValueError("no token table")


def _starts_before(kernel: bytes, digits_at: int) -> list[int]:
    """Return where the table may begin when token 48 ("0") stands at ``digits_at``: 48 zero-ended strings before it."""
    position = digits_at - 1
    for _ in range(48):
        position = kernel.rindex(b"\0", 0, position)
    return [position + 1 + padding for padding in range(8)]


def _names(kernel: bytes, tokens: list[bytes], table_start: int) -> tuple[int, list[str]]:
    """Unpack all names, which stand before the markers and the token table, after their own number."""
    markers_end = table_start
    # The markers are a growing list of 32-bit offsets, one for 256 names, that begins with 0.
    position = (markers_end & ~3) - 4
    while position > 0 and struct.unpack_from("<I", kernel, position)[0] == 0:
        position -= 4
    last = struct.unpack_from("<I", kernel, position)[0]
    while last:
        position -= 4
        value = struct.unpack_from("<I", kernel, position)[0]
        if value >= last:
            raise ValueError("the markers do not grow")
        last = value
    for names_at in _names_before(kernel, position):
        found = _read_names(kernel, names_at, tokens)
        if found is not None:
            return found
    raise ValueError("no list of names")


def _names_before(kernel: bytes, markers_at: int) -> list[int]:
    """Return where the names may begin: after a 32-bit count that fits the markers, padded to 8 bytes."""
    (second,) = struct.unpack_from("<I", kernel, markers_at + 4)
    limit = max(0, markers_at - 64 * second * 256)
    found = []
    for at in range(markers_at & ~7, limit, -8):
        (count,) = struct.unpack_from("<I", kernel, at)
        if 1000 < count < _MAX_SYMBOLS and kernel[at + 4 : at + 8] == b"\0\0\0\0":
            found.append(at)
        if len(found) > 10000 or markers_at - at > 16 << 20:
            break
    return found


def _read_names(kernel: bytes, at: int, tokens: list[bytes]) -> tuple[int, list[str]] | None:
    (count,) = struct.unpack_from("<I", kernel, at)
    position = at + 8
    names: list[str] = []
    try:
        for _ in range(count):
            length = kernel[position]
            position += 1
            if length & 0x80:  # names above 127 pieces have a second length byte
                length = (length & 0x7F) | (kernel[position] << 7)
                position += 1
            if length == 0:
                return None
            name = b"".join([tokens[piece] for piece in kernel[position : position + length]])
            if not 2 <= len(name) <= 1024 or (len(names) < 64 and not re.match(rb"[A-Za-z?][\x21-\x7e]+$", name)):
                return None
            names.append(name.decode("latin-1"))
            position += length
    except IndexError:
        return None
    return count, names
