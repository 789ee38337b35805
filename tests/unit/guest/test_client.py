"""The session with a guest that answers, with one that is silent, and with one that lies in every field.

How it works with the real agent is in tests/unit/inguest/test_agent.py.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from malkoha.errors import GuestError
from malkoha.guest import channel, client
from malkoha.guest.client import GuestClient, NoAnswerError, Prepared
from malkoha.inguest.protocol import LENGTHS, MAGIC, encode
from malkoha.model.task import Options
from tests.fake_guest import Answer, FakeGuest, Head, polite


class Session:
    """A fake guest and a client that is connected to it."""

    def __init__(self, folder: Path, answer: Answer = polite, hopeless: Callable[[], str] = lambda: "") -> None:
        self.guest = FakeGuest(folder / "agent", answer)
        self.written: list[tuple[str, bytes]] = []
        self.client = GuestClient(folder / "agent", lambda stream, data: self.written.append((stream, data)), hopeless)
        self.client.connect(10)


Sessions = Callable[..., Session]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Sessions]:
    made: list[Session] = []

    def make(answer: Answer = polite, hopeless: Callable[[], str] = lambda: "") -> Session:
        made.append(Session(tmp_path, answer, hopeless))
        return made[-1]

    yield make
    for each in made:
        each.client.close()
        each.guest.close()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_S", 0.5)
    monkeypatch.setattr(client, "LAUNCH_S", 0.5)


def flush(session: Session) -> None:
    """Wait until all that the guest has said so far was taken."""
    assert session.client.answers(10)


# -- a guest that answers --------------------------------------------------------------------------------------------


def test_a_run(session: Sessions, tmp_path: Path) -> None:
    it = session()
    (tmp_path / "source").write_bytes(b"content")
    it.client.load_agent(5)
    it.client.set_clock()
    assert it.client.deliver(tmp_path / "source", b"\xffx", 5) == b"/tmp/\xffx"
    assert it.client.start(Options(arguments="a 'b c'", user="nobody")) == Prepared("generic", [b"/tmp/x", b"\xff"])
    done = ["load", "hello", "clock", "put", "prepare", "launch"]
    assert [head["do"] for head in it.guest.asked] == done
    asked = dict(zip(done, it.guest.asked, strict=True))
    assert asked["put"]["path"] == "/tmp/\xffx"
    assert (asked["put"]["size"], asked["put"]["mode"]) == (7, 0o755)
    assert asked["prepare"]["arguments"] == ["a", "b c"]
    assert asked["launch"]["user"] == asked["prepare"]["user"] == "nobody"
    it.guest.say(encode({"stream": "stdout"}, b"hi") + encode({"stream": "stderr"}, b"oh"))
    it.guest.say(encode({"stream": "exited", "status": 256}))
    it.guest.say(encode({"stream": "closed", "name": "stdout"}))
    flush(it)
    assert (it.client.exit_status, it.client.finished) == (256, False)
    it.guest.say(encode({"stream": "closed", "name": "stderr"}))
    flush(it)
    assert it.client.finished
    assert it.written == [("stdout", b"hi"), ("stderr", b"oh")]


def test_arming(session: Sessions) -> None:
    it = session()
    assert it.client.arm(b"module", "name", {"staprun": b"s", "lib/x.so": b"l"}, 5) == "ring 1000"
    paths = [head["path"] for head in it.guest.asked if head["do"] == "put"]
    assert paths == ["/run/fsck/staprun", "/run/fsck/lib/x.so", "/run/fsck/name.ko"]


def test_a_refusal_is_the_error(session: Sessions) -> None:
    it = session(lambda head: polite(head) if head["do"] == "hello" else encode({"id": head["id"], "error": "no room"}))
    with pytest.raises(GuestError, match="^no room$") as caught:
        it.client.put(b"/x", b"", 0o600)
    assert not isinstance(caught.value, NoAnswerError)


def test_closing_is_harmless(tmp_path: Path, session: Sessions) -> None:
    unused = GuestClient(tmp_path / "nothing")
    unused.close()
    with pytest.raises(GuestError, match="not connected"):
        unused.greet(0.1)
    it = session()
    flush(it)
    it.client.close()
    it.client.close()
    assert (it.client.alive, it.client.trouble) == (False, "")


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="agent port cannot be reached: .*No such file"):
        GuestClient(tmp_path / "nothing").connect(0.1)


# -- a guest that does not answer ------------------------------------------------------------------------------------


def silent(head: Head) -> bytes:
    return polite(head) if head["do"] == "hello" else b""


def test_silence(session: Sessions, tmp_path: Path) -> None:
    it = session(silent)
    with pytest.raises(NoAnswerError, match=r"did not answer 'put': nothing in 0.5 s"):
        it.client.put(b"/x", b"", 0o600)
    with pytest.raises(NoAnswerError, match="did not load the agent: nothing in 0.2 s"):
        it.client.load_agent(0.2)
    with pytest.raises(NoAnswerError, match="'launch'"):
        it.client.launch(Prepared("x", [b"/x"]), "root")


def test_not_even_a_greeting(session: Sessions) -> None:
    it = session(lambda head: b"")
    with pytest.raises(NoAnswerError, match=r"does not answer: nothing in 0.2 s"):
        it.client.greet(0.2)
    assert not it.client.answers(0.1)


def test_a_machine_that_has_ended_is_not_waited_for(session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_S", 60.0)
    it = session(silent, lambda: "the machine ended: guest-shutdown")
    it.client.greet(10)
    begin = time.monotonic()
    with pytest.raises(NoAnswerError, match="the machine ended: guest-shutdown"):
        it.client.put(b"/x", b"", 0o600)
    assert time.monotonic() - begin < 10


def test_a_connection_that_ends(session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "REQUEST_S", 60.0)

    def hang_up(head: Head) -> bytes:
        if head["do"] == "hello":
            return polite(head)
        raise OSError

    it = session(hang_up)
    with pytest.raises(NoAnswerError, match="the connection was closed"):
        it.client.put(b"/x", b"", 0o600)
    assert (it.client.alive, it.client.trouble) == (False, "the connection was closed")


def test_a_slow_delivery(session: Sessions, tmp_path: Path) -> None:
    def slow(head: Head) -> bytes:
        time.sleep(0.05)
        return polite(head)

    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(GuestError, match="could not be delivered in time"):
        session(slow).client.deliver(tmp_path / "source", b"x", 0.01)


# -- a guest that lies -----------------------------------------------------------------------------------------------

values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({"a": [1]}),
    st.lists(st.one_of(st.text(max_size=3), st.integers()), max_size=3),
)  # fmt: skip
FIELDS = ("id", "stream", "name", "status", "error", "errno", "argv", "package", "pid", "nonce", "line", "size")
lies = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, values))
streams = st.sampled_from(["stdout", "stderr", "closed", "exited", "loaded", "other"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(lies, st.one_of(st.none(), streams)), max_size=12), st.binary(max_size=20))
def test_any_frame_is_taken_or_ignored(made: list[tuple[Head, str | None]], body: bytes) -> None:
    one = GuestClient(Path("unused"))
    channel = one._channel
    channel._nonce, channel._greeted, channel._waiting = "n", True, 3
    for head, stream in made:
        if stream is not None:
            head["stream"] = stream
        channel._take(head, body)
    assert one.exit_status is None or 0 <= one.exit_status < 1 << 16
    assert one.trouble == ""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lie=lies)
def test_any_answer_is_an_answer_or_an_error(tmp_path_factory: pytest.TempPathFactory, lie: Head) -> None:
    folder = tmp_path_factory.mktemp("lies")
    it = Session(folder, lambda head: polite(head) if head["do"] == "hello" else encode({**lie, "id": head["id"]}))
    try:
        for ask in (
            lambda: it.client.prepare(Options()),
            lambda: it.client.launch(Prepared("x", [b"/x"]), "root"),
            lambda: it.client.arm(b"", "x", {}, 1),
        ):
            with contextlib.suppress(GuestError):
                ask()
    finally:
        it.client.close()
        it.guest.close()


@pytest.mark.parametrize(
    "argv", [None, [], "text", {}, [1], ["/x", None], ["\u20ac"], ["/x"] * 5000, [["/x"]], ["/x", True]]
)
def test_a_command_that_is_none(session: Sessions, argv: object) -> None:
    def lie(head: Head) -> bytes:
        return encode({"id": head["id"], "argv": argv, "package": "x"}) if head["do"] == "prepare" else polite(head)

    with pytest.raises(GuestError, match="answers nonsense: no command"):
        session(lie).client.prepare(Options())


@pytest.mark.parametrize("status", [-1, 1 << 16, 1 << 80, "0", 1.5, True, None, [0]])
def test_an_exit_status_that_is_none(session: Sessions, status: object) -> None:
    it = session()
    flush(it)
    it.guest.say(encode({"stream": "exited", "status": status}))
    flush(it)
    assert it.client.exit_status is None
    it.guest.say(encode({"stream": "exited", "status": 5}) + encode({"stream": "exited", "status": 6}))
    flush(it)
    assert it.client.exit_status == 5


def test_nothing_counts_before_the_greeting(session: Sessions) -> None:
    def answer(head: Head) -> bytes:
        early = encode({"stream": "stdout"}, b"old") + encode({"stream": "exited", "status": 1}) + b"half a frame"
        return early + encode({"id": 0, "nonce": "another"}) + polite(head)

    it = session(answer)
    it.client.greet(10)
    assert (it.written, it.client.exit_status, it.client.alive) == ([], None, True)


def test_answers_that_nobody_awaits_are_dropped(session: Sessions) -> None:
    it = session()
    flush(it)
    it.guest.say(b"".join(encode({"id": number}) for number in range(1, 2000)))
    flush(it)
    assert it.client._channel._answer is None
    assert it.client._channel.dropped == 1999
    it.client.put(b"/x", b"", 0o600)


def test_sizes_that_are_claimed_are_not_taken(session: Sessions) -> None:
    it = session()
    flush(it)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        it.guest.say(LENGTHS.pack(MAGIC, 0xFFFFFFFF, 0xFFFFFFFF))
    flush(it)
    assert it.client._channel.skipped == 100 * LENGTHS.size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_deep_and_wide_heads(session: Sessions) -> None:
    it = session()
    flush(it)
    for text in (b"[" * 200_000, b'{"name":' * 30_000, b'{"stream":"closed","name":' + b"[" * 900 + b"]" * 900 + b"}"):
        it.guest.say(LENGTHS.pack(MAGIC, len(text), 0) + text)
    it.guest.say(encode({"stream": "stdout"}, b"after"))
    flush(it)
    assert it.written == [("stdout", b"after")]


def test_an_agent_that_was_started_anew(session: Sessions) -> None:
    it = session()
    flush(it)
    it.guest.say(b"half a frame" + encode({"stream": "empty"}))
    deadline = time.monotonic() + 10
    while it.client.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert it.client.trouble == "the agent in the guest was killed"
    assert not it.client.answers(10)


def test_an_agent_that_cannot_be_loaded(session: Sessions) -> None:
    it = session(lambda head: encode({"stream": "failed", "error": "SyntaxError: x"}))
    with pytest.raises(NoAnswerError, match="did not load the agent: the agent could not be loaded: SyntaxError: x"):
        it.client.load_agent(10)


def test_a_greeting_that_a_broken_frame_has_swallowed(session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FLUSH_AFTER_S", 0.1)
    it = session(lambda head: polite(head) if head["do"] != "hello" or head.get("flush") else b"")
    it.client.greet(10)
    assert it.client.answers(10)


def test_output_that_cannot_be_kept_ends_the_session_with_a_reason(tmp_path: Path) -> None:
    def fail(stream: str, data: bytes) -> None:
        raise RuntimeError("no")

    guest = FakeGuest(tmp_path / "agent", polite)
    with GuestClient(tmp_path / "agent", fail) as one:
        one.connect(10)
        assert one.answers(10)
        guest.say(encode({"stream": "stdout"}, b"x"))
        deadline = time.monotonic() + 10
        while one.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        assert one.trouble == "RuntimeError: no"
    guest.close()


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_names_that_no_file_can_have(session: Sessions, tmp_path: Path, name: bytes) -> None:
    with pytest.raises(GuestError, match="cannot have that name"):
        session().client.deliver(tmp_path / "source", name, 5)


def test_a_silent_guest_is_asked_and_given_up(session: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "TICK_S", 0.05)
    monkeypatch.setattr(channel, "QUIET_S", 0.2)
    monkeypatch.setattr(channel, "DEAD_S", 1.0)
    dead: list[bool] = []
    it = session(lambda head: b"" if dead else polite(head))
    it.client.launch(Prepared("x", [b"/x"]), "root")
    time.sleep(1.5)
    assert it.client.trouble == ""
    dead.append(True)
    deadline = time.monotonic() + 10
    while it.client.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert it.client.trouble.startswith("the agent in the guest said nothing for")
    assert [head["do"] for head in it.guest.asked].count("ping") > 3
