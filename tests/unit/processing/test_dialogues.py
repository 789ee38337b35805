from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from malkoha.processing import dialogues


def test_requests_of_one_connection() -> None:
    client = (
        b"POST /gate HTTP/1.1\r\nHost: c2\r\nUser-Agent: bot\r\nContent-Length: 4\r\n\r\nGET "
        b"GET /x HTTP/1.0\r\nHost: c2\r\n\r\n"
        b"PUT /u HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        b"HEAD / HTTP/1.1\r\n"
    )
    found = dialogues.http(client, b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n")
    assert [(request["method"], request["path"], request["status"]) for request in found] == [
        ("POST", "/gate", 200),
        ("GET", "/x", 404),
        ("PUT", "/u", None),
        ("HEAD", "/", None),
    ]
    assert found[0]["body"] == "GET "
    assert found[0]["user-agent"] == "bot"
    assert dialogues.http(b"\x16\x03\x01", b"") == []


def test_mail() -> None:
    client = b"EHLO web01\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n"
    mail = dialogues.smtp(client, b"220 mx ready\r\n250 ok\r\n")
    assert mail is not None
    assert (mail["hostname"], mail["mail_from"], mail["mail_to"]) == ("web01", ["a@b"], ["c@d"])
    assert mail["mail_body"].startswith("Subject: x")
    assert dialogues.smtp(b"GET / HTTP/1.1\r\n", b"220 ") is None


def test_chat() -> None:
    found = dialogues.irc(
        b"NICK bot\r\nUSER b 0 * :b\r\nJOIN #c2\r\n", b":srv 001 bot :welcome\r\n:x PRIVMSG #c2 :!go\r\n"
    )
    assert {"type": "client", "command": "JOIN", "params": "#c2"} in found
    assert {"type": "server", "command": "PRIVMSG", "params": "#c2 :!go"} in found
    assert dialogues.irc(b"JOIN #x\r\n", b"") == []


def test_file_transfers_and_terminals() -> None:
    found = dialogues.ftp(b"USER root\r\nPASS toor\r\nRETR x\r\n", b"220 ready\r\n")
    assert found == [
        {"command": "USER", "argument": "root"},
        {"command": "PASS", "argument": "toor"},
        {"command": "RETR", "argument": "x"},
    ]
    typed = dialogues.telnet(b"\xff\xfd\x03root\r\n\xff\xfa\x18\x00xterm\xff\xf0id\r\n", b"login: ")
    assert typed == {"client": "root\r\nid\r\n", "server": "login: "}
    assert dialogues.telnet(b"hello", b"") is None


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_noise_never_raises(client: bytes, server: bytes) -> None:
    for start in (b"", b"GET / HTTP/1.1\r\n", b"NICK a\r\nUSER b\r\n", b"EHLO x\r\n", b"USER x\r\n", b"\xff"):
        dialogues.http(start + client, server)
        dialogues.smtp(start + client, b"220" + server)
        dialogues.irc(start + client, server)
        dialogues.ftp(start + client, b"220" + server)
        dialogues.telnet(start + client, server)
