import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from malkoha.machinery.command import APPEND, SANDBOX, Descriptors, Identity, MachineSpec, command

SPEC = MachineSpec(kernel=Path("/i/kernel"), initrd=Path("/i/initrd"), disk=Path("/i/disk.qcow2"))
FDS = Descriptors(memory=10, overlay=11, qmp=12, agent=13, console=14, firmware=15)


def values(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_the_guest_is_closed_in() -> None:
    words = command(SPEC, "qemu", FDS)
    assert values(words, "-sandbox") == [SANDBOX]
    assert all(f"{what}=deny" in SANDBOX for what in ("obsolete", "elevateprivileges", "spawn", "resourcecontrol"))
    assert values(words, "-nic") == ["none"]
    assert {"-nodefaults", "-nographic", "-no-user-config", "-no-reboot", "-S"} <= set(words)
    assert not {"-netdev", "-net", "-monitor", "-vnc", "-usb", "-fsdev", "-virtfs"} & set(words)


def test_a_network_card_has_nothing_but_an_inherited_wire() -> None:
    words = command(replace(SPEC, nic=True), "qemu", replace(FDS, wire=15))
    assert values(words, "-netdev") == ["socket,id=wire,fd=15"]
    (card,) = [device for device in values(words, "-device") if "netdev=wire" in device]
    assert card.startswith("virtio-net-pci,")
    assert "52:54:00" not in card
    assert "-nic" not in words
    assert 15 in replace(FDS, wire=15).all()
    assert -1 not in FDS.all()


def test_memory_and_overlay_are_inherited_files() -> None:
    words = command(SPEC, "qemu", FDS)
    memory = json.loads(values(words, "-object")[0])
    assert memory["mem-path"] == "/proc/self/fd/10"
    assert memory["share"] is True
    assert memory["size"] == 1024 << 20
    assert values(words, "-add-fd") == ["fd=11,set=1"]


def nodes(words: list[str]) -> dict[str, dict[str, object]]:
    return {node["node-name"]: node for node in map(json.loads, values(words, "-blockdev"))}


def test_only_the_overlay_can_be_written() -> None:
    for frozen in (None, Path("/s/disk.qcow2")):
        chain = nodes(command(SPEC, "qemu", FDS, frozen=frozen))
        writable = {name for name, node in chain.items() if not node.get("read-only")}
        assert writable == {"overlay", "overlay-file"}
        assert chain["overlay"]["backing"] == ("frozen" if frozen else "image")
        assert chain["image"]["backing"] is None


def test_a_restored_machine_waits_for_its_state() -> None:
    words = command(SPEC, "qemu", FDS, incoming=True, frozen=Path("/s/disk.qcow2"))
    assert values(words, "-incoming") == ["defer"]
    assert nodes(words)["frozen-file"]["filename"] == "/s/disk.qcow2"
    assert "-incoming" not in command(SPEC, "qemu", FDS)


def test_paths_with_commas_are_not_options() -> None:
    path = Path("/i/a,snapshot=on/disk.qcow2")
    assert nodes(command(replace(SPEC, disk=path), "qemu", FDS))["image-file"]["filename"] == str(path)


def test_the_identity_is_a_server_and_commas_stay_text() -> None:
    words = command(replace(SPEC, identity=Identity(vendor="A, B")), "qemu", FDS)
    tables = values(words, "-smbios")
    assert any("manufacturer=A,, B,product=PowerEdge R640" in table for table in tables)
    assert not [table for table in tables if "qemu" in table.lower()]


@pytest.mark.parametrize("accelerator", ["kvm", "tcg"])
def test_the_processor_hides_the_hypervisor(accelerator: Literal["kvm", "tcg"]) -> None:
    words = command(replace(SPEC, accelerator=accelerator), "qemu", FDS)
    assert values(words, "-accel")[0].split(",")[0] == accelerator
    assert "hypervisor=off" in values(words, "-cpu")[0]


def test_time_jumps_over_waiting_only_when_asked() -> None:
    words = command(replace(SPEC, skip_idle=True), "qemu", FDS)
    assert values(words, "-icount") == ["shift=0,sleep=off"]
    assert "thread=single" in values(words, "-accel")[0]
    assert "-icount" not in command(SPEC, "qemu", FDS)


def test_init_keeps_its_arguments_at_the_end() -> None:
    words = command(replace(SPEC, append='root=/dev/vda1 quiet -- sh -c "a b"'), "qemu", FDS)
    assert values(words, "-append") == [f'root=/dev/vda1 quiet {APPEND} -- sh -c "a b"']
    assert values(command(SPEC, "qemu", FDS), "-append") == [APPEND]
