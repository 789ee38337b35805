"""The comparer itself: lines of strace become trees, and equal means equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from malkoha.model.event import Event
from tests.conformance import compare, known, programs
from tests.conformance.compare import Comparison, Said
from tests.conformance.sameness import same, signals_in, value_of
from tests.conformance.strace_lines import Changed, Line, Word, lines, read

DOCUMENT = Path(__file__).parents[2] / "docs" / "conformance.md"


def tree(text: str) -> Any:
    """The one argument of a call."""
    (argument,) = read(f"call({text}) = 0").arguments
    return argument


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("3", Word("3")),
        ("O_RDWR|O_CREAT", Word("O_RDWR|O_CREAT")),
        (r'"\x61\x62"', b"ab"),
        (r'"\x61\x62"...', b"ab"),
        (r'@"\x61"', b"@a"),
        ('""', b""),
        ("NULL", Word("NULL")),
        ("{a=1, b={c=[2, 3]}}", {"a": Word("1"), "b": {"c": [Word("2"), Word("3")]}}),
        ("[4, 5]", [Word("4"), Word("5")]),
        ("[]", []),
        ("[INT TERM]", Word("[INT TERM]")),
        ("~[]", Word("~[]")),
        ("[3 4]", Word("[3 4]")),
        ("[16 => 28]", [Changed(Word("16"), Word("28"))]),
        ("makedev(0x1, 0x3)", Word("makedev(0x1, 0x3)")),
        ("0x4d /* F_??? */", Word("0x4d")),
        ("[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]", [Word("WIFEXITED(s) && WEXITSTATUS(s) == 3")]),
        (r'{sa_family=AF_INET6, inet_pton(AF_INET6, "\x3a\x3a\x31", &sin6_addr)}',
         {"sa_family": Word("AF_INET6"), "sin6_addr": b"::1"}),
    ],
)  # fmt: skip
def test_arguments_become_trees(text: str, shown: Any) -> None:
    assert tree(text) == shown


@pytest.mark.parametrize(
    ("line", "ret", "errno"),
    [
        ("close(3)                                = 0", 0, ""),
        ("umask(027)                              = 022", 0o22, ""),
        ("brk(NULL)                               = 0x55d0", 0x55D0, ""),
        ("open(0x10, O_RDONLY)                    = -1 EFAULT (Bad address)", -1, "EFAULT"),
        ("rt_sigsuspend([], 8)                    = ? ERESTARTNOHAND (To be restarted if no handler)", None,
         "ERESTARTNOHAND"),
        ("exit_group(0)                           = ?", None, ""),
        ("fcntl(3, F_GETFL)                       = 0x8002 (flags O_RDWR|O_LARGEFILE)", 0x8002, ""),
        ("pause( <unfinished ...>", None, ""),
    ],
)  # fmt: skip
def test_results(line: str, ret: int | None, errno: str) -> None:
    if "unfinished" in line:
        line = line.replace("( <", "() <")
    found = read(line)
    assert (found.ret, found.errno) == (ret, errno)


def test_only_calls_are_lines() -> None:
    text = "getpid() = 5\n--- SIGUSR1 {si_signo=SIGUSR1} ---\n[ Process PID=5 runs in 32 bit mode. ]\n+++ exited +++\n"
    assert [line.name for line in lines(text)] == ["getpid"]
    with pytest.raises(ValueError, match="nonsense"):
        read("nonsense")


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("O_RDWR|O_CREAT", 0x42), ("S_IFREG|0644", 0o100644), ("1<<3", 8), ("8192*1024", 8 << 20), ("-1", -1),
        ("0x10", 16),
        ("htons(443)", 443), ("makedev(0x1, 0x3)", 0x103), ("_IOC(_IOC_NONE, 0x56, 0x78, 0x1234)", 0x12345678),
        ("-EFAULT", -14), ("SO_RCVTIMEO_OLD", 20), ("SIGKILL", 9), ("O_RDWR|WHATEVER", None), ("words", None),
        ("htons(what)", None),
    ],
)  # fmt: skip
def test_expressions_have_values(word: str, value: int | None) -> None:
    assert value_of(word) == value


def test_signals_are_read_as_either_side_writes_them() -> None:
    assert signals_in("[INT RT_2]") == signals_in("[SIGINT|SIGRT_2]") == {2, 34}
    assert signals_in("~[KILL]") == set(range(1, 65)) - {9}
    assert signals_in("[NOSIGNAL]") is signals_in("4") is None


@pytest.mark.parametrize(
    ("ours", "theirs", "raw", "equal"),
    [
        ("O_RDONLY|O_CLOEXEC", "O_RDONLY|O_CLOEXEC", 0x80000, True),
        ("O_RDONLY|O_CLOEXEC", "O_RDONLY|O_DIRECT", 0x80000, False),
        ("-1", "4294967295", None, True),
        ("NULL", "0x10", 0, False),
        ("/etc/passwd", r'"\x2f\x65\x74\x63\x2f\x70\x61\x73\x73\x77\x64"', 99, True),
        ("/etc/passwd", r'"\x2f\x65\x74\x63"', 99, False),
        ("/etc...", r'"\x2f\x65\x74\x63\x2f"', 99, True),
        ("[SIGINT]", "[INT]", 99, True),
        ("[SIGINT]", "[TERM]", 99, False),
        (["3", "4"], "[3, 4]", 99, True),
        (["3", "4"], "[3, 5]", 99, False),
        (["3"], "[3, 5]", 99, False),
        ({"tv_sec": "1", "tv_nsec": "2"}, "{tv_sec=1, tv_nsec=2}", 99, True),
        ({"tv_sec": "1", "tv_nsec": "2"}, "{tv_sec=2, tv_nsec=2}", 99, False),
        ({"l_type": "F_WRLCK"}, "{l_type=F_WRLCK, l_whence=SEEK_SET}", 99, False),
        ({"entry": ["16"], "return": ["28"]}, "[16 => 28]", 99, True),
        ({"entry": ["16"], "return": ["29"]}, "[16 => 28]", 99, False),
        ("AF_INET", "AF_UNIX", None, False),
        ("in two", r'[{iov_base="\x69\x6e\x20", iov_len=3}, {iov_base="\x74\x77\x6f", iov_len=3}]', 99, True),
        ({"effective": "CAP_CHOWN"}, "{effective=1<<CAP_CHOWN}", 99, True),
        ({"effective": "CAP_CHOWN"}, "{effective=1<<CAP_KILL}", 99, False),
        ({"filter": ["0x6 0 0 0x7fff0000"]}, "{filter=[BPF_STMT(BPF_RET|BPF_K, 0x7fff0000)]}", 99, True),
        ({"filter": ["0x6 0 0 0x7fff0000"]}, "{filter=[BPF_STMT(BPF_RET|BPF_K, 0x1)]}", 99, False),
        ("WIFEXITED(s) && WEXITSTATUS(s) == 3", "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]", 99, True),
        ("WIFEXITED(s) && WEXITSTATUS(s) == 3", "[{WIFEXITED(s) && WEXITSTATUS(s) == 4}]", 99, False),
    ],
)  # fmt: skip
def test_equal_means_equal(ours: Any, theirs: str, raw: int | None, equal: bool) -> None:
    assert same(ours, tree(theirs), raw) is equal


def event(api: str, ret: int | None = 0, errno: str = "", seq: int = 1, **args: Any) -> Event:
    return Event(
        seq=seq, kind="syscall", time_ns=0, pid=5, tid=5, abi="x86-64", api=api, args=args, ret=ret, errno=errno
    )


def differences(own: Event, line: str, *raw: int) -> list[str]:
    return compare.differences(own, read(line), (*raw, *(0,) * 6)[:6])


def test_differences_of_calls() -> None:
    assert differences(event("close", fd="3"), "close(3) = 0", 3) == []
    assert differences(event("close", fd="3"), "open(3) = 0", 3) == ["name close for open"]
    assert differences(event("close", fd="3"), "close(4) = 0", 3) == ["fd 3 for 4"]
    assert differences(event("close", ret=-9, errno="EBADF", fd="3"), "close(3) = 0", 3) == ["return -9 for 0"]
    assert differences(event("close", fd="3"), "close(3) = -1 EBADF (Bad)", 3) == ["errno  for EBADF"]
    assert differences(event("syscall_999"), "syscall_0x3e7() = 0") == []
    assert differences(event("exit_group", ret=None, status="0"), "exit_group(0) = ?") == []
    named = event("clone", ret=7, flags="SIGCHLD", stack="NULL")
    assert differences(named, "clone(child_stack=NULL, flags=SIGCHLD) = 7", 17) == []
    assert differences(named, "clone(child_stack=NULL, flags=SIGTERM) = 7", 17) == ["flags SIGCHLD for SIGTERM"]
    position = event("preadv", fd="3", iov="", iovcnt="1", pos_l="5", pos_h="0")
    assert differences(position, "preadv(3, [], 1, 5) = 0", 3, 9, 1, 5, 0) == []


def test_threads_are_compared_in_order() -> None:
    found = Comparison()
    events = [event("getpid", ret=5), event("close", seq=2, fd="3"), event("sync", seq=3)]
    said = [Line("getpid", (), 5, "", "", "getpid() = 5"), Line("open", (), 0, "", "", "open() = 0")]
    compare.against_strace(events, dict.fromkeys((1, 2, 3), (0,) * 6), said, found)
    assert (found.events, found.equal) == (3, 1)
    assert [reason for reason, _, _ in found.different] == ["name close for open", "strace has no such call"]
    compare.against_strace([], {}, said, found)
    assert found.events == 5
    assert found.different[-1][0] == "the trace has no such event"


def test_what_a_program_says_stands_in_the_trace_in_that_order() -> None:
    said = compare.sayings("5 0 27 1 2 3 4 5 6 fffffffffffffff2\nchild's own output\n5 0 3 7 0 0 0 0 0 0\n")
    assert said[0] == Said(5, False, 0x27, (1, 2, 3, 4, 5, 6), (1 << 64) - 14)
    events = [event("sync", seq=1), event("getpid", ret=-14, errno="EFAULT", seq=2), event("close", seq=3, fd="7")]
    raw = {1: (0,) * 6, 2: (1, 2, 3, 4, 5, 6), 3: (7, 0, 0, 0, 0, 0)}
    numbers = {1: 162, 2: 0x27, 3: 3}
    found = Comparison()
    compare.against_program(events, raw, numbers, said, found)
    assert (found.events, found.equal, found.different) == (2, 2, [])
    compare.against_program(events[::-1], raw, numbers, said, found)
    assert found.different[-1][0] == "the trace has no such event"
    compare.against_program([event("getpid", ret=1, seq=2)], raw, numbers, said[:1], found)
    assert found.different[-1][0].startswith("return 1 for")


def test_each_difference_needs_its_explanation() -> None:
    assert known.explanation("kill", "return 0 for None") is not None
    assert known.explanation("kill", "return 0 for 1") is None
    assert known.explanation("close", "return 0 for None") is None


def test_the_document_is_what_the_comparer_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == known.markdown(), "run `make docs`"


def test_every_group_has_its_file() -> None:
    assert len(programs.GROUPS) == 20
    assert {path.stem for path in programs.SOURCES.glob("*.c")} == {*programs.GROUPS, "conform"}


def test_what_is_packed_can_be_unpacked() -> None:
    assert programs.output(programs.archive({"./a/said": b"text\xff"})) == {"a/said": "text\xff"}
