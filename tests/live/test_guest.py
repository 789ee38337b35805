"""The agent in a real guest: sessions that break off, an agent that is killed, and what a sample sees of it all."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha import arming, config
from malkoha.errors import GuestError
from malkoha.guest.client import GuestClient
from malkoha.inguest import protocol
from malkoha.machinery import running
from malkoha.machinery.image import Image
from malkoha.machinery.qemu import Machine
from malkoha.model.task import Options
from malkoha.store import Home

pytestmark = pytest.mark.live
WAIT_S = 120.0
OURS = re.compile(r"malkoha|sandbox|cuckoo|staprun|stapio|\bagent\b", re.IGNORECASE)


class Guest:
    """A restored machine with a session."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.written = {"stdout": b"", "stderr": b""}
        self.client = GuestClient(
            machine.agent_socket, self.write, lambda: "" if machine.state() == "running" else "off"
        )
        self._source = folder / "source"

    def write(self, stream: str, data: bytes) -> None:
        self.written[stream] += data

    def start(self, content: bytes, name: bytes = b"sample", options: Options | None = None) -> None:
        self._source.write_bytes(content)
        self.client.deliver(self._source, name, WAIT_S)
        self.client.start(options or Options())

    def run(self, content: bytes, name: bytes = b"sample", options: Options | None = None) -> str:
        """Run a script to its end and return what it wrote."""
        self.start(content, name, options)
        self.until(lambda: self.client.finished)
        assert self.written["stderr"] == b""
        return self.written["stdout"].decode("utf-8", "backslashreplace")

    def until(self, condition: object) -> None:
        assert callable(condition)
        end = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < end, self.client.trouble
            time.sleep(0.02)


@pytest.fixture
def guest(real: Home, image: Image, tmp_path: Path) -> Iterator[Guest]:
    spec, armed = arming.armed(image, "tracepoint", real, config.load(real, {}))
    with running(Machine(spec, real), armed.snapshot) as machine:
        found = Guest(machine, tmp_path)
        with found.client:
            found.client.connect(WAIT_S)
            yield found


def test_what_a_sample_sees_above_it(guest: Guest) -> None:
    script = b"""#!/bin/bash
echo $PPID $(ps -o ppid= -p $PPID)
ps -o comm= -p $PPID
ps -o args= -p $PPID
cat /proc/self/cgroup /proc/self/oom_score_adj
ls /proc/$$/fd | tr '\\n' ' '
"""
    said = guest.run(script).splitlines()
    assert said[0].split()[1] == "1"
    assert said[1:] == [
        "sshd-session",
        "sshd-session: root@notty",
        "0::/user.slice/user-0.slice/session-1.scope",
        "0",
        # 255 is bash's own
        "0 1 2 255 ",
    ]


def test_nothing_bears_our_name(guest: Guest) -> None:
    script = b"""#!/bin/bash
for p in /proc/[0-9]*; do
    tr '\\0' ' ' <$p/cmdline; cat $p/comm; tr '\\0' ' ' <$p/environ; ls -l $p/exe $p/fd
done 2>/dev/null
mount
find /run /tmp /dev /etc /usr/sbin /usr/lib/systemd/system -newer /etc/hostname 2>/dev/null
cat /usr/sbin/irqbalance
"""
    said = guest.run(script)
    assert "/usr/sbin/irqbalance" in said
    assert "debugfs" not in said
    # the real things: units of OpenSSH and GnuPG
    rest = re.sub(r"(?i)(ssh|gpg)-agent", "", said)
    assert [line for line in rest.splitlines() if OURS.search(line)] == []


def test_as_another_user(guest: Guest) -> None:
    users = [user for user, uid in guest.client.facts().users.items() if uid >= 1000]
    guest.start(b"#!/bin/sh\nid -un; echo $HOME; stat -c %U $0\n", options=Options(user=users[0]))
    guest.until(lambda: guest.client.finished)
    assert guest.written["stdout"].decode().splitlines() == [users[0], f"/home/{users[0]}", users[0]]
    with pytest.raises(GuestError, match="the guest has no user 'nobody-here'"):
        guest.client.start(Options(user="nobody-here"))


def test_an_agent_that_is_killed_is_missed_and_the_sample_goes_on(guest: Guest) -> None:
    guest.start(
        b"#!/bin/sh\necho before\nsleep 0.5\nkill -9 $(pgrep -x irqbalance)\nsleep 1\n: >/tmp/after\nsleep 600\n"
    )
    guest.until(lambda: not guest.client.alive)
    assert guest.client.trouble == "the agent in the guest was killed"
    assert guest.written["stdout"] == b"before\n"
    assert guest.client.exit_status is None
    # its successor takes a new one
    with GuestClient(guest.machine.agent_socket) as again:
        guest.client.close()
        again.connect(WAIT_S)
        again.load_agent(WAIT_S)
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            try:
                assert again.get(b"/tmp/after", 10) == b""
                break
            except GuestError:
                time.sleep(0.2)
        assert again.get(b"/tmp/after", 10) == b""


@pytest.mark.parametrize("cut", [5, 40, 5000])
def test_hosts_come_and_go(guest: Guest, cut: int) -> None:
    guest.client.close()
    with socket.socket(socket.AF_UNIX) as rude:
        rude.connect(str(guest.machine.agent_socket))
        rude.sendall(protocol.encode({"do": "put", "path": "/tmp/half"}, os.urandom(9000))[:cut])
        time.sleep(0.2)
    with GuestClient(guest.machine.agent_socket) as again:
        again.connect(WAIT_S)
        again.greet(WAIT_S)
        again.put(b"/tmp/whole", b"content", 0o600)
        assert again.get(b"/tmp/whole", 100) == b"content"


def test_the_clock_is_the_hosts(guest: Guest) -> None:
    guest.client.set_clock()
    assert abs(int(guest.run(b"#!/bin/sh\ndate +%s\n")) - time.time()) < 60


def test_a_large_file_both_ways(guest: Guest) -> None:
    content = os.urandom(20 << 20)
    guest.client.put(b"/tmp/large", content, 0o600, WAIT_S)
    assert guest.client.get(b"/tmp/large", 1 << 30, WAIT_S) == content
