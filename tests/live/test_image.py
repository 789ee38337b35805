"""An image made of the kept parts of the user's home, booted with software emulation to its login prompt."""

from __future__ import annotations

import json
import re
import secrets
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from malkoha.config import Guest
from malkoha.machinery import buildroot, disk, image, parts
from malkoha.machinery.host_tools import path_with_sbin
from malkoha.machinery.image import Image
from malkoha.store import Home

pytestmark = pytest.mark.live
BOOT_DEADLINE_S = 400
TOKEN = secrets.token_hex(8)
UNIT = f"""[Service]
ExecStart=/bin/sh -c 'while :; do echo token {TOKEN} $(hostname) $(id -un 1000) > /dev/ttyS0; sleep 1; done'
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def own(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """An image of the same parts as the user's, with a file of this test; the user's own images stay as they are."""
    from malkoha.machinery import image as images

    home = Home(tmp_path_factory.mktemp("image") / "home")
    home.images.mkdir(parents=True)
    (home.images / "parts").symlink_to(image.folder.parent / "parts", target_is_directory=True)
    settings = Guest(disk_gb=image.sizes["disk_virtual"] >> 30, packages=image.packages)
    files = {f"/etc/systemd/system/{TOKEN}.service": (0o644, UNIT.encode())}
    return images.build(home, settings, name=f"t-{TOKEN}", files=files)


def test_it_is_found_under_its_name_and_complete(own: Image) -> None:
    home = Home(own.folder.parents[1])
    assert image.find(home, f"t-{TOKEN}") == own
    assert own.kernel.read_bytes()[0x202:0x206] == b"HdrS"
    assert own.initrd.read_bytes().startswith(b"070701")
    assert disk.virtual_size(own.disk) == own.sizes["disk_virtual"]
    known = image.inspect(home, f"t-{TOKEN}")
    assert {"openssh-server", "busybox-static", "python3"} <= set(json.loads(json.dumps(known["installed"])))


def test_the_guest_has_nothing_of_the_tracer(own: Image) -> None:
    installed = parts.read(own.folder.parent / "parts" / own.guest_part)
    assert installed is not None
    assert not [name for name in installed.packages if re.match(r"systemtap|gcc-\d+$|strace|linux-headers", name)]


def test_its_disk_and_file_system_are_sound(own: Image, tmp_path: Path) -> None:
    subprocess.run(["qemu-img", "check", "-q", own.disk], check=True)
    raw = tmp_path / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", own.disk, raw], check=True)
    tool = shutil.which("e2fsck", path=path_with_sbin())
    checked = subprocess.run([str(tool), "-fn", f"{raw}?offset={parts.PARTITION_START}"], check=False)
    assert checked.returncode == 0


def test_the_build_root_fits_the_kernel(own: Image) -> None:
    assert (own.build_root / "lib/modules" / own.kernel_release / "build").is_symlink()
    with own.symbols.open() as symbols:
        names = {line.split()[2] for line in symbols}
    assert {"_stext", "sys_ni_syscall", "__x64_sys_openat"} <= names
    loader = buildroot.loader_files(own)
    assert {"staprun", "stapio"} <= set(loader)
    assert all(content.startswith(b"\x7fELF") for content in loader.values())


def test_it_boots_to_the_login_prompt(own: Image) -> None:
    command = [
        *("qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nic", "none"),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(own.kernel), "-initrd", str(own.initrd)),
        *("-append", f"{own.kernel_arguments} console=ttyS0"),
        *("-drive", f"if=virtio,file={own.disk},format=qcow2,snapshot=on"),
    ]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said = _read_until(machine, (b" login: ", f"token {TOKEN} web01 deploy".encode()))
    finally:
        machine.kill()
        machine.wait()
        assert machine.stdout is not None
        machine.stdout.close()
    assert b"Debian GNU/Linux 13" in said
    assert b"Failed to start" not in said
    assert b"[FAILED]" not in said


def _read_until(machine: subprocess.Popen[bytes], wanted: tuple[bytes, ...]) -> bytes:
    """Collect what the serial line says until all of ``wanted`` were said; fail at the deadline."""
    assert machine.stdout is not None
    said = b""
    deadline = time.monotonic() + BOOT_DEADLINE_S
    while not all(text in said for text in wanted):
        left = deadline - time.monotonic()
        assert left > 0, f"no login prompt in {BOOT_DEADLINE_S} s; the last words were {said[-2000:]!r}"
        if select.select([machine.stdout], [], [], min(left, 1.0))[0]:
            piece = machine.stdout.read1(65536)  # type: ignore[attr-defined]
            assert piece, f"the machine ended: {said[-2000:]!r}"
            said += piece
    return said
