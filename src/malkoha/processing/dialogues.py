"""Plain protocols in the streams of a flow: HTTP, SMTP, IRC, FTP and telnet; whatever is not understood is left out."""

from __future__ import annotations

import re
from typing import Any

REQUESTS = 500
LINES = 500
TEXT = 4096
_REQUEST = re.compile(rb"([A-Z-]{3,20}) (\S{1,8192}) HTTP/(\d\.\d)\r?\n")
_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3})")
_IRC = re.compile(
    rb"^(?::\S+ )?(NICK|USER|PASS|JOIN|PRIVMSG|NOTICE|PING|PONG|QUIT|MODE|TOPIC|PART|CAP|\d{3})(?: (.*))?$",
    re.MULTILINE,
)
_FTP = (
    "USER",
    "PASS",
    "RETR",
    "STOR",
    "CWD",
    "LIST",
    "PORT",
    "PASV",
    "EPSV",
    "TYPE",
    "QUIT",
    "SYST",
    "DELE",
    "MKD",
    "SIZE",
)
_TELNET = re.compile(rb"\xff[\xfb-\xfe].|\xff\xfa.*?\xff\xf0|\xff[\xf1-\xf9]", re.DOTALL)


def text(data: bytes) -> str:
    """Show bytes of the wire as bounded text."""
    return data[:TEXT].decode("utf-8", "backslashreplace")


def http(client: bytes, server: bytes) -> list[dict[str, Any]]:
    """Return the requests of one flow, each with the status and the headers of its answer."""
    found: list[dict[str, Any]] = []
    statuses = [int(status) for status in _STATUS.findall(server)[:REQUESTS]]
    at = 0
    while len(found) < REQUESTS and (request := _REQUEST.match(client, at)) is not None:
        head_end = client.find(b"\r\n\r\n", at)
        head = client[at : head_end if head_end >= 0 else len(client)]
        headers = _headers(head)
        length = headers.get("content-length", "0")
        size = int(length) if length.isascii() and length.isdigit() and len(length) < 10 else 0
        body_at = head_end + 4 if head_end >= 0 else len(client)
        if "chunked" in headers.get("transfer-encoding", "").lower():
            following = re.compile(rb"\r\n0\r\n\r\n").search(client, body_at)
            size = (following.end() if following else len(client)) - body_at
        found.append(
            {
                "method": request[1].decode("ascii"),
                "path": text(request[2]),
                "version": request[3].decode("ascii"),
                "host": headers.get("host", ""),
                "user-agent": headers.get("user-agent", ""),
                "body": text(client[body_at : body_at + size]),
                "data": text(client[at : body_at + size]),
                "status": statuses[len(found)] if len(found) < len(statuses) else None,
            }
        )
        at = body_at + size
        if head_end < 0:
            break
    return found


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in head.split(b"\n")[1:200]:
        name, _, value = line.partition(b":")
        headers.setdefault(text(name.strip()).lower(), text(value.strip()))
    return headers


def smtp(client: bytes, server: bytes) -> dict[str, Any] | None:
    """Return who wrote to whom, and the beginning of what; None when it is no SMTP."""
    if not server.startswith(b"220") or not re.match(rb"(?i)(?:EHLO|HELO) ", client):
        return None
    _, _, message = client.partition(b"DATA\r\n")
    return {
        "hostname": text(client.split(b"\r\n", 1)[0][5:]),
        "mail_from": [text(value) for value in re.findall(rb"(?i)MAIL FROM:\s*<([^>\r\n]*)>", client)[:100]],
        "mail_to": [text(value) for value in re.findall(rb"(?i)RCPT TO:\s*<([^>\r\n]*)>", client)[:100]],
        "banner": text(server.split(b"\r\n", 1)[0]),
        "mail_body": text(message),
        "raw": text(client),
    }


def irc(client: bytes, server: bytes) -> list[dict[str, str]]:
    """Return the messages of both sides when the client logs in as IRC's do (RFC 2812)."""
    if not re.search(rb"(?m)^NICK \S", client[:TEXT]) or not re.search(rb"(?m)^(?:USER|JOIN|CAP) ", client[:TEXT]):
        return []
    found: list[dict[str, str]] = []
    for side, stream in (("client", client), ("server", server)):
        for match in _IRC.finditer(stream.replace(b"\r\n", b"\n")):
            if len(found) >= LINES:
                break
            found.append({"type": side, "command": text(match[1]), "params": text(match[2] or b"")})
    return found


def ftp(client: bytes, server: bytes) -> list[dict[str, str]]:
    """Return the commands of a conversation in FTP (RFC 959), each with its argument."""
    if not server.startswith(b"220") or not re.match(rb"(?i)(?:USER|AUTH|FEAT) ?", client):
        return []
    found = []
    for line in client.split(b"\n")[:LINES]:
        word, _, argument = line.strip().partition(b" ")
        command = text(word).upper()
        if command in _FTP:
            found.append({"command": command, "argument": text(argument)})
    return found


def telnet(client: bytes, server: bytes) -> dict[str, str] | None:
    """Return what both sides typed without the negotiations (RFC 854); None when neither side negotiated."""
    if b"\xff" not in client[:64] and b"\xff" not in server[:64]:
        return None
    return {"client": text(_TELNET.sub(b"", client)), "server": text(_TELNET.sub(b"", server))}
