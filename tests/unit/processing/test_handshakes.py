from __future__ import annotations

import contextlib
import ssl
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.network.authority import Authority
from malkoha.processing import handshakes


def hello(*, name: bytes = b"a.example") -> bytes:
    """A ClientHello whose fingerprints can be told by hand; with GREASE in every list that may have it."""

    def extension(kind: int, body: bytes) -> bytes:
        return struct.pack(">HH", kind, len(body)) + body

    ciphers = struct.pack(">4H", 0x0A0A, 0x1301, 0x1302, 0xC02F)
    extensions = extension(0x1A1A, b"")
    extensions += extension(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name)
    extensions += extension(10, struct.pack(">HHH", 4, 0x2A2A, 29))
    extensions += extension(11, b"\x01\x00")
    extensions += extension(13, struct.pack(">HHH", 4, 0x0403, 0x0804))
    extensions += extension(16, struct.pack(">HB", 3, 2) + b"h2")
    extensions += extension(43, struct.pack(">BHH", 4, 0x3A3A, 0x0304))
    body = struct.pack(">H", 0x0303) + bytes(32) + b"\0" + struct.pack(">H", len(ciphers)) + ciphers + b"\x01\0"
    body += struct.pack(">H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    # two records: a handshake message may be spread over several
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part for part in (message[:50], message[50:]))


def test_fingerprints_of_a_client() -> None:
    found = handshakes.tls(hello(), b"")
    assert found is not None
    assert found["server_name"] == "a.example"
    assert found["ja3_text"] == "771,4865-4866-49199,0-10-11-13-16-43,29,0"
    # JA4: ciphers and extensions sorted, SNI and ALPN left out, then the signature algorithms as they are sent
    ciphers, rest = handshakes._short("1301,1302,c02f"), handshakes._short("000a,000b,000d,002b_0403,0804")
    assert found["ja4"] == f"t13d0306h2_{ciphers}_{rest}"
    assert found["alpn"] == ["h2"]


def test_a_real_handshake_with_its_certificate(tmp_path: Path) -> None:
    server_context = Authority.make(tmp_path).context("c2.example.net")
    server_context.maximum_version = ssl.TLSVersion.TLSv1_2
    client_context = ssl.create_default_context()
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    ends = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in range(2)]
    client = client_context.wrap_bio(*ends[0], server_hostname="c2.example.net")
    server = server_context.wrap_bio(*ends[1], server_side=True)
    streams = [b"", b""]
    for _ in range(8):
        for side, end in enumerate((client, server)):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
            said = ends[side][1].read()
            streams[side] += said
            if said:
                ends[1 - side][0].write(said)
    found = handshakes.tls(streams[0], streams[1])
    assert found is not None
    assert found["version"] == "TLS 1.2"
    assert found["certificates"][0]["subject"] == "CN=c2.example.net"
    assert len(found["ja3s"]) == 32


@pytest.mark.parametrize("cut", range(0, 150, 7))
def test_a_torn_hello_is_none_or_whole(cut: int) -> None:
    found = handshakes.tls(hello()[:cut], b"")
    assert found is None or found["server_name"] == "a.example"


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_noise_never_raises(client: bytes, server: bytes) -> None:
    handshakes.tls(b"\x16\x03\x01\x01\x00\x01" + client, b"\x16\x03\x03" + server)
    handshakes.ssh(client, server)


def test_banners_of_ssh() -> None:
    banners = handshakes.ssh(b"SSH-2.0-OpenSSH_10.0 Debian-7\r\n\0\0", b"SSH-2.0-dropbear\n")
    assert banners == {"client": "SSH-2.0-OpenSSH_10.0 Debian-7", "server": "SSH-2.0-dropbear"}
    assert handshakes.ssh(b"GET /", b"") is None
