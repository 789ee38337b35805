"""Addresses that no guest is led to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.network import ranges


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:db8::1", "2002:7f00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
        "fe80::1%eth0", "fec0::1", "ff02::1",
        "", "localhost", "10.1", "0x7f000001", "2130706433", "127.0.0.1:80", "[::1]",
    ],
)  # fmt: skip
def test_what_is_not_public_is_forbidden(address: str) -> None:
    assert ranges.forbidden(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "172.32.0.1", "192.0.1.1", "2606:4700::1111"])
def test_public_hosts_are_not(address: str) -> None:
    assert not ranges.forbidden(address)


@given(st.ip_addresses())
def test_whatever_the_interpreter_knows_as_not_public_is_forbidden(address: object) -> None:
    found = ip_address(str(address))
    if not found.is_global or found.is_multicast or found.is_reserved or found.is_link_local:
        assert ranges.forbidden(str(found))


def test_own_networks_are_those_of_this_namespace() -> None:
    own = ranges.own()
    assert "127.0.0.0/8" in own or own == []
