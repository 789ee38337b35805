"""Contents out of plain HTTP."""

from __future__ import annotations

import gzip

import pytest

from malkoha.processing import dialogues
from malkoha.processing.fetched import contents

GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
LONG = OK + b"Content-Length: 5\r\n\r\nfirst"


def found(client: bytes, server: bytes) -> list[tuple[str, bytes]]:
    return [(request["path"], body) for request, body in contents(dialogues.http(client, server), server)]


def test_each_answer_belongs_to_its_request() -> None:
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3;x=y\r\nond\r\n0\r\n\r\n"
    early = b"HTTP/1.1 100 Continue\r\n\r\n"
    server = LONG + chunked + early + b"HTTP/1.1 204 No\r\n\r\n" + OK + b"\r\nto the end"
    client = b"".join(GET % name for name in (b"a", b"b", b"c", b"d"))
    assert found(client, server) == [("/a", b"first"), ("/b", b"second"), ("/d", b"to the end")]


@pytest.mark.parametrize(
    ("client", "server", "expected"),
    [
        (GET % b"a", OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"plain"), [("/a", b"plain")]),
        (GET % b"a", OK + b"Content-Encoding: gzip\r\n\r\nno gzip", [("/a", b"no gzip")]),
        (GET % b"a", OK + b"Content-Length: 50\r\n\r\ncut", []),
        (GET % b"a", OK + b"Transfer-Encoding: chunked\r\n\r\n50\r\ncut", []),
        (GET % b"a", b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", []),
        (GET % b"a", LONG + LONG, [("/a", b"first")]),
        ((GET % b"a").replace(b"GET", b"HEAD"), LONG, []),
        (GET % b"a", OK + b"Content-Length: 5", []),
        (b"", LONG, []),
        (GET % b"a", b"SSH-2.0-x\r\n", []),
    ],
)
def test_what_is_cut_or_no_content_is_left_out(client: bytes, server: bytes, expected: list[tuple[str, bytes]]) -> None:
    assert found(client, server) == expected
