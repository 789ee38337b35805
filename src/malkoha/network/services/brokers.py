"""Servers that answer a line or a packet with one: IRC, Redis, MQTT, stratum, SOCKS, and NTP over UDP."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import ClassVar

from malkoha.network.conversation import Conversation, EndedError
from malkoha.network.services.base import Datagram, Service

LINES = 5000
NTP_EPOCH = 2_208_988_800
"""Seconds from 1900, where NTP begins to count, to 1970 (RFC 5905)."""


class Irc(Service):
    """A chat server (RFC 2812): lets everybody in and onto every channel."""

    name: ClassVar[str] = "irc"
    ports: ClassVar[tuple[int, ...]] = (6667, 6666, 6668, 6669, 7000)

    def recognises(self, first: bytes) -> bool:
        return first[:5].upper() in {b"NICK ", b"USER "} or first[:7].upper() == b"CAP LS "

    async def serve(self, talk: Conversation) -> None:
        nick, registered, server = "*", False, "irc.chat-network.org"
        for _ in range(LINES):
            line = (await talk.line()).decode("utf-8", "backslashreplace")
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            talk.note(what="message", command=verb, text=rest)
            if verb == "NICK":
                nick = rest.lstrip(":").split(" ")[0][:32] or "*"
            elif verb == "PING":
                await talk.send(f":{server} PONG {server} {rest}\r\n".encode())
            elif verb == "JOIN":
                channel = rest.split(" ")[0][:64]
                names = f"353 {nick} = {channel} :{nick} @op", f"366 {nick} {channel} :End of /NAMES list."
                joined = f":{nick}!{nick}@host JOIN {channel}\r\n"
                await talk.send((joined + "".join(f":{server} {line}\r\n" for line in names)).encode())
            elif verb == "QUIT":
                await talk.send(b"ERROR :Closing Link\r\n")
                return
            if verb == "USER" and not registered:
                registered = True
                welcome = (f"001 {nick} :Welcome", f"376 {nick} :End of /MOTD command.")
                await talk.send("".join(f":{server} {line}\r\n" for line in welcome).encode())


class Redis(Service):
    """A key-value store without a password; keeps each command: those that write cron files are what is sought."""

    name: ClassVar[str] = "redis"
    ports: ClassVar[tuple[int, ...]] = (6379,)

    def recognises(self, first: bytes) -> bool:
        return first[:1] == b"*" and first[1:2].isdigit() and b"\r\n$" in first[:16]

    async def serve(self, talk: Conversation) -> None:
        for _ in range(LINES):
            words = await self._command(talk)
            if not words:
                continue
            talk.note(what="command", command=b" ".join(words))
            verb = words[0].upper()
            if verb == b"PING":
                answer = b"+PONG\r\n"
            elif verb == b"INFO":
                info = b"# Server\r\nredis_version:6.0.16\r\nos:Linux 5.15.0-105-generic x86_64\r\nrole:master\r\n"
                answer = b"$%d\r\n%s\r\n" % (len(info), info)
            elif verb in {b"GET", b"HGET"}:
                answer = b"$-1\r\n"
            elif verb in {b"KEYS", b"SCAN"}:
                answer = b"*0\r\n"
            else:
                answer = b"+OK\r\n"
            await talk.send(answer)

    @staticmethod
    async def _command(talk: Conversation) -> list[bytes]:
        line = await talk.line()
        if not line.startswith(b"*"):
            return line.split()[:100]
        words = []
        for _ in range(min(_number(line[1:]), 100)):
            size = _number((await talk.line())[1:])
            words.append(await talk.exactly(min(size, 1 << 20)))
            await talk.line()
        return words


def _number(digits: bytes) -> int:
    return int(digits) if digits.isdigit() and len(digits) < 10 else 0


class Mqtt(Service):
    """A message broker (MQTT 3.1.1): takes any login, grants every subscription."""

    name: ClassVar[str] = "mqtt"
    ports: ClassVar[tuple[int, ...]] = (1883,)

    def recognises(self, first: bytes) -> bool:
        return first[:1] == b"\x10" and (b"MQTT" in first[2:12] or b"MQIsdp" in first[2:14])

    async def serve(self, talk: Conversation) -> None:
        for _ in range(LINES):
            (head,) = await talk.exactly(1)
            body = await talk.exactly(min(await _remaining(talk), 1 << 20))
            kind = head >> 4
            talk.note(what="packet", kind=kind, body=body[:512])
            if kind == 1:
                await talk.send(b"\x20\x02\x00\x00")
            elif kind == 3 and head & 6:
                size = int.from_bytes(body[:2])
                await talk.send(b"\x40\x02" + body[2 + size : 4 + size])
            elif kind == 8:
                await talk.send(b"\x90\x03" + body[:2] + b"\x00")
            elif kind == 12:
                await talk.send(b"\xd0\x00")
            elif kind == 14:
                return


async def _remaining(talk: Conversation) -> int:
    size = 0
    for shift in range(0, 28, 7):
        (byte,) = await talk.exactly(1)
        size |= (byte & 127) << shift
        if not byte & 128:
            break
    return size


class Stratum(Service):
    """A mining pool: takes every worker, hands out one job, accepts every share."""

    name: ClassVar[str] = "stratum"
    ports: ClassVar[tuple[int, ...]] = (3333, 14444)

    def recognises(self, first: bytes) -> bool:
        return first[:1] == b"{" and b'"method"' in first and (b"mining." in first or b'"login"' in first)

    async def serve(self, talk: Conversation) -> None:
        for _ in range(LINES):
            try:
                asked = json.loads(await talk.line())
                method, number = str(asked.get("method", "")), asked.get("id")
            except (ValueError, AttributeError, RecursionError):
                continue
            talk.note(what="request", method=method, params=json.dumps(asked.get("params"))[:2048])
            await talk.send(json.dumps(_pool(method, number)).encode() + b"\n")


def _pool(method: str, number: object) -> dict[str, object]:
    """Return a pool's answer; a job that no computer will ever solve."""
    if method == "login":
        job = {"job_id": "1", "blob": "0e0e" + "00" * 74, "target": "00000001", "algo": "rx/0", "height": 3100000,
               "seed_hash": "00" * 32}  # fmt: skip
        result: object = {"id": "b3f1", "job": job, "status": "OK"}
    elif method == "mining.subscribe":
        result = [[["mining.notify", "b3f1"]], "08000002", 4]
    elif method in {"submit", "keepalived"}:
        result = {"status": "OK"}
    else:
        result = True
    return {"id": number if isinstance(number, int | str) else None, "jsonrpc": "2.0", "result": result, "error": None}


