"""A name server for every name (RFC 1035): a user's records first, otherwise a stable address for each name."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, ClassVar

from malkoha.network.answers import fake_address
from malkoha.network.conversation import Conversation
from malkoha.network.services.base import Datagram, Service

if TYPE_CHECKING:
    from dnslib import RR, DNSRecord

TTL = 300
GUEST_NAME = "web01"


class Dns(Service):
    """Answers over UDP and TCP."""

    name: ClassVar[str] = "dns"
    ports: ClassVar[tuple[int, ...]] = (53,)
    datagram_ports: ClassVar[tuple[int, ...]] = (53,)

    async def serve(self, talk: Conversation) -> None:
        while True:
            size = int.from_bytes(await talk.exactly(2))
            answer = self.answer(await talk.exactly(size), limit=65535)
            if answer is None:
                return
            await talk.send(len(answer).to_bytes(2) + answer)

    def datagram(self, packet: Datagram) -> list[bytes]:
        answer = self.answer(packet.data, limit=1400)
        return [] if answer is None else [answer]

    def answer(self, query: bytes, limit: int) -> bytes | None:
        """Return the answer to one query, None when it is none."""
        from dnslib import QTYPE, RCODE, DNSRecord
        from dnslib.dns import DNSError

        try:
            asked = DNSRecord.parse(query)
        except (DNSError, ValueError, IndexError):
            return None
        if asked.header.qr or not asked.questions:
            return None
        reply = asked.reply(ra=1, aa=0)
        name, kind = str(asked.q.qname), QTYPE.get(asked.q.qtype, "")
        known = self.world.answers.records(name, kind)
        try:
            for rdata in self._rdata(name, kind, known):
                reply.add_answer(_record(asked, rdata))
        except (ValueError, DNSError, OSError):
            reply.header.rcode = RCODE.SERVFAIL
        packed: bytes = reply.pack()
        if len(packed) > limit:
            packed = reply.truncate().pack()
        return packed

    def _rdata(self, name: str, kind: str, known: list[str] | None) -> list[Any]:
        """Return what stands in the answers for one name."""
        import dnslib as lib

        makers = {"A": _v4, "AAAA": _v6, "TXT": lib.TXT, "CNAME": lib.CNAME, "NS": lib.NS, "PTR": lib.PTR}
        if known is not None:
            if kind == "MX":
                return [lib.MX(host, int(preference)) for preference, host in map(_two, known)]
            if kind == "SRV":
                return [lib.SRV(*map(int, value.split()[:3]), value.split()[3]) for value in known]
            return [makers[kind](value) for value in known] if kind in makers else []
        plain = name.rstrip(".")
        invented: dict[str, list[Any]] = {
            "A": [lib.A(address_of(plain))],
            "MX": [lib.MX(f"mail.{plain}", 10)],
            "NS": [lib.NS(f"ns1.{plain}"), lib.NS(f"ns2.{plain}")],
            "TXT": [lib.TXT("v=spf1 a mx -all")],
            "PTR": [lib.PTR(reverse(plain))],
            "SRV": [lib.SRV(10, 5, 443, f"srv.{plain}")],
            "SOA": [lib.SOA(f"ns1.{plain}", f"hostmaster.{plain}", (2024031201, 7200, 3600, 1209600, 3600))],
        }
        # most names have no IPv6 address; to say so keeps a sample on the protocol that the guest surely has
        return invented.get(kind, [])


def _v4(value: str) -> Any:
    from dnslib import A

    return A(str(ipaddress.IPv4Address(value)))


def _v6(value: str) -> Any:
    from dnslib import AAAA

    return AAAA(str(ipaddress.IPv6Address(value)))


def address_of(name: str) -> str:
    """Return the address of a name that nobody has set."""
    if name.lower() in {"localhost", GUEST_NAME}:
        return "127.0.0.1"
    return fake_address(name)


def reverse(name: str) -> str:
    """Return the name of an address whose reverse form (RFC 1035, section 3.5) is asked for."""
    parts = name.removesuffix(".in-addr.arpa").split(".")
    try:
        address = ipaddress.ip_address(".".join(reversed(parts)))
    except ValueError:
        return "host.invalid"
    return f"{str(address).replace('.', '-')}.static.hosting-network.net"


def _two(value: str) -> tuple[str, str]:
    first, _, second = value.partition(" ")
    return (first, second) if second else ("10", first)


def _record(asked: DNSRecord, rdata: Any) -> RR:
    from dnslib import QTYPE, RR

    return RR(asked.q.qname, getattr(QTYPE, type(rdata).__name__), rdata=rdata, ttl=TTL)
