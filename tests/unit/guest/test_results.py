"""The sample's output on disk: as it came, within a limit, with what is missing counted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.guest.results import Outputs
from malkoha.store import Store


@given(pieces=st.lists(st.binary(max_size=20), max_size=12), limit=st.integers(min_value=0, max_value=60))
def test_kept_up_to_the_limit_and_counted_beyond(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], limit: int
) -> None:
    store = Store(tmp_path_factory.mktemp("outputs")).create()
    with Outputs(store, limit) as outputs:
        for piece in pieces:
            outputs.write("stdout", piece)
        outputs.write("stderr", b"e" * limit)
        outputs.write("video", b"ignored")
    whole = b"".join(pieces)
    assert store.stdout.read_bytes() == whole[:limit]
    assert store.stderr.read_bytes() == b"e" * limit
    assert outputs.cut == {"stdout": max(len(whole) - limit, 0), "stderr": 0}
    cut = f"output cut: {len(whole) - limit} bytes of standard output were not kept: the limit is {limit} bytes"
    assert outputs.remarks() == ([cut] if len(whole) > limit else [])


def test_it_is_on_disk_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "1").create()
    with Outputs(store, 100) as outputs:
        outputs.write("stderr", b"early")
        assert store.stderr.read_bytes() == b"early"


def test_a_full_disk_is_counted(tmp_path: Path) -> None:
    store = Store(tmp_path / "1").create()
    with Outputs(store, 100) as outputs, open("/dev/full", "wb", buffering=0) as full:
        outputs._files["stdout"] = full
        outputs.write("stdout", b"lost")
        outputs.write("stderr", b"kept")
    assert outputs.cut == {"stdout": 4, "stderr": 0}
    assert outputs.remarks() == ["output cut: 4 bytes of standard output were not kept: No space left on device"]
    assert store.stderr.read_bytes() == b"kept"


def test_nothing_is_overwritten_or_left_open(tmp_path: Path) -> None:
    store = Store(tmp_path / "1").create()
    store.stderr.write_bytes(b"from before")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileExistsError), Outputs(store, 100):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
    assert store.stderr.read_bytes() == b"from before"