class Socks(Service):
    """A proxy (RFC 1928, and version 4): what follows is a conversation with whoever was asked for."""

    name: ClassVar[str] = "socks"
    ports: ClassVar[tuple[int, ...]] = (1080, 9050)

    def recognises(self, first: bytes) -> bool:
        if first[:1] == b"\x05":
            return len(first) >= 3 and len(first) == 2 + first[1]
        return first[:2] == b"\x04\x01" and len(first) >= 9

    async def serve(self, talk: Conversation) -> None:
        from malkoha.network.services.http import Http
        from malkoha.network.services.sink import Sink

        (version,) = await talk.exactly(1)
        host, port = await (_socks5(talk) if version == 5 else _socks4(talk))
        talk.note(what="proxy", host=host, port=port)
        await talk.send(b"\x05\0\0\x01\0\0\0\0\0\0" if version == 5 else b"\0\x5a" + bytes(6))
        first = await talk.peek()
        if first[:2] == b"\x16\x03":
            await talk.start_tls(self.world.tls(host))
            first = await talk.peek()
        http = Http(self.world)
        await (http if http.recognises(first) else Sink(self.world)).serve(talk)


async def _socks5(talk: Conversation) -> tuple[str, int]:
    (methods,) = await talk.exactly(1)
    await talk.exactly(methods)
    await talk.send(b"\x05\x00")
    _, _, _, kind = await talk.exactly(4)
    if kind == 3:
        (size,) = await talk.exactly(1)
        host = (await talk.exactly(size)).decode("latin-1")
    elif kind == 4:
        host = socket.inet_ntop(socket.AF_INET6, await talk.exactly(16))
    else:
        host = socket.inet_ntoa(await talk.exactly(4))
    return host, int.from_bytes(await talk.exactly(2))


async def _socks4(talk: Conversation) -> tuple[str, int]:
    await talk.exactly(1)
    port = int.from_bytes(await talk.exactly(2))
    address = await talk.exactly(4)
    await _text(talk)
    host = await _text(talk) if address[:3] == b"\0\0\0" else socket.inet_ntoa(address)
    return host, port


async def _text(talk: Conversation) -> str:
    text = bytearray()
    while (byte := await talk.exactly(1)) != b"\0":
        text += byte
        if len(text) > 512:
            raise EndedError("no end of a name")
    return text.decode("latin-1")


class Ntp(Service):
    """The time of this host (RFC 5905)."""

    name: ClassVar[str] = "ntp"
    datagram_ports: ClassVar[tuple[int, ...]] = (123,)

    def datagram(self, packet: Datagram) -> list[bytes]:
        if len(packet.data) < 48 or packet.data[0] & 7 != 3:
            return []
        now = time.time() + NTP_EPOCH
        stamp = struct.pack(">II", int(now), int(now % 1 * (1 << 32)))
        head = struct.pack(">BBbb", packet.data[0] & 0x38 | 4, 2, 6, -20) + struct.pack(">II", 0x200, 0x300)
        return [head + socket.inet_aton("192.0.2.1") + stamp + packet.data[40:48] + stamp + stamp]
