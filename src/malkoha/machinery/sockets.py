"""UNIX sockets without a name: nothing to remove, and no limit on the length of a path."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

from malkoha.errors import HostError


def nameless_socket(folder: Path) -> tuple[socket.socket, int]:
    """Return a listening stream socket and a descriptor through which it is reached (``/proc/PID/fd/N``).

    It is bound in ``folder`` through the folder's own descriptor, which gets around the 108 bytes that a socket's path
    may have (unix(7)), and loses its name at once. HostError when the folder cannot be written.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    parent = reference = -1
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent = os.open(folder, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
        name = f"/proc/self/fd/{parent}/{secrets.token_hex(8)}"
        listener.bind(name)
        try:
            reference = os.open(name, os.O_PATH | os.O_CLOEXEC)
        finally:
            Path(name).unlink()
        listener.listen(1)
    except OSError as error:
        listener.close()
        if reference >= 0:
            os.close(reference)
        raise HostError("No socket for the agent", f"{folder}: {error.strerror}") from error
    finally:
        if parent >= 0:
            os.close(parent)
    return listener, reference
