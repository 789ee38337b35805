"""A web server for every host and path, and a proxy for those who ask for one (RFC 9112, but lenient)."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlsplit

from malkoha.network import content
from malkoha.network.conversation import Conversation, EndedError
from malkoha.network.services.base import Service

METHODS = b"GET HEAD POST PUT DELETE OPTIONS PATCH CONNECT TRACE PROPFIND SUBSCRIBE M-SEARCH NOTIFY SEARCH".split()
HEADERS = 200
BODY = 32 << 20
KEEP_ALIVE_S = 60.0
_REQUEST = re.compile(rb"^([A-Z-]{2,20}) +(\S+)(?: +HTTP/(\d\.\d))?\s*$")


class Request:
    """One request, bounded in every part."""

    def __init__(self, method: str, target: str, version: str, headers: dict[str, str]) -> None:
        self.method, self.target, self.version, self.headers = method, target, version, headers
        self.body = b""
        self.cut = False

        self.host, self.path = _split(target, headers.get("host", ""))


def _split(target: str, host: str) -> tuple[str, str]:
    """Return host and path of a request's target; one that is no address is a path."""
    if "://" not in target:
        return host, target
    try:
        parts = urlsplit(target)
    except ValueError:
        return host, target
    return parts.netloc.rsplit("@", 1)[-1], (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


class Http(Service):
    """HTTP/1 on any port, in the clear or within TLS."""

    name: ClassVar[str] = "http"
    ports: ClassVar[tuple[int, ...]] = (80, 443, 8080, 8000, 8443, 8888, 3128)

    def recognises(self, first: bytes) -> bool:
        return any(first.startswith(method + b" ") for method in METHODS)

    async def serve(self, talk: Conversation) -> None:
        while True:
            request = await read_request(talk)
            if request is None:
                return
            if request.method == "CONNECT":
                await self._connect(talk, request)
                continue
            await self._answer(talk, request)
            wants = request.headers.get("connection", "").lower()
            if "close" in wants or (request.version == "1.0" and "keep-alive" not in wants) or request.cut:
                return

    async def _connect(self, talk: Conversation, request: Request) -> None:
        """Be a proxy: what follows is a conversation with the host that was named, which is served here as well."""
        talk.note(what="proxy", method="CONNECT", host=request.target)
        await talk.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        first = await talk.peek()
        if first[:1] == b"\x16":
            await talk.start_tls(self.world.tls(request.target.rsplit(":", 1)[0].strip("[]")))

    async def _answer(self, talk: Conversation, request: Request) -> None:
        host = request.host.rsplit(":", 1)[0] if "[" not in request.host else request.host
        own = self.world.answers.body(host, request.path)
        given = (
            content.Content("application/octet-stream", own)
            if own is not None
            else content.content(request.method, host, request.path, request.headers)
        )
        sent_hash = talk.keep("sent", request.body, request.path) if request.body else ""
        got_hash = talk.keep("received", given.body, request.path) if request.method != "HEAD" else ""
        talk.note(
            what="request",
            method=request.method,
            host=request.host,
            path=request.path,
            version=request.version,
            headers=request.headers,
            body_size=len(request.body),
            body_sha256=sent_hash,
            status=200,
            type=given.type,
            answer_size=len(given.body),
            answer_sha256=got_hash,
        )
        await talk.send(response(given, head=request.method == "HEAD"))


def response(given: content.Content, *, status: int = 200, head: bool = False) -> bytes:
    """Return a whole answer."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Server: nginx/1.24.0",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {given.type}",
        f"Content-Length: {len(given.body)}",
        "Last-Modified: Tue, 12 Mar 2024 09:14:07 GMT",
        "Connection: keep-alive",
        "Accept-Ranges: bytes",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else given.body)


async def read_request(talk: Conversation) -> Request | None:
    """Return the next request; None when there is none, or what comes is no HTTP."""
    try:
        line = await talk.line(KEEP_ALIVE_S)
    except (EndedError, TimeoutError):
        return None
    found = _REQUEST.match(line)
    if found is None:
        talk.note(what="no request", line=line[:512])
        return None
    headers: dict[str, str] = {}
    for _ in range(HEADERS):
        line = await talk.line()
        if not line:
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers.setdefault(name.strip().lower()[:128], value.strip()[:4096])
    version = (found[3] or b"0.9").decode()
    request = Request(found[1].decode(), found[2].decode("latin-1")[:8192], version, headers)
    await _read_body(talk, request)
    return request


async def _read_body(talk: Conversation, request: Request) -> None:
    if request.headers.get("expect", "").lower() == "100-continue":
        await talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in request.headers.get("transfer-encoding", "").lower():
        await _read_chunks(talk, request)
        return
    length = request.headers.get("content-length", "0")
    size = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
    request.cut = size > BODY
    request.body = await talk.exactly(min(size, BODY))


async def _read_chunks(talk: Conversation, request: Request) -> None:
    body = bytearray()
    while True:
        word = (await talk.line()).split(b";")[0].strip()
        try:
            size = int(word, 16)
        except ValueError:
            request.cut = True
            break
        if size == 0:
            while await talk.line():
                pass
            break
        if size < 0 or len(body) + size > BODY:
            request.cut = True
            break
        body += await talk.exactly(size)
        await talk.line()
    request.body = bytes(body)
