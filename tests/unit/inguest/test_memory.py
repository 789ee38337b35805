"""Memory of a process is read as it is mapped; holes are not."""

from __future__ import annotations

import ctypes
import os

import pytest

from malkoha.inguest import memory, protocol


def test_the_map_of_a_process() -> None:
    body: bytes = memory.maps({"pid": os.getpid()}, b"")["body"]
    assert b"[stack]" in body
    assert len(body) <= protocol.MAX_BODY


def test_a_piece_of_its_memory() -> None:
    text = ctypes.create_string_buffer(b"a text to be found", 100)
    head = {"pid": os.getpid(), "address": ctypes.addressof(text), "size": 18}
    assert memory.piece(head, b"") == {"body": b"a text to be found"}


def test_a_hole_and_a_process_that_is_gone() -> None:
    with pytest.raises(OSError, match="Input/output error"):
        memory.piece({"pid": os.getpid(), "address": 0, "size": 10}, b"")
    with pytest.raises(FileNotFoundError):
        memory.maps({"pid": 1 << 30}, b"")
