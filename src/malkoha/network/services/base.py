"""What a simulated service is: it says which ports and which first bytes are its own, and holds a conversation."""

from __future__ import annotations

from abc import ABC
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from malkoha.network.authority import Authority
from malkoha.network.conversation import Conversation

if TYPE_CHECKING:
    import socket
    import ssl

    from malkoha.network.answers import Answers
    from malkoha.network.journal import Journal, Session


class Datagram(NamedTuple):
    """One UDP packet of the guest."""

    data: bytes
    source: tuple[str, int]
    target: tuple[str, int]


class World:
    """What all services of one run share."""

    def __init__(self, authority: Authority | None, answers: Answers, keys: Path | None = None) -> None:
        self.authority, self.answers, self._keys = authority, answers, keys

    def tls(self, name: str) -> ssl.SSLContext:
        """Return the context of a server that is addressed as ``name``."""
        if self.authority is None:
            raise ConnectionError("there is no certificate authority")
        return self.authority.context(name, self._keys)


class Service(ABC):
    """One protocol; an instance lives for one run and serves many conversations."""

    name: ClassVar[str]
    ports: ClassVar[tuple[int, ...]] = ()
    """TCP ports on which it is spoken when the guest waits, or says nothing that is known."""
    greets: ClassVar[bool] = False
    """Whether the server speaks first."""
    datagram_ports: ClassVar[tuple[int, ...]] = ()
    speaks: ClassVar[str] = ""
    """Name of the service whose first bytes are its own as well: on its ports it goes first."""

    def __init__(self, world: World) -> None:
        self.world = world

    def recognises(self, first: bytes) -> bool:
        """Tell whether a conversation that begins with these bytes of the guest is its own, whatever the port."""
        del first
        return False

    async def take(self, connection: socket.socket, session: Session, journal: Journal) -> bool:
        """Take a connection over as a socket, for a library that brings its own streams; False when not wanted."""
        del connection, session, journal
        return False

    async def serve(self, talk: Conversation) -> None:
        """Hold one conversation to its end; what speaks in datagrams only ends it at once."""
        del talk

    def datagram(self, packet: Datagram) -> list[bytes]:
        """Return the answers to one UDP packet."""
        del packet
        return []
