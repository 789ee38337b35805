"""A machine that takes any login, over telnet and SSH: a shell that answers a few commands and keeps all of them.

What is typed never reaches a program of this host: the answers are a table.
"""

from __future__ import annotations

import asyncio
import re
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from malkoha.network.conversation import Conversation, EndedError
from malkoha.network.journal import Journal, Session
from malkoha.network.services.base import Service, World

if TYPE_CHECKING:
    import asyncssh

PROMPT = "root@srv04:~# "
COMMANDS = 200
SESSION_S = 300.0
_NEGOTIATION = re.compile(rb"\xff[\xfb-\xfe].|\xff\xfa.*?\xff\xf0|\xff[\xf1-\xf9]", re.DOTALL)
_ANSWERS = {
    "id": "uid=0(root) gid=0(root) groups=0(root)",
    "whoami": "root",
    "hostname": "srv04",
    "pwd": "/root",
    "uname": "Linux",
    "uname -a": "Linux srv04 5.15.0-105-generic #115-Ubuntu SMP Mon Apr 15 09:52:04 UTC 2024 x86_64 GNU/Linux",
    "uname -m": "x86_64",
    "ls": "backup.sh  www",
    "nproc": "4",
    "cat /proc/version": "Linux version 5.15.0-105-generic (buildd@lcy02-amd64-007) (gcc (Ubuntu 11.4.0) 11.4.0)",
    "busybox": "BusyBox v1.30.1 (Ubuntu 1:1.30.1-7ubuntu3) multi-call binary.",
}
_ENDS = {"exit", "logout", "quit"}


def answer(command: str) -> str:
    """Return what the shell prints for one line; several commands on it are answered one after the other."""
    said = []
    for part in re.split(r"\s*(?:;|&&|\|\|)\s*", command.strip())[:20]:
        words = part.split()
        if not words:
            continue
        if words[0] == "echo":
            said.append(" ".join(words[1:]).strip("'\""))
        elif part in _ANSWERS:
            said.append(_ANSWERS[part])
        elif words[0].endswith("busybox") and len(words) > 1:
            # the names that worms of the Mirai kind ask for, to see whether they are in a real shell
            said.append(f"{words[1]}: applet not found")
    return "\r\n".join(said)


class Telnet(Service):
    """Logins over telnet (RFC 854): a name, a password, a shell."""

    name: ClassVar[str] = "telnet"
    ports: ClassVar[tuple[int, ...]] = (23, 2323)
    greets: ClassVar[bool] = True

    async def serve(self, talk: Conversation) -> None:
        await talk.send(b"\r\nUbuntu 22.04.4 LTS\r\nsrv04 login: ")
        user = await self._line(talk)
        await talk.send(b"Password: ")
        password = await self._line(talk)
        talk.note(what="login", user=user, password=password)
        for _ in range(COMMANDS):
            await talk.send(PROMPT.encode())
            line = await self._line(talk)
            if line:
                talk.note(what="command", command=line)
            if line in _ENDS:
                return
            said = answer(line)
            if said:
                await talk.send(said.encode() + b"\r\n")

    @staticmethod
    async def _line(talk: Conversation) -> str:
        line = _NEGOTIATION.sub(b"", await talk.line())
        return line.replace(b"\0", b"").decode("utf-8", "backslashreplace").strip()


class Ssh(Service):
    """Logins over SSH, by any name and any password or key; commands and shells are answered from the table."""

    name: ClassVar[str] = "ssh"
    ports: ClassVar[tuple[int, ...]] = (22, 2222)
    greets: ClassVar[bool] = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._key: Any = None

    def recognises(self, first: bytes) -> bool:
        return first.startswith(b"SSH-")

    async def take(self, connection: socket.socket, session: Session, journal: Journal) -> bool:
        import asyncssh

        if self._key is None:
            self._key = asyncssh.generate_private_key("ssh-ed25519")
        session.service = self.name
        ended = asyncio.get_running_loop().create_future()
        server = _server(session, journal, ended)
        await asyncssh.run_server(
            connection,
            server_factory=lambda: server,
            server_host_keys=[self._key],
            server_version="OpenSSH_8.9p1",
            process_factory=lambda process: _session(process, session, journal),
            encoding=None,
            login_timeout=SESSION_S,
        )
        await asyncio.wait_for(ended, SESSION_S)
        return True


def _server(session: Session, journal: Journal, ended: asyncio.Future[None]) -> asyncssh.SSHServer:
    import asyncssh

    class Server(asyncssh.SSHServer):
        """Lets everybody in and writes down how they tried."""

        def connection_lost(self, exc: Exception | None) -> None:
            del exc
            if not ended.done():
                ended.set_result(None)

        def begin_auth(self, username: str) -> bool:
            self._user = username
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            journal.step(session, what="login", user=username, password=password)
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            journal.step(session, what="login", user=username, key=key.get_fingerprint())
            return True

    return Server()


async def _session(process: Any, session: Session, journal: Journal) -> None:
    """Answer one command, or be a shell until the guest leaves it."""

    def say(text: str) -> None:
        data = text.encode()
        journal.traffic(session, received=data)
        process.stdout.write(data)

    if process.command is not None:
        command = process.command if isinstance(process.command, str) else process.command.decode("utf-8", "replace")
        journal.step(session, what="command", command=command)
        said = answer(command)
        say(said.replace("\r\n", "\n") + "\n" if said else "")
        process.exit(0)
        return
    try:
        for _ in range(COMMANDS):
            say(PROMPT)
            data = await process.stdin.readline()
            journal.traffic(session, sent=data)
            line = data.decode("utf-8", "backslashreplace").strip()
            if not data or line in _ENDS:
                break
            journal.step(session, what="command", command=line)
            said = answer(line)
            say(said + "\r\n" if said else "")
    except (EndedError, OSError):
        return
    finally:
        process.exit(0)
