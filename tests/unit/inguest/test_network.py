"""The guest's own set-up of its network, with the programs and files of the system replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.inguest import network
from malkoha.inguest.refused import Refused

HEAD = {
    "address": "10.20.0.51/24", "gateway": "10.20.0.1", "gateway_mac": "00:1c:73:a2:04:1f", "address6": "fd00::2/64",
    "gateway6": "fd00::1", "resolver": "nameserver 10.20.0.2\n", "certificate_name": "Root", "certificate": "PEM",
}  # fmt: skip


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "lo").mkdir()
    monkeypatch.setattr(network, "CARDS", str(folder))
    monkeypatch.setattr(network, "CARD_S", 0.0)
    monkeypatch.setattr(network, "CERTIFICATES", str(tmp_path / "certificates"))
    return folder


def test_the_card_gets_addresses_routes_a_resolver_and_trust(
    cards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cards / "enp0s4" / "device").mkdir(parents=True)
    written: dict[str, str] = {}
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(network, "write", lambda path, text: written.update({path: text}))
    monkeypatch.setattr(network, "run", lambda *words: ran.append(words))
    assert network.connect(HEAD) == {"card": "enp0s4"}
    assert written["/etc/resolv.conf"] == "nameserver 10.20.0.2\n"
    assert "iface enp0s4 inet static" in written["/etc/network/interfaces"]
    assert written[str(tmp_path / "certificates" / "Root.crt")] == "PEM"
    assert ("ip", "route", "add", "default", "via", "10.20.0.1") in ran
    assert ran[-1] == ("update-ca-certificates",)


def test_a_guest_without_a_card_says_so(cards: Path) -> None:
    with pytest.raises(Refused, match="no network card"):
        network.find_card()


def test_the_name_before_udev_is_taken_when_it_stays(cards: Path) -> None:
    (cards / "eth0" / "device").mkdir(parents=True)
    assert network.find_card() == "eth0"


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no such thing"):
        network.run("sh", "-c", "echo no such thing >&2; exit 1")
    network.write(str(tmp_path / "file"), "text")
    assert (tmp_path / "file").read_text() == "text"
    network.run("true")
