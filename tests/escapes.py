"""What a sample tries to get out of its guest: a Python program that needs nothing but the standard library."""

from __future__ import annotations

ESCAPES = """
import contextlib, socket, struct, sys, threading

MARKER, PORT = @MARKER@, @PORT@
ADDRESSES = @ADDRESSES@
NEAR = ["10.20.0.1", "10.20.0.2", "10.20.0.52", "169.254.169.254", "169.254.0.1", "224.0.0.1", "fd3c:9a51:7c20::1",
        "fe80::1%" + @CARD@, "ff02::1%" + @CARD@]

def tcp(host, port):
    with contextlib.suppress(OSError), socket.create_connection((host, port), 6) as s:
        s.sendall(MARKER + b" over tcp")
        s.settimeout(2)
        s.recv(100)

def udp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(MARKER + b" over udp", socket.getaddrinfo(host, port)[0][4])

def ping(host):
    echo = b"\\x08\\x00" + bytes(6) + MARKER
    total = sum(struct.unpack("!%dH" % (len(echo) // 2), echo + bytes(len(echo) % 2))[:len(echo) // 2])
    total = (total & 0xffff) + (total >> 16)
    echo = echo[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + echo[4:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(echo, (host, 0))

def raw():
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((@CARD@, 0))
        for to in (b"\\xff" * 6, b"\\x01\\x80\\xc2\\0\\0\\0", b"\\x02\\0\\0\\0\\0\\x01"):
            for kind in (b"\\x88\\xb5", b"\\x08\\x00", b"\\x81\\x00\\0\\1\\x08\\x00"):
                s.send(to + b"\\x02\\0\\0\\0\\0\\x09" + kind + MARKER + bytes(60))

work = [threading.Thread(target=tcp, args=(host, port)) for host in ADDRESSES + NEAR for port in (PORT, 22)]
for thread in work:
    thread.start()
for host in ADDRESSES + NEAR + ["255.255.255.255", "10.20.0.255"]:
    udp(host, PORT)
    if ":" not in host:
        ping(host)
raw()
for thread in work:
    thread.join()
print("tried everything")
"""


def program(marker: bytes, port: int, addresses: list[str], card: str) -> str:
    """Return the program for these targets; ``card`` is a Python expression that names the guest's card."""
    text = ESCAPES
    for word, value in (
        ("@MARKER@", repr(marker)),
        ("@PORT@", str(port)),
        ("@ADDRESSES@", repr(addresses)),
        ("@CARD@", card),
    ):
        text = text.replace(word, value)
    return text
