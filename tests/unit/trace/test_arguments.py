"""Arguments: every kind shown at least once, memory that was cut or could not be read, i386 and unknown calls."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.trace.arguments import _MEMORY, _NUMBERS, Rendering, rendering, rendering_of_unknown
from malkoha.trace.records import CUT, UNREADABLE, WHOLE, Blob
from malkoha.trace.syscalls import RETURN_PART, Abi, Argument, Call, Unit, by_name, numbers, table

M1 = (1 << 64) - 1
ADDRESS = b"\x02\x00\x01\xbb\xc0\x00\x02\x07" + bytes(8)
SHOWN_ADDRESS = {"sa_family": "AF_INET", "sin_port": "443", "sin_addr": "192.0.2.7"}


def one(kind: str, value: int, *blobs: Blob, abi: Abi = "x86-64", unit: Unit = "") -> Any:
    """How one argument of that kind is shown."""
    return Rendering(Call("test", None, None, (Argument("it", kind, None, unit),)), abi).show([value], blobs)["it"]


def blob(data: bytes, status: int = WHOLE, part: int = 0, arg: int = 0, total: int | None = None) -> Blob:
    return Blob(arg, part, status, len(data) if total is None else total, data)


@pytest.mark.parametrize(
    ("kind", "value", "wide", "narrow"),
    [
        ("int", M1, "-1", "-1"),
        ("int", 0xFFFFFFFF, "-1", "-1"),
        ("int", 0x7FFFFFFF, "2147483647", "2147483647"),
        ("int", 0xABCD00000005, "5", "5"),
        ("fd", M1, "-1", "-1"),
        ("at", 0xFFFFFF9C, "AT_FDCWD", "AT_FDCWD"),
        ("at", 3, "3", "3"),
        ("uint", M1, "4294967295", "4294967295"),
        ("long", M1, "-1", "-1"),
        ("long", 0xFFFFFFFF, "4294967295", "-1"),
        ("long", 1 << 63, str(-(1 << 63)), "0"),
        ("ulong", M1, str(M1), "4294967295"),
        ("size", 100, "100", "100"),
        ("hex", M1, "0xffffffffffffffff", "0xffffffff"),
        ("hex", 0, "0x0", "0x0"),
        ("ptr", 0, "NULL", "NULL"),
        ("ptr", 0x7F0000001000, "0x7f0000001000", "0x1000"),
        ("mode", 0o100644, "0100644", "0100644"),
        ("mode", 0, "0", "0"),
        ("sig", 9, "SIGKILL", "SIGKILL"),
        ("ioctl", 0xFFFFFFFF00005401, "TCGETS", "TCGETS"),
        ("open", 0x80001 | 1 << 40, "O_WRONLY|O_CLOEXEC", "O_WRONLY|O_CLOEXEC"),
        ("clone", 0x200000011, "CLONE_INTO_CGROUP|SIGCHLD", "SIGCHLD"),
        ("socktype", 0x802, "SOCK_DGRAM|SOCK_NONBLOCK", "SOCK_DGRAM|SOCK_NONBLOCK"),
        ("futex", 0x81, "FUTEX_WAKE_PRIVATE", "FUTEX_WAKE_PRIVATE"),
        ("seek", 2, "SEEK_END", "SEEK_END"),
        ("map", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS", "MAP_PRIVATE|MAP_ANONYMOUS"),
        ("path", 0x1000, "0x1000", "0x1000"),
        ("<timespec", 0, "NULL", "NULL"),
    ],
)
def test_numbers(kind: str, value: int, wide: str, narrow: str) -> None:
    assert one(kind, value) == wide
    assert one(kind, value, abi="i386") == narrow


@pytest.mark.parametrize("kind", ["path", "str", "in", "out", "iov", ">iov"])
def test_strings(kind: str) -> None:
    assert one(kind, 1, blob(b"/etc/passwd")) == "/etc/passwd"
    assert one(kind, 1, blob(b"")) == ""
    assert one(kind, 1, blob("ä".encode() + b"\0\n")) == "ä\0\n"
    assert one(kind, 1, blob(b"half", CUT, total=100)) == "half..." + (" (100 bytes)" if "iov" in kind else "")
    assert one(kind, 16, blob(b"", UNREADABLE)) == "0x10"
    assert one(kind, 16, blob(b"up to the hole", UNREADABLE)) == "up to the hole..."


def test_lists_of_strings() -> None:
    assert one("argv", 1, blob(b"sh\0-c\0\0id\0")) == ["sh", "-c", "", "id"]
    assert one("argv", 1, blob(b"")) == []
    assert one("argv", 1, blob(b"\0")) == [""]
    assert one("argv", 1, blob(b"sh\0-c\0", CUT)) == ["sh", "-c", "..."]
    assert one("argv", 1, blob(b"sh\0", UNREADABLE)) == ["sh", "..."]
    assert one("argv", 1, blob(b"", UNREADABLE)) == "0x1"


def test_addresses() -> None:
    assert one("sa", 1, blob(ADDRESS)) == SHOWN_ADDRESS
    assert one(">sa", 1, blob(ADDRESS)) == SHOWN_ADDRESS
    assert one("sa", 1, blob(b"")) == {"sa_data": ""}
    assert one("sa", 1, blob(b"", UNREADABLE)) == "0x1"


def test_structures() -> None:
    assert one("<timespec", 1, blob(struct.pack("<qq", 5, 6))) == {"tv_sec": "5", "tv_nsec": "6"}
    assert one("<timespec", 1, blob(struct.pack("<ii", 5, 6)), abi="i386") == {"tv_sec": "5", "tv_nsec": "6"}
    assert one("<timespec", 1, blob(struct.pack("<q", 5), UNREADABLE)) == {"tv_sec": "5"}
    assert one(">pair", 1, blob(struct.pack("<ii", 3, 4))) == ["3", "4"]
    assert one("<sigset", 1, blob(struct.pack("<Q", 1))) == "[SIGHUP]"
    assert one(">regs", 1, blob(bytes(88)), abi="i386") == "0x1"
    assert one("<timespec", 1, blob(b"")) == "0x1"


def test_arrays_of_pollfd() -> None:
    data = struct.pack("<iHHiHH", 3, 1, 0, -1, 4, 0)
    assert one("=pollfd", 1, blob(data), unit="elements") == [
        {"fd": "3", "events": "POLLIN", "revents": "0"},
        {"fd": "-1", "events": "POLLOUT", "revents": "0"},
    ]
    cut = one("=pollfd", 1, blob(data[:12], CUT, total=800), unit="elements")
    assert cut[1:] == [{"fd": "-1"}, "... 100 in all"]


def test_what_a_call_changes_is_shown_as_it_was_and_as_it_is() -> None:
    before, after = blob(struct.pack("<i", 16)), blob(struct.pack("<i", 28), part=RETURN_PART)
    assert one("=int", 1, before) == ["16"]
    assert one("=int", 1, before, before._replace(part=RETURN_PART)) == ["16"]
    assert one("=int", 1, before, after) == {"entry": ["16"], "return": ["28"]}
    assert one("=int", 1, after) == ["28"]


def test_a_filter_is_shown_with_its_program() -> None:
    program = struct.pack("<HBBI", 0x20, 0, 0, 4) + struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
    shown = {"len": "2", "filter": ["0x20 0 0 0x4", "0x6 0 0 0x7fff0000"]}
    assert one("fprog", 1, blob(b"\2\0"), blob(program, part=1)) == shown
    assert (
        one("fprog", 1, blob(b"\xff\x0f"), blob(program, CUT, part=1, total=32760))["filter"][-1] == "... 4095 in all"
    )


def test_memory_of_other_kinds() -> None:
    assert one("=fdset", 1, blob(b"\x09"), unit="bits") == ["0", "3"]
    assert one("mbuf", 1, blob(struct.pack("<q", 7) + b"text")) == {"mtype": "7", "mtext": "text"}
    assert one("mbuf", 1, blob(struct.pack("<q", 7) + b"te", CUT, total=5000))["cut"] == "5000"
    assert one("sigarg", 1, blob(b"\1" + bytes(7))) == "[SIGHUP]"
    assert one(">u32", 1, blob(struct.pack("<II", 4, 5)), unit="returned") == ["4", "5"]
    blocks = one("iocbs", 1, blob(bytes(64)), blob(bytes(64), part=1), unit="elements")
    assert [block["aio_lio_opcode"] for block in blocks] == ["IOCB_CMD_PREAD", "IOCB_CMD_PREAD"]


def test_a_text_that_was_cut_tells_how_long_it_is_unless_an_argument_does() -> None:
    assert one("in", 1, blob(b"begin", CUT, total=70000)) == "begin..."
    assert one("iov", 1, blob(b"begin", CUT, total=70000)) == "begin... (70000 bytes)"
    assert one("iov", 1, blob(b"begin", UNREADABLE, total=70000)) == "begin..."


@pytest.mark.parametrize(
    ("api", "values", "data", "shown"),
    [
        ("fcntl", [3, 2, 1], b"", {"fd": "3", "cmd": "F_SETFD", "arg": "FD_CLOEXEC"}),
        ("fcntl", [3, 1, 99], b"", {"fd": "3", "cmd": "F_GETFD"}),
        ("fcntl", [3, 99, 1], b"", {"fd": "3", "cmd": "99", "arg": "0x1"}),
        ("ioctl", [0, 0x5413, 16], struct.pack("<HHHH", 24, 80, 0, 0),
         {"fd": "0", "request": "TIOCGWINSZ",
          "argp": {"ws_row": "24", "ws_col": "80", "ws_xpixel": "0", "ws_ypixel": "0"}}),
        ("prctl", [15, 16], b"kworker/0:1", {"option": "PR_SET_NAME", "name": "kworker/0:1"}),
        ("futex", [16, 0x81, 1, 77], b"", {"uaddr": "0x10", "futex_op": "FUTEX_WAKE_PRIVATE", "val": "1"}),
        ("setsockopt", [3, 1, 13, 16, 8], struct.pack("<ii", 1, 5),
         {"sockfd": "3", "level": "SOL_SOCKET", "optname": "SO_LINGER", "optval": {"l_onoff": "1", "l_linger": "5"},
          "optlen": "8"}),
        ("setsockopt", [3, 6, 1, 16, 4], struct.pack("<i", 1),
         {"sockfd": "3", "level": "SOL_TCP", "optname": "TCP_NODELAY", "optval": ["1"], "optlen": "4"}),
        ("socket", [16, 3, 15], b"",
         {"domain": "AF_NETLINK", "type": "SOCK_RAW", "protocol": "NETLINK_KOBJECT_UEVENT"}),
        ("ptrace", [16, 77], b"", {"request": "PTRACE_ATTACH", "pid": "77"}),
        ("keyctl", [15, 0xFFFFFFFD, 60], b"", {"operation": "KEYCTL_SET_TIMEOUT", "key": "KEY_SPEC_SESSION_KEYRING",
                                               "timeout": "60"}),
    ],
)  # fmt: skip
def test_arguments_follow_from_what_is_asked(api: str, values: list[int], data: bytes, shown: dict[str, Any]) -> None:
    call = by_name()[api]
    values += [0] * (6 - len(values))
    pointer = next((position for position, value in enumerate(values) if value == 16 and position), 0)
    blobs = [blob(data, arg=pointer)] if data else []
    assert rendering(call, "x86-64").show(values, blobs) == shown


def message(first: int = 0) -> list[Blob]:
    control = struct.pack("<QIIi", 20, 1, 1, 5)
    return [
        blob(bytes(56), part=first),
        blob(ADDRESS, part=first + 1),
        blob(b"hello", CUT, part=first + 2, total=5000),
        blob(control, part=first + 3),
    ]


SHOWN_MESSAGE = {"msg_name": SHOWN_ADDRESS, "data": "hello...", "length": "5000", "control": "SCM_RIGHTS[5]"}


@pytest.mark.parametrize("kind", ["msg", ">msg"])
def test_messages(kind: str) -> None:
    assert one(kind, 1, *message()) == SHOWN_MESSAGE
    assert one(kind, 1, blob(bytes(56)), blob(b"", part=1), blob(b"x", part=2), blob(b"", part=3)) == {
        "data": "x",
        "length": "1",
    }
    assert one(kind, 1) == "0x1"


def test_control_messages_of_i386_are_narrow() -> None:
    parts = [blob(bytes(56)), blob(struct.pack("<IIIi", 16, 1, 1, 9), part=3)]
    assert one("msg", 1, *parts, abi="i386") == {"control": "SCM_RIGHTS[9]"}


def test_several_messages() -> None:
    assert one("mmsg", 1, *message(), *message(4)) == [SHOWN_MESSAGE, SHOWN_MESSAGE]
    assert one("mmsg", 1, *message(), blob(bytes(56), part=4)) == [SHOWN_MESSAGE, {}]
    assert one("mmsg", 1, blob(b"x", part=0xFFFE)) == [{"data": "x", "length": "1"}]


def test_of_two_readings_the_last_that_succeeded_counts() -> None:
    assert one("path", 1, blob(b"", UNREADABLE), blob(b"late")) == "late"
    assert one("path", 1, blob(b"early"), blob(b"", UNREADABLE)) == "early"
    assert one("path", 1, blob(b"early"), blob(b"part", UNREADABLE)) == "early"
    assert one("path", 1, blob(b"part", UNREADABLE), blob(b"whole")) == "whole"
    assert one("path", 1, blob(b"first"), blob(b"second")) == "second"
    twice = [*message()[:2], blob(b"", UNREADABLE, part=2), *message()]
    assert one("msg", 1, *twice) == SHOWN_MESSAGE


def test_blobs_that_belong_to_no_memory_are_ignored() -> None:
    assert one("int", 5, blob(b"x")) == "5"
    assert one("path", 5, blob(b"x", arg=3)) == "0x5"
    assert one("path", 5, blob(b"x", arg=255)) == "0x5"


def test_arguments_keep_their_order() -> None:
    call = by_name()["sendto"]
    blobs = [blob(ADDRESS, arg=4), blob(b"hi", arg=1)]
    assert rendering(call, "x86-64").show([4, 0x1000, 2, 0x4000, 0x2000, 16], blobs) == {
        "sockfd": "4",
        "buf": "hi",
        "len": "2",
        "flags": "MSG_NOSIGNAL",
        "dest_addr": SHOWN_ADDRESS,
        "addrlen": "16",
    }
    assert list(rendering(call, "x86-64").show([0] * 6, blobs)) == [argument.name for argument in call.arguments]


def test_a_rendering_is_made_once() -> None:
    assert rendering(by_name()["read"], "i386") is rendering(by_name()["read"], "i386")


def test_unknown_calls_keep_their_number_and_words() -> None:
    unknown = rendering_of_unknown(-5, "x86-64")
    assert unknown.name == "syscall_4294967291"
    assert list(unknown.show([1, 2, 3, 4, 5, M1], [blob(b"x")]).values()) == [
        "0x1",
        "0x2",
        "0x3",
        "0x4",
        "0x5",
        hex(M1),
    ]


def test_every_kind_of_the_tables_code_is_used_by_a_call() -> None:
    forms = [form for call in table() for form in (call.arguments, *(variant.arguments for variant in call.variants))]
    used = {argument.kind for form in forms for argument in form}
    assert set(_NUMBERS) | set(_MEMORY) <= used


blobs = st.lists(
    st.builds(
        Blob, st.integers(0, 8), st.integers(0, 20), st.integers(0, 4), st.integers(0, M1), st.binary(max_size=100)
    ),
    max_size=12,
)


@given(st.data())
def test_no_memory_makes_showing_a_call_fail(data: st.DataObject) -> None:
    abi: Abi = data.draw(st.sampled_from(["x86-64", "i386", "x32"]))
    call = data.draw(st.sampled_from(list(numbers(abi).values())))
    values = data.draw(st.lists(st.integers(0, M1), min_size=6, max_size=6))
    shown = rendering(call, abi).show(values, data.draw(blobs))
    forms = [call.arguments, *(variant.arguments for variant in call.variants)]
    names = [name for name in shown if name != "identity"]
    assert names in [[argument.name for argument in form] for form in forms]
    assert all(isinstance(value, str | list | dict) for value in shown.values())
