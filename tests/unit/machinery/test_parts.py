import struct
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from malkoha.errors import ImageError
from malkoha.machinery import bootstrap, host_tools, initrd, kallsyms, parts
from malkoha.machinery.mirror import Mirror
from malkoha.progress import SILENT, Progress

STATUS = """Package: bash
Status: install ok installed
Version: 5.2
Description: a shell
 Version: of many words

Package: gone
Status: deinstall ok config-files
Version: 1
"""


class Debian:
    """Stands in for mmdebstrap: makes roots with the kernel that the mirror has just now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = "6.12.1-cloud"
        self.made: list[list[str]] = []
        monkeypatch.setattr(bootstrap, "make", self.make)
        monkeypatch.setattr(kallsyms, "system_map", lambda path: f"map of {path.name}\n")
        monkeypatch.setattr(initrd, "read_module", lambda folder: b"driver")
        monkeypatch.setattr(parts, "make_disk", lambda root, disk, size, seed: disk.write_bytes(b"disk"))

    def make(
        self, roots: Sequence[bootstrap.Root], mirror: Mirror, scratch: Path, progress: Progress, *, log: Path
    ) -> None:
        self.made.append([root.name for root in roots])
        for root in roots:
            for folder in ("boot", "usr/bin", "etc", "var/lib/dpkg"):
                (root.folder / folder).mkdir(parents=True)
            (root.folder / "boot" / f"vmlinuz-{self.kernel}").write_bytes(b"kernel")
            (root.folder / "usr/bin/busybox").write_bytes(b"busybox")
            (root.folder / "var/lib/dpkg/status").write_text(STATUS)


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> Debian:
    return Debian(monkeypatch)


def _workshop(tmp_path: Path, number: int = 0) -> parts.Workshop:
    scratch = tmp_path / f"scratch{number}"
    scratch.mkdir()
    (scratch / "guest.releases").write_text("abc  x_InRelease\n")
    return parts.Workshop(tmp_path / "images", scratch, Mirror(("deb http://m.test trixie main",)), "trixie", SILENT)


def test_both_parts_are_made_side_by_side_and_kept(tmp_path: Path, debian: Debian) -> None:
    guest, build = _workshop(tmp_path).both(["bash"], 8)
    assert debian.made == [["guest", "build root"]]
    known = parts.read(guest)
    assert known is not None
    assert known.kernel_release == "6.12.1-cloud"
    assert known.packages == {"bash": "5.2"}
    assert known.releases == ("abc  x_InRelease",)
    assert (build / "System.map").read_text() == "map of vmlinuz-6.12.1-cloud\n"
    assert (guest / "kernel").read_bytes() == b"kernel"
    assert len((guest / "initrd").read_bytes()) > 100
    assert _workshop(tmp_path, 1).both(["bash"], 8) == (guest, build)
    assert len(debian.made) == 1


def test_other_packages_make_another_guest_with_the_same_build_root(tmp_path: Path, debian: Debian) -> None:
    guest, build = _workshop(tmp_path).both(["bash"], 8)
    other, same = _workshop(tmp_path, 1).both(["bash", "nginx"], 8)
    assert debian.made == [["guest", "build root"], ["guest"]]
    assert (other != guest, same) == (True, build)


def test_a_lost_build_root_is_made_again(tmp_path: Path, debian: Debian) -> None:
    guest, build = _workshop(tmp_path).both(["bash"], 8)
    parts.remove_tree(build)
    assert _workshop(tmp_path, 1).both(["bash"], 8) == (guest, build)
    assert debian.made[1:] == [["build root"]]


def test_a_new_kernel_on_the_mirror_gives_a_new_build_root(tmp_path: Path, debian: Debian) -> None:
    _workshop(tmp_path).both(["bash"], 8)
    debian.kernel = "6.12.2-cloud"
    guest, build = _workshop(tmp_path, 1).both(["nginx"], 8)
    assert debian.made[1:] == [["guest"], ["build root"]]
    assert build.name.endswith("-6.12.2-cloud")
    known = parts.read(guest)
    assert known is not None
    assert known.kernel_release == "6.12.2-cloud"


def test_an_old_guest_is_made_again_for_a_new_build_root(tmp_path: Path, debian: Debian) -> None:
    _, build = _workshop(tmp_path).both(["bash"], 8)
    parts.remove_tree(build)
    debian.kernel = "6.12.2-cloud"
    guest, build = _workshop(tmp_path, 1).both(["bash"], 8)
    assert debian.made[1:] == [["build root"], ["guest"]]
    known = parts.read(guest)
    assert known is not None
    assert build.name.endswith(known.kernel_release)


def test_an_interrupted_build_leaves_no_part(tmp_path: Path, debian: Debian, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(parts, "make_disk", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _workshop(tmp_path).both(["bash"], 8)
    kept = [path.name for path in (tmp_path / "images" / "parts").iterdir()]
    assert len(kept) == 1
    assert kept[0].startswith("build-")


def test_a_part_is_known_by_a_readable_description_only(tmp_path: Path) -> None:
    assert parts.read(tmp_path) is None
    (tmp_path / "part.json").write_text("{")
    assert parts.read(tmp_path) is None


def test_digests_differ_with_each_input() -> None:
    assert parts.digest("a", ["b"]) == parts.digest("a", ["b"])
    assert len({parts.digest("a", ["b"]), parts.digest("a", ["c"]), parts.digest(["a"], "b")}) == 3
    assert len(parts.digest()) == 20


@pytest.mark.parametrize("kernels", [[], ["vmlinuz-1", "vmlinuz-2"]])
def test_there_must_be_one_kernel(tmp_path: Path, kernels: list[str]) -> None:
    (tmp_path / "boot").mkdir()
    for name in kernels:
        (tmp_path / "boot" / name).touch()
    with pytest.raises(ImageError, match="kernel is not clear"):
        parts.kernel_release(tmp_path)


def test_the_disk_has_one_partition_behind_the_first_mebibyte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(host_tools, "isolated", list)
    monkeypatch.setattr(host_tools, "run", commands.append)
    parts.make_disk(tmp_path / "root", tmp_path / "disk", 2, "seed")
    with (tmp_path / "disk").open("rb") as file:
        sector = file.read(512)
    assert sector[510:] == b"\x55\xaa"
    assert (sector[446], sector[450]) == (0x80, 0x83)
    assert struct.unpack_from("<II", sector, 454) == (2048, (2 << 30) // 512 - 2048)
    assert (tmp_path / "disk").stat().st_size == 2 << 30
    assert commands[0][-1] == f"{(2 << 20) - 1024}k"


def test_paths_survive_storage() -> None:
    assert parts.decode_path(Path, "/a") == Path("/a")
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b"1", type=Path, dec_hook=parts.decode_path)
