"""Frames: what is sent arrives, however it is cut; nothing hostile raises, hangs or takes memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.inguest import protocol
from malkoha.inguest.protocol import LENGTHS, MAGIC, MAX_BODY, MAX_HEAD, Decoder, encode

heads = st.dictionaries(
    st.text(max_size=8),
    st.one_of(st.integers(), st.text(max_size=20), st.booleans(), st.none(), st.lists(st.integers(), max_size=3)),
    max_size=4,
)
frames = st.lists(st.tuples(heads, st.binary(max_size=200)), max_size=6)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(frames, st.lists(st.integers(min_value=0, max_value=40), max_size=20))
def test_whole_frames_however_they_are_cut(sent: list[tuple[dict[str, object], bytes]], sizes: list[int]) -> None:
    decoder = Decoder()
    data = b"".join(encode(head, body) for head, body in sent)
    assert [frame for piece in cut(data, sizes) for frame in decoder.feed(piece)] == sent
    assert decoder.skipped == 0


@given(st.lists(st.one_of(st.binary(max_size=60), st.just(MAGIC), st.just(encode({"a": 1}, b"x"))), max_size=12))
def test_garbage_is_passed_over_and_counted(pieces: list[bytes]) -> None:
    decoder = Decoder()
    taken = 0
    for piece in pieces:
        for head, body in decoder.feed(piece):
            taken += LENGTHS.size + len(json.dumps(head, separators=(",", ":"))) + len(body)
    given_ = sum(map(len, pieces))
    # what is left is one unfinished frame
    assert 0 <= given_ - decoder.skipped - taken <= LENGTHS.size + MAX_HEAD + MAX_BODY
    assert decoder.skipped <= given_


@given(
    st.binary(max_size=100).filter(
        lambda data: MAGIC not in data and not data.endswith(tuple(b"\x01GA\x02"[:n] for n in (1, 2, 3)))
    )
)
def test_a_frame_after_garbage_is_found(garbage: bytes) -> None:
    decoder = Decoder()
    assert decoder.feed(garbage + encode({"id": 7}, b"body")) == [({"id": 7}, b"body")]
    assert decoder.skipped == len(garbage)


@pytest.mark.parametrize("sizes", [(MAX_HEAD + 1, 0), (0, MAX_BODY + 1), (0xFFFFFFFF, 0xFFFFFFFF)])
def test_a_claim_beyond_the_bounds_waits_for_nothing(sizes: tuple[int, int]) -> None:
    decoder = Decoder()
    huge = LENGTHS.pack(MAGIC, *sizes)
    assert decoder.feed(huge + encode({"after": 1})) == [({"after": 1}, b"")]
    assert decoder.skipped == len(huge)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b"{",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b'"\\ud800',
        b"\0" * 9,
    ],
)
def test_a_head_that_is_no_object(text: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.parse(text)
    decoder = Decoder()
    bad = LENGTHS.pack(MAGIC, len(text), 3) + text + b"abc"
    assert decoder.feed(bad + encode({"good": True})) == [({"good": True}, b"")]
    assert decoder.skipped == len(bad)


def test_half_a_frame_waits() -> None:
    decoder = Decoder()
    frame = encode({"id": 1}, b"x" * 100)
    assert decoder.feed(frame[:-1]) == []
    assert decoder.skipped == 0
    assert decoder.feed(frame[-1:]) == [({"id": 1}, b"x" * 100)]


def test_too_large_to_be_sent() -> None:
    assert len(encode({}, b"x" * MAX_BODY)) == LENGTHS.size + 2 + MAX_BODY
    with pytest.raises(protocol.ProtocolError):
        encode({}, b"x" * (MAX_BODY + 1))
    with pytest.raises(protocol.ProtocolError):
        encode({"a": "\xff" * (MAX_HEAD // 2 + 1)})


@given(st.binary())
def test_bytes_in_a_string(data: bytes) -> None:
    assert protocol.unpack_bytes(json.loads(json.dumps(protocol.pack_bytes(data)))) == data


@given(frames, st.integers(min_value=0))
def test_the_flush_completes_any_broken_frame(sent: list[tuple[dict[str, object], bytes]], cut_at: int) -> None:
    decoder = Decoder()
    data = b"".join(encode(head, body) for head, body in sent)
    # the worst is a broken frame that claims as much as it may
    decoder.feed(data[: cut_at % (len(data) + 1)])
    decoder.feed(LENGTHS.pack(MAGIC, MAX_HEAD, MAX_BODY))
    assert decoder.feed(protocol.FLUSH + encode({"after": 1}))[-1] == ({"after": 1}, b"")
