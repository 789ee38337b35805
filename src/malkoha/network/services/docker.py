"""A Docker daemon that is open to everybody (its Engine API): containers are made and started, and never exist."""

from __future__ import annotations

import re
from typing import ClassVar

from malkoha.network.content import Content
from malkoha.network.conversation import Conversation
from malkoha.network.services.base import Service
from malkoha.network.services.http import read_request, response

CONTAINER = b'{"Id":"4f2a91c0e3b7d95518c6a0f1e2d3c4b5a6978877665544332211ffeeddccbbaa","Warnings":[]}\n'
_VERSION = (
    b'{"Version":"24.0.7","ApiVersion":"1.43","MinAPIVersion":"1.12","Os":"linux","Arch":"amd64",'
    b'"KernelVersion":"5.15.0-105-generic"}\n'
)
_INFO = b'{"ID":"7TRN:IPZB","Containers":3,"Images":12,"Driver":"overlay2","NCPU":4,"Name":"srv04"}\n'
_IMAGES = b'[{"Id":"sha256:05455a08881e","RepoTags":["alpine:latest"],"Size":7377000}]\n'


class Docker(Service):
    """Ports 2375 and 2376; each request is kept with its body, which names the image and the command."""

    name: ClassVar[str] = "docker"
    ports: ClassVar[tuple[int, ...]] = (2375, 2376, 4243)
    speaks: ClassVar[str] = "http"

    async def serve(self, talk: Conversation) -> None:
        while (request := await read_request(talk)) is not None:
            path = re.sub(r"^/v\d+\.\d+", "", request.path)
            talk.note(
                what="request", method=request.method, host=request.host, path=request.path, body=request.body[:4096]
            )
            if request.body:
                talk.keep("sent", request.body, request.path)
            status, body = _answer(request.method, path.split("?")[0])
            await talk.send(response(Content("application/json", body), status=status, head=request.method == "HEAD"))


def _answer(method: str, path: str) -> tuple[int, bytes]:
    if method == "POST" and path == "/containers/create":
        return 201, CONTAINER
    if method == "POST" and path.endswith("/exec"):
        return 201, CONTAINER
    if path == "/version":
        return 200, _VERSION
    if path == "/info":
        return 200, _INFO
    if path == "/images/json":
        return 200, _IMAGES
    if path.endswith("/json"):
        return 200, b"[]\n"
    if path == "/_ping":
        return 200, b"OK"
    return 200, b'{"status":"ok"}\n'
