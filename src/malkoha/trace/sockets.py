"""Show socket addresses and control messages.

Layouts: the man pages unix(7), ip(7), ipv6(7), netlink(7), packet(7) and cmsg(3).
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop

from malkoha.trace import constants
from malkoha.trace.records import text
from malkoha.trace.syscalls import Abi

SOL_SOCKET, SCM_RIGHTS = 1, 1
_HEAD_64, _HEAD_32 = struct.Struct("<QII"), struct.Struct("<III")


def address(data: bytes) -> dict[str, str]:
    """Show a struct sockaddr; a family that is not known shows its bytes in hexadecimal."""
    if len(data) < 2:
        return {"sa_data": data.hex()}
    family = int.from_bytes(data[:2], "little")
    shown = {"sa_family": constants.enum(family, "family")}
    if family == 1:
        path = data[2:]
        shown["sun_path"] = "@" + text(path[1:]) if path[:1] == b"\0" else text(path.split(b"\0", 1)[0])
    elif family == 2 and len(data) >= 8:
        shown |= {"sin_port": str(int.from_bytes(data[2:4])), "sin_addr": inet_ntop(AF_INET, data[4:8])}
    elif family == 10 and len(data) >= 24:
        port, flow = struct.unpack_from(">HI", data, 2)
        shown |= {"sin6_port": str(port), "sin6_addr": inet_ntop(AF_INET6, data[8:24]), "sin6_flowinfo": str(flow)}
        if len(data) >= 28:
            shown["sin6_scope_id"] = str(int.from_bytes(data[24:28], "little"))
    elif family == 16 and len(data) >= 12:
        pid, groups = struct.unpack_from("<II", data, 4)
        shown |= {"nl_pid": str(pid), "nl_groups": hex(groups)}
    elif family == 17 and len(data) >= 12:
        protocol = int.from_bytes(data[2:4])
        index = int.from_bytes(data[4:8], "little", signed=True)
        link = data[12 : 12 + min(data[11], 8)]
        shown |= {"sll_protocol": hex(protocol), "sll_ifindex": str(index), "sll_hatype": str(data[8] | data[9] << 8)}
        shown |= {"sll_pkttype": str(data[10]), "sll_halen": str(data[11]), "sll_addr": link.hex(":")}
    else:
        shown["sa_data"] = data[2:].hex()
    return shown


def control(data: bytes, abi: Abi = "x86-64") -> str:
    """Show control messages, cmsg(3); descriptors that are passed are named."""
    head, align = (_HEAD_32, 4) if abi == "i386" else (_HEAD_64, 8)
    shown, offset = [], 0
    while offset + head.size <= len(data):
        length, level, kind = head.unpack_from(data, offset)
        body = data[offset + head.size : offset + max(length, head.size)]
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            numbers = struct.unpack_from(f"<{len(body) // 4}i", body)
            shown.append("SCM_RIGHTS[" + " ".join(map(str, numbers)) + "]")
        else:
            shown.append(f"{constants.enum(level, 'solevel')}:{kind}")
        if length < head.size:
            break
        offset += length + align - 1 & -align
    return " ".join(shown)
