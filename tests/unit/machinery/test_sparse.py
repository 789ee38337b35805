import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.errors import MachineError
from malkoha.machinery import disk, sparse
from malkoha.machinery.memory import GuestMemory

PAGE = sparse.PAGE


@settings(max_examples=30, deadline=None)
@given(
    pages=st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=9)), max_size=20),
    size=st.integers(601, 700),
)
def test_memory_is_kept_sparse_and_comes_back_whole(
    tmp_path_factory: pytest.TempPathFactory, pages: list[tuple[int, bytes]], size: int
) -> None:
    before, after = GuestMemory(size * PAGE), GuestMemory(size * PAGE)
    for page, content in pages:
        before.write(page * PAGE + 100, content)
    path = tmp_path_factory.mktemp("ram") / "ram.bin"
    used = sparse.keep_memory(before, path)
    filling = sparse.Filling(after, path)
    filling.done()
    assert after.read(0, size * PAGE) == before.read(0, size * PAGE)
    not_zero = {page for page in range(size) if before.read(page * PAGE, PAGE).strip(b"\0")}
    assert used == len(not_zero) * PAGE
    assert path.stat().st_size == size * PAGE
    before.close()
    after.close()


def test_memory_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    memory = GuestMemory(PAGE)
    filling = sparse.Filling(memory, tmp_path / "absent")
    with pytest.raises(MachineError, match="cannot be read"):
        filling.done()
    memory.close()


def test_filling_can_be_abandoned(tmp_path: Path) -> None:
    path = tmp_path / "ram.bin"
    path.write_bytes(bytes(range(256)) * 4096)
    memory = GuestMemory(1 << 20)
    filling = sparse.Filling(memory, path)
    filling.abandon()
    filling.abandon()
    memory.close()


def test_a_disk_is_kept_with_its_holes(tmp_path: Path) -> None:
    fd = disk.overlay(tmp_path, 64 << 20, 0)
    os.ftruncate(fd, 32 << 20)
    os.pwrite(fd, b"end", (32 << 20) - 3)
    sparse.keep_file(fd, tmp_path / "disk.qcow2")
    kept = tmp_path / "disk.qcow2"
    assert kept.read_bytes() == os.pread(fd, 33 << 20, 0)
    assert kept.stat().st_blocks * 512 < 4 << 20
    os.close(fd)
