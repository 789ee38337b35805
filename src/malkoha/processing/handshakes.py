"""TLS and SSH as they begin: who is asked for, and the fingerprints of client and server.

JA3 and JA3S hash the fields as they are sent; JA4 (of the client) sorts them. Values of GREASE (RFC 8701) do not count.
"""

from __future__ import annotations

import hashlib
import re
import struct
from typing import Any

_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_NAMES = {0x0304: "TLS 1.3", 0x0303: "TLS 1.2", 0x0302: "TLS 1.1", 0x0301: "TLS 1.0", 0x0300: "SSL 3.0"}
_BANNER = re.compile(rb"SSH-\d\.\d+-[\x21-\x7e]{1,200}(?: [\x20-\x7e]{1,200})?")
CERTIFICATES = 8


class _Cursor:
    """Reads numbers and counted parts; IndexError where there is no more."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise IndexError(size)
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def part(self, size: int) -> bytes:
        return self.take(self.number(size))

    @property
    def left(self) -> bool:
        return self.at < len(self.data)


def _messages(stream: bytes) -> list[tuple[int, bytes]]:
    """Take handshake messages out of the records at the beginning of a stream (RFC 8446, section 5.1)."""
    joined, cursor = b"", _Cursor(stream)
    try:
        while cursor.left:
            kind, version, length = cursor.number(1), cursor.number(2), cursor.number(2)
            if kind != 22 or version >> 8 != 3:
                break
            joined += cursor.data[cursor.at : cursor.at + length]
            cursor.take(length)
    except IndexError:
        pass
    found, cursor = [], _Cursor(joined)
    try:
        while cursor.left:
            kind = cursor.number(1)
            found.append((kind, cursor.part(3)))
    except IndexError:
        pass
    return found


def _extensions(cursor: _Cursor) -> list[tuple[int, bytes]]:
    if not cursor.left:
        return []
    inner, found = _Cursor(cursor.part(2)), []
    while inner.left:
        kind = inner.number(2)
        found.append((kind, inner.part(2)))
    return found


def _numbers(data: bytes, size: int = 2) -> list[int]:
    return [int.from_bytes(data[at : at + size]) for at in range(0, len(data) - size + 1, size)]


def _grease(value: int) -> bool:
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def tls(client: bytes, server: bytes) -> dict[str, Any] | None:
    """Describe a handshake from both streams; None when the client's side is none."""
    hello = next((body for kind, body in _messages(client) if kind == 1), None)
    if hello is None:
        return None
    try:
        found = _client(hello)
    except (IndexError, struct.error):
        return None
    for kind, body in _messages(server):
        try:
            if kind == 2:
                found |= _server(body)
            elif kind == 11:
                found["certificates"] = _certificates(body)
        except (IndexError, struct.error):
            continue
    return found


def _client(hello: bytes) -> dict[str, Any]:
    cursor = _Cursor(hello)
    version = cursor.number(2)
    cursor.take(32)
    cursor.part(1)
    ciphers = [value for value in _numbers(cursor.part(2)) if not _grease(value)]
    cursor.part(1)
    extensions = [(kind, body) for kind, body in _extensions(cursor) if not _grease(kind)]
    by_kind = dict(extensions)
    groups = [value for value in _numbers(by_kind.get(10, b"")[2:]) if not _grease(value)]
    points = list(by_kind.get(11, b"")[1:])
    name = by_kind[0][5:].decode("ascii", "replace") if len(by_kind.get(0, b"")) > 5 else ""
    protocols = _protocols(by_kind.get(16, b""))
    offered = [value for value in _numbers(by_kind.get(43, b"")[1:]) if not _grease(value)]
    signatures = [value for value in _numbers(by_kind.get(13, b"")[2:]) if not _grease(value)]
    best = max(offered, default=version)
    ja3 = ",".join(
        [
            str(version),
            "-".join(map(str, ciphers)),
            "-".join(str(kind) for kind, _ in extensions),
            "-".join(map(str, groups)),
            "-".join(map(str, points)),
        ]
    )
    kinds = [kind for kind, _ in extensions]
    return {
        "server_name": name,
        "alpn": protocols,
        "client_version": _NAMES.get(best, hex(best)),
        "ja3": hashlib.md5(ja3.encode(), usedforsecurity=False).hexdigest(),
        "ja3_text": ja3,
        "ja4": _ja4(best, bool(name), ciphers, kinds, protocols, signatures),
    }


def _protocols(body: bytes) -> list[str]:
    found = []
    if len(body) > 2:
        inner = _Cursor(body[2:])
        while inner.left:
            found.append(inner.part(1).decode("ascii", "replace"))
    return found


def _ja4(
    version: int, named: bool, ciphers: list[int], kinds: list[int], protocols: list[str], signatures: list[int]
) -> str:
    first = protocols[0] if protocols else ""
    ends = first[0] + first[-1] if first and (first[0] + first[-1]).isalnum() else "00"
    counts = f"{min(len(ciphers), 99):02}{min(len(kinds), 99):02}"
    head = f"t{_VERSIONS.get(version, '00')}{'d' if named else 'i'}{counts}{ends}"
    others = sorted(f"{kind:04x}" for kind in kinds if kind not in (0, 16))
    tail = ",".join(others) + ("_" + ",".join(f"{value:04x}" for value in signatures) if signatures else "")
    return f"{head}_{_short(','.join(sorted(f'{value:04x}' for value in ciphers)))}_{_short(tail if kinds else '')}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12


def _server(hello: bytes) -> dict[str, Any]:
    cursor = _Cursor(hello)
    version = cursor.number(2)
    cursor.take(32)
    cursor.part(1)
    cipher = cursor.number(2)
    cursor.take(1)
    extensions = _extensions(cursor)
    chosen = dict(extensions).get(43)
    ja3s = f"{version},{cipher},{'-'.join(str(kind) for kind, _ in extensions)}"
    real = int.from_bytes(chosen) if chosen and len(chosen) == 2 else version
    return {
        "version": _NAMES.get(real, hex(real)),
        "cipher": f"0x{cipher:04x}",
        "ja3s": hashlib.md5(ja3s.encode(), usedforsecurity=False).hexdigest(),
    }


def _certificates(body: bytes) -> list[dict[str, str]]:
    """Describe the certificates of a handshake that sends them in the clear (before TLS 1.3)."""
    from cryptography import x509

    inner, found = _Cursor(_Cursor(body).part(3)), list[dict[str, str]]()
    while inner.left and len(found) < CERTIFICATES:
        der = inner.part(3)
        entry = {"sha256": hashlib.sha256(der).hexdigest()}
        try:
            certificate = x509.load_der_x509_certificate(der)
            entry |= {
                "subject": certificate.subject.rfc4514_string(),
                "issuer": certificate.issuer.rfc4514_string(),
                "not_after": certificate.not_valid_after_utc.isoformat(),
                "serial": f"{certificate.serial_number:x}",
            }
        except (ValueError, TypeError):
            entry["error"] = "no certificate"
        found.append(entry)
    return found


def ssh(client: bytes, server: bytes) -> dict[str, str] | None:
    """Return the banners of a conversation in SSH, None when it is none."""
    mine, theirs = _BANNER.match(client), _BANNER.match(server)
    if mine is None and theirs is None:
        return None
    return {
        "client": mine[0].decode("ascii") if mine else "",
        "server": theirs[0].decode("ascii") if theirs else "",
    }
