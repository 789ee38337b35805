"""The real agent, started as an image starts it, with a host that uses it and hosts that come and go."""

from __future__ import annotations

import os
import platform
import pwd
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha.errors import GuestError
from malkoha.guest import channel, client
from malkoha.guest.client import CHUNK, GuestClient, Prepared
from malkoha.inguest import protocol
from malkoha.inguest.protocol import LENGTHS
from malkoha.model.task import Options
from tests.real_agent import RealAgent, real_agent, wait_until

NAMES = [
    b"plain",
    b"two words",
    b'it\'s "quoted"',
    b"new\nline",
    b"\xff\xfe not UTF-8",
    b"-rf",
    "Ü €".encode(),
    b"$(id)",
]


class Host:
    """One session and what the sample wrote in it."""

    def __init__(self, agent: RealAgent, *, load: bool = True) -> None:
        self.written = {"stdout": b"", "stderr": b""}
        self.client = GuestClient(agent.path, self.write)
        self.client.connect(10)
        if load:
            self.client.load_agent(30)

    def write(self, stream: str, data: bytes) -> None:
        self.written[stream] += data

    def run(self, folder: Path, content: bytes, name: bytes = b"sample", options: Options | None = None) -> int | None:
        """Deliver and start a script, wait for its end and return its exit status."""
        source = folder / "source"
        source.write_bytes(content)
        self.client.deliver(source, name, 30)
        self.client.start(options or Options())
        assert wait_until(lambda: self.client.finished)
        return self.client.exit_status


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that takes the place of the guest's /tmp."""
    folder = tmp_path / "guest"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(client, "SAMPLE_FOLDER", os.fsencode(folder))
    return folder


@pytest.fixture
def agent(tmp_path: Path, guest: Path) -> Iterator[RealAgent]:
    with real_agent(tmp_path) as agent:
        yield agent


@pytest.fixture
def host(agent: RealAgent) -> Iterator[Host]:
    host = Host(agent)
    with host.client:
        yield host


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK])
def test_delivered_as_it_is(host: Host, guest: Path, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "source").write_bytes(content)
    path = host.client.deliver(tmp_path / "source", b"sample", 30)
    there = Path(os.fsdecode(path))
    assert there == guest / "sample"
    assert there.read_bytes() == content
    assert stat.S_IMODE(there.stat().st_mode) == 0o755


