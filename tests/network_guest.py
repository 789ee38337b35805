"""A guest's TCP/IP without a guest: a namespace with the addresses of a guest, whose card is the wire of a Route.

    run(wire, code) -> what the Python code prints; it is run as a program of that guest.

The host's kernel stands in for that of a guest, so real clients can be used, and eight of them start in a second.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from malkoha.machinery.command import MAC
from malkoha.network import addresses
from malkoha.network.namespace import IFF_NO_PI, IFF_TAP, TUNSETIFF

CARD = "eth0"
PATIENCE_S = 120
_COMMANDS = f"""\
link set lo up
link set {CARD} address {MAC}
link set {CARD} up
address add {addresses.GUEST}/{addresses.PREFIX} brd + dev {CARD}
address add {addresses.GUEST6}/{addresses.PREFIX6} dev {CARD} nodad
route add default via {addresses.GATEWAY}
route add default via {addresses.GATEWAY6} dev {CARD}
"""


def possible() -> bool:
    """Tell whether this user can make a namespace with a tap in it."""
    probe = "import tests.network_guest as guest; guest.tap()"
    done = subprocess.run([*_apart(), sys.executable, "-c", probe], cwd=_root(), capture_output=True, check=False)
    return done.returncode == 0


def begin(wire: socket.socket, code: str) -> subprocess.Popen[bytes]:
    """Start a program of the guest whose card has this wire; its standard output is a pipe."""
    return subprocess.Popen(
        [*_apart(), sys.executable, "-m", "tests.network_guest", str(wire.fileno()), code],
        cwd=_root(),
        pass_fds=[wire.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def run(wire: socket.socket, code: str) -> str:
    """Run a program of the guest to its end and return what it printed."""
    with begin(wire, code) as process:
        try:
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0, said.decode()
    return said.decode()


def _apart() -> list[str]:
    return ["unshare", "--net", "--"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net", "--"]


def _root() -> Path:
    return Path(__file__).parent.parent


def tap() -> int:
    """Open a tap device of the namespace that this process is in."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", CARD.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def main(wire: socket.socket, code: str) -> int:
    """Be the guest: carry frames between card and wire while a child runs the code; return its status."""
    card = tap()
    subprocess.run(["ip", "-batch", "-"], input=_COMMANDS.encode(), check=True)
    child = os.fork()
    if child == 0:
        wire.close()
        status = 1
        try:
            exec(compile(code, "guest", "exec"), {})
            sys.stdout.flush()
            status = 0
        except Exception:  # noqa: BLE001 - shown, and told by the status
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    wake, signalled = socket.socketpair()
    signalled.setblocking(False)
    signal.set_wakeup_fd(signalled.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    carry(wire, card, wake)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def carry(wire: socket.socket, card: int, wake: socket.socket) -> None:
    """Carry frames both ways until something comes on ``wake``."""
    held = bytearray()
    sources: list[Any] = [wire, card, wake]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if card in ready:
            frame = os.read(card, 65550)
            wire.sendall(struct.pack(">I", len(frame)) + frame)
        if wire in ready:
            data = wire.recv(1 << 18)
            if not data:
                return
            held += data
            while len(held) >= 4 and len(held) >= 4 + (size := int.from_bytes(held[:4])):
                os.write(card, bytes(held[4 : 4 + size]))
                del held[: 4 + size]
        if wake in ready and card not in ready:
            return


if __name__ == "__main__":
    sys.exit(main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2]))
