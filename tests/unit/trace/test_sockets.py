"""Socket addresses and control messages: every family, short ones and hostile ones."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace.sockets import address, control


def family(number: int, rest: bytes) -> bytes:
    return struct.pack("<H", number) + rest


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (family(1, b"/run/x.sock\0garbage"), {"sa_family": "AF_UNIX", "sun_path": "/run/x.sock"}),
        (family(1, b"\0abstract\0name"), {"sa_family": "AF_UNIX", "sun_path": "@abstract\0name"}),
        (family(1, b""), {"sa_family": "AF_UNIX", "sun_path": ""}),
        (
            family(2, struct.pack(">H", 443) + bytes([192, 0, 2, 7]) + bytes(8)),
            {"sa_family": "AF_INET", "sin_port": "443", "sin_addr": "192.0.2.7"},
        ),
        (family(2, b"\x01"), {"sa_family": "AF_INET", "sa_data": "01"}),
        (
            family(10, struct.pack(">HI", 53, 5) + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + b"\x02\0\0\0"),
            {
                "sa_family": "AF_INET6",
                "sin6_port": "53",
                "sin6_addr": "2001:db8::1",
                "sin6_flowinfo": "5",
                "sin6_scope_id": "2",
            },
        ),
        (
            family(10, struct.pack(">HI", 53, 0) + bytes(16)),
            {"sa_family": "AF_INET6", "sin6_port": "53", "sin6_addr": "::", "sin6_flowinfo": "0"},
        ),
        (
            family(10, struct.pack(">HI", 80, 0) + bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7])),
            {"sa_family": "AF_INET6", "sin6_port": "80", "sin6_addr": "::ffff:192.0.2.7", "sin6_flowinfo": "0"},
        ),
        (family(10, bytes(5)), {"sa_family": "AF_INET6", "sa_data": "0000000000"}),
        (
            family(16, struct.pack("<HII", 0, 77, 3)),
            {"sa_family": "AF_NETLINK", "nl_pid": "77", "nl_groups": "0x3"},
        ),
        (family(16, b"\0"), {"sa_family": "AF_NETLINK", "sa_data": "00"}),
        (
            family(17, struct.pack(">H", 0x0800) + struct.pack("<iHBB", 2, 1, 0, 6) + bytes(range(8))),
            {
                "sa_family": "AF_PACKET",
                "sll_protocol": "0x800",
                "sll_ifindex": "2",
                "sll_hatype": "1",
                "sll_pkttype": "0",
                "sll_halen": "6",
                "sll_addr": "00:01:02:03:04:05",
            },
        ),
        (
            family(17, struct.pack(">H", 3) + struct.pack("<iHBB", -1, 1, 0, 200) + b"\xff"),
            {
                "sa_family": "AF_PACKET",
                "sll_protocol": "0x3",
                "sll_ifindex": "-1",
                "sll_hatype": "1",
                "sll_pkttype": "0",
                "sll_halen": "200",
                "sll_addr": "ff",
            },
        ),
        (family(38, b"hash"), {"sa_family": "AF_ALG", "sa_data": "68617368"}),
        (family(0, b""), {"sa_family": "AF_UNSPEC", "sa_data": ""}),
        (family(999, b"\xff"), {"sa_family": "999", "sa_data": "ff"}),
        (b"\x02", {"sa_data": "02"}),
        (b"", {"sa_data": ""}),
    ],
)
def test_addresses(data: bytes, shown: dict[str, str]) -> None:
    assert address(data) == shown


@given(st.integers(0, 50), st.binary(max_size=130))
def test_any_address_is_shown(number: int, rest: bytes) -> None:
    for data in (family(number, rest), rest):
        assert all(isinstance(value, str) for value in address(data).values())


def test_descriptors_that_are_passed_are_named() -> None:
    rights = struct.pack("<QII2i", 24, 1, 1, 5, -1)
    stamp = struct.pack("<QII", 32, 1, 29) + bytes(16)
    assert control(rights + stamp) == "SCM_RIGHTS[5 -1] SOL_SOCKET:29"
    assert control(struct.pack("<III2i", 20, 1, 1, 5, 6) + struct.pack("<IIIi", 16, 41, 50, 1), "i386") == (
        "SCM_RIGHTS[5 6] SOL_IPV6:50"
    )


def test_control_messages_that_are_cut_or_hostile() -> None:
    assert control(b"") == ""
    assert control(struct.pack("<QII", 24, 1, 1)) == "SCM_RIGHTS[]"
    assert control(struct.pack("<QII", 0, 1, 1) * 3) == "SCM_RIGHTS[]"
    assert control(struct.pack("<QII", (1 << 64) - 1, 7, 9)) == "7:9"


@given(st.binary(max_size=300), st.booleans())
def test_no_control_messages_turn_in_circles(data: bytes, wide: bool) -> None:
    assert control(data, "x86-64" if wide else "i386").count(":") <= len(data)