def test_names_of_any_bytes_are_delivered_and_run(host: Host, guest: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
    for name in NAMES:
        path = host.client.deliver(tmp_path / "source", name, 30)
        assert path == os.fsencode(guest) + b"/" + name
        assert host.client.prepare(Options(arguments="a 'b c'")).argv == [path, b"a", b"b c"]
    assert sorted(os.listdir(os.fsencode(guest))) == sorted(NAMES)


@pytest.mark.parametrize("name", [b"two words", b"new\nline", b"\xff\xfe", b"-rf"])
def test_what_it_sees_of_itself(host: Host, tmp_path: Path, guest: Path, name: bytes) -> None:
    script = b'#!/bin/sh\nprintf \'%s|\' "$0" "$@" "$PWD" "$HOME"\nls -l /proc/self/fd | wc -l\n'
    assert host.run(tmp_path, script, name, Options(arguments="-x 'y z'")) == 0
    here = os.fsencode(guest)
    home = os.fsencode(pwd.getpwnam("root").pw_dir)
    said, descriptors = host.written["stdout"].rsplit(b"|", 1)
    assert said.split(b"|") == [here + b"/" + name, b"-x", b"y z", here, home]
    # one line for the sum, standard input, output and error, and the folder that ls reads: nothing of ours is open
    assert int(descriptors) == 5


def test_output_comes_apart_and_whole(host: Host, tmp_path: Path) -> None:
    script = b"#!/bin/sh\nhead -c 3000000 /dev/zero\necho problem >&2\nprintf '\\0\\377'\nexit 3\n"
    status = host.run(tmp_path, script)
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 3
    assert host.written["stdout"] == b"\0" * 3_000_000 + b"\0\xff"
    assert host.written["stderr"] == b"problem\n"


def test_output_comes_while_it_runs(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\necho early\nsleep 100\n")
    host.client.deliver(tmp_path / "source", b"slow", 30)
    host.client.start(Options())
    assert wait_until(lambda: host.written["stdout"] == b"early\n")
    assert not host.client.finished
    assert host.client.answers(10)


def test_output_of_those_who_outlive_the_first(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n(sleep 0.3; echo late) &\nexit 0\n")
    host.client.deliver(tmp_path / "source", b"parent", 30)
    host.client.start(Options())
    assert wait_until(lambda: host.client.exit_status == 0)
    assert not host.client.finished
    assert wait_until(lambda: host.client.finished)
    assert host.written["stdout"] == b"late\n"


def test_ended_by_a_signal(host: Host, tmp_path: Path) -> None:
    status = host.run(tmp_path, b"#!/bin/sh\nkill -TERM $$\n")
    assert status is not None
    assert os.WTERMSIG(status) == 15


def test_signals_have_their_default_action(host: Host, tmp_path: Path) -> None:
    assert host.run(tmp_path, b"#!/bin/sh\ngrep SigIgn /proc/$$/status\n") == 0
    # 32 and 33 are glibc's own: posix_spawn(3), which make uses, leaves them ignored, and nobody can set them
    own = 1 << 31 | 1 << 32
    assert int(host.written["stdout"].split()[1], 16) & ~own == 0


def test_what_cannot_be_executed_is_named(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"\1\2\3 no program at all")
    host.client.deliver(tmp_path / "source", b"junk", 30)
    with pytest.raises(GuestError, match=r"could not be executed: Exec format error \(ENOEXEC\)"):
        host.client.launch(Prepared("elf", [os.fsencode(client.SAMPLE_FOLDER) + b"/junk"]), "root")
    # it can still be started in another way
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
    host.client.deliver(tmp_path / "source", b"good", 30)
    assert host.client.start(Options()).package == "script"


def test_what_the_kernel_does_not_know_goes_to_sh(host: Host, tmp_path: Path) -> None:
    status = host.run(
        tmp_path, b'\tprintf \'%s|\' "$0" "$@"\n', b"plain", Options(arguments="'a b'", package="generic")
    )
    assert status == 0
    assert host.written["stdout"] == os.fsencode(client.SAMPLE_FOLDER) + b"/plain|a b|"


def test_what_the_user_asks_for_beyond_arguments(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere \xfc"
    folder.mkdir()
    extra = {"cwd": str(folder), "env.WORD": "Ü x", "env.PATH": "/bin", "stdin": "typed\n"}
    script = b'#!/bin/sh\nread line; printf "%s|" "$PWD" "$WORD" "$PATH" "$line"\nread more || exit 4\n'
    status = host.run(tmp_path, script, options=Options(extra=extra))
    assert status is not None
    assert os.waitstatus_to_exitcode(status) == 4
    assert host.written["stdout"] == f"{folder}|Ü x|/bin|typed|".encode()


def test_a_folder_that_cannot_be_entered(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
    host.client.deliver(tmp_path / "source", b"s", 30)
    with pytest.raises(GuestError, match=r"folder to start in cannot be entered: No such file or directory \(ENOENT\)"):
        host.client.start(Options(extra={"cwd": "/nonexistent"}))


def test_it_can_be_stopped(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\nsleep 100 & sleep 100\n")
    host.client.deliver(tmp_path / "source", b"slow", 30)
    host.client.start(Options())
    host.client.stop_sample()
    assert wait_until(lambda: host.client.finished)
    assert host.client.exit_status == 9


def test_an_argument_that_no_program_can_have(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
    host.client.deliver(tmp_path / "source", b"s", 30)
    with pytest.raises(GuestError, match="Invalid argument"):
        host.client.start(Options(arguments="'a\0b'"))
    with pytest.raises(GuestError, match="arguments cannot be split"):
        host.client.start(Options(arguments="'open"))
    with pytest.raises(GuestError, match="too long"):
        host.client.start(Options(arguments="x" * protocol.MAX_HEAD))
    with pytest.raises(GuestError, match="too large"):
        host.client._ask({"do": "launch", "argv": "x" * protocol.MAX_HEAD})
    assert host.client.answers(10)


def test_a_second_start_of_the_same_sample(host: Host, tmp_path: Path) -> None:
    host.run(tmp_path, b"#!/bin/sh\necho again\n")
    host.client.start(Options())
    assert wait_until(lambda: host.written["stdout"] == b"again\nagain\n")


def test_unknown_user_and_package(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\n")
    host.client.deliver(tmp_path / "source", b"s", 30)
    with pytest.raises(GuestError, match=r"no user 'nobody-here' \(it has: .*root"):
        host.client.start(Options(user="nobody-here"))
    with pytest.raises(GuestError, match="no package 'nonesuch'"):
        host.client.start(Options(package="nonesuch"))


def test_a_name_that_is_taken_or_impossible(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    host.client.deliver(tmp_path / "source", b"s", 30)
    with pytest.raises(GuestError, match="File exists"):
        host.client.deliver(tmp_path / "source", b"s", 30)
    with pytest.raises(GuestError, match="File name too long"):
        host.client.deliver(tmp_path / "source", b"n" * 256, 30)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as somebody else")
def test_as_another_user(host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\nid -un; id -Gn; echo $HOME; echo x >$0.new; ls -ld . >/dev/null\n")
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    host.client.deliver(tmp_path / "source", b"s", 30)
    host.client.start(Options(user="nobody"))
    assert wait_until(lambda: host.client.finished)
    account = pwd.getpwnam("nobody")
    assert host.written["stdout"].splitlines()[0] == b"nobody"
    assert host.written["stdout"].splitlines()[2] == os.fsencode(account.pw_dir)
    assert host.client.exit_status == 0


def test_requests_that_make_no_sense(host: Host) -> None:
    for head in (
        {"do": "dance"},
        {"do": None},
        {"do": "more", "size": 0, "mode": 0o600},
        {"do": "get"},
        {"do": "get", "path": "/dev/zero", "offset": 0, "size": 10},
        {"do": "get", "path": "/nonexistent", "offset": 0, "size": 10},
        {"do": "listdir", "path": "/nonexistent"},
        {"do": "prepare", "path": "/nonexistent"},
        {"do": "launch", "user": 5},
        {"do": "signal", "pid": "x"},
    ):
        with pytest.raises(GuestError):
            host.client._ask(head)
    assert host.client.answers(10)


def test_files_read_back(host: Host, guest: Path) -> None:
    path = os.fsencode(guest) + b"/new/f"
    content = os.urandom(protocol.MAX_BODY + 7)
    host.client.put(path, content, 0o640)
    assert stat.S_IMODE((guest / "new" / "f").stat().st_mode) == 0o640
    assert host.client.get(path, 1 << 30) == content
    assert host.client.get(path, 5) == content[:5]
    listed = host.client._ask({"do": "listdir", "path": protocol.pack_bytes(os.fsencode(guest) + b"/new")})
    assert (listed["entries"], listed["total"]) == ([["f", 0o100640, len(content)]], 1)


def test_a_file_that_does_not_become_whole_is_removed(host: Host, guest: Path) -> None:
    path = protocol.pack_bytes(os.fsencode(guest) + b"/part")
    host.client.greet(10)
    host.client._channel.tell({"do": "put", "path": path}, b"abc", time.monotonic() + 5)
    with pytest.raises(GuestError, match="3 of 4 bytes arrived"):
        host.client._ask({"do": "more", "mode": 0o600, "size": 4})
    assert not (guest / "part").exists()
    with pytest.raises(GuestError, match="File exists: /dev/null"):
        host.client.put(b"/dev/null/x", b"much" * CHUNK, 0o600)


def test_facts(host: Host) -> None:
    facts = host.client.facts()
    assert (facts.uname[0], facts.python) == ("Linux", platform.python_version())
    assert facts.users["root"] == 0


def test_nonsense_from_a_host_is_passed_over(host: Host) -> None:
    end = time.monotonic() + 10
    host.client._channel._send(b"\0" * 5000 + LENGTHS.pack(protocol.MAGIC, 1 << 31, 1 << 31) + b"\x01GA", end)
    host.client._channel._send(LENGTHS.pack(protocol.MAGIC, 4, 0) + b"true" + protocol.encode({}), end)
    assert host.client.answers(10)


@pytest.mark.parametrize("cut", [3, 40, 5000])
def test_hosts_come_and_go(agent: RealAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr(channel, "FLUSH_AFTER_S", 0.2)
    with Host(agent).client as first:
        first.put(b"%s/one" % os.fsencode(tmp_path), b"1", 0o600)
        # it leaves in the middle of a frame
        first._channel._send(protocol.encode({"do": "more"}, b"x" * 9000)[:cut], time.monotonic() + 10)
    for number in range(3):
        second = Host(agent, load=False)
        with second.client:
            second.client.greet(10)
            second.client.put(b"%s/%d" % (os.fsencode(tmp_path), number), b"2", 0o600)
    third = Host(agent, load=False)
    with third.client:
        assert third.run(tmp_path, b"#!/bin/sh\necho still there\n") == 0
    assert third.written["stdout"] == b"still there\n"


def test_an_agent_that_is_killed(agent: RealAgent, host: Host, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"#!/bin/sh\necho out\nsleep 0.2\nexit 0\n")
    host.client.deliver(tmp_path / "source", b"s", 30)
    host.client.start(Options())
    (launcher,) = agent.children()
    agent.kill()
    assert wait_until(lambda: not host.client.alive)
    assert host.client.trouble == "the connection was closed"
    assert not host.client.answers(1)
    with pytest.raises(GuestError, match="agent in the guest"):
        host.client.put(b"/nonexistent/x", b"", 0o600)
    # the launcher does not outlive its agent and the sample
    assert wait_until(lambda: not Path(f"/proc/{launcher}").exists())


def test_the_launcher_looks_like_something_else(agent: RealAgent, host: Host, tmp_path: Path) -> None:
    host.run(tmp_path, b"#!/bin/sh\nexit 0\n")
    (launcher,) = agent.children()
    process = Path(f"/proc/{launcher}")
    assert (process / "comm").read_text() == "sshd-session\n"
    assert (process / "cmdline").read_bytes() == b"sshd-session: root@notty\0"
    assert (process / "environ").read_bytes().startswith(b"PATH=/usr/local/sbin:")
