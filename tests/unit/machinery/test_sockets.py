import os
import socket
from pathlib import Path

import pytest

from malkoha.errors import HostError
from malkoha.machinery.sockets import nameless_socket


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("length", [1, 200])
def test_it_is_reached_without_a_name_however_long_the_path(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("x" * length) / "run"
    before = files()
    listener, reference = nameless_socket(folder)
    assert list(folder.iterdir()) == []
    with listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"/proc/{os.getpid()}/fd/{reference}")
        other = listener.accept()[0]
        other.sendall(b"hello")
        assert client.recv(10) == b"hello"
        other.close()
    with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
        late.connect(f"/proc/{os.getpid()}/fd/{reference}")
    os.close(reference)
    assert files() == before


def test_a_folder_that_cannot_be_made_is_an_error_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file stands in the way")
    before = files()
    with pytest.raises(HostError, match="No socket"):
        nameless_socket(tmp_path / "run")
    assert files() == before
