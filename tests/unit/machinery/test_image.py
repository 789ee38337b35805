import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from malkoha.config import Guest
from malkoha.errors import HostError, ImageError, UsageError
from malkoha.machinery import host_tools, image, parts
from malkoha.machinery.mirror import Mirror
from malkoha.progress import SILENT
from malkoha.store import Home

KERNEL = "6.12.1-cloud"


class Factory:
    """Stands in for the workshop: parts appear at once, and it is counted how often."""

    def __init__(self) -> None:
        self.built = 0
        self.fail: BaseException | None = None

    def __call__(self, images: Path, scratch: Path, mirror: Mirror, suite: str, progress: object) -> SimpleNamespace:
        def both(packages: list[str], disk_gb: int) -> tuple[Path, Path]:
            self.built += 1
            (scratch / "half").write_text("half-built")
            if self.fail is not None:
                raise self.fail
            guest, build = images / "parts" / f"guest-{parts.digest(packages)}", images / "parts" / f"build-{KERNEL}"
            known = parts.Part(kernel_release=KERNEL, packages={"bash": "5.2"}, sources=mirror.shown, releases=())
            for folder in (guest, build):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "part.json").write_bytes(msgspec.json.encode(known))
                for name in ("kernel", "initrd", "disk.raw", "System.map"):
                    (folder / name).write_text(name)
            return guest, build

        return SimpleNamespace(both=both)


def _write(raw: Path, files: Mapping[str, tuple[int, bytes]], qcow2: Path, scratch: Path) -> None:
    qcow2.write_text(f"{raw.read_text()} {sorted(files)}")


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Factory:
    made = Factory()
    monkeypatch.setattr(parts, "Workshop", made)
    monkeypatch.setattr(image, "write_into", _write)
    monkeypatch.setattr(image, "find_mirror", lambda suite, override: Mirror(("deb http://a:b@m.test/d trixie main",)))
    monkeypatch.setattr(host_tools, "need", lambda *tools: None)
    return made


def test_an_image_is_built_once(home: Home, factory: Factory) -> None:
    first = image.build(home, Guest())
    assert image.build(home, Guest()) == first
    assert factory.built == 1
    assert image.find(home, "default") == first
    assert first.kernel.read_text() == "kernel"
    assert first.disk.stat().st_mode & 0o777 == 0o444
    assert first.folder.name == first.id
    assert first.kernel_release in first.kernel_arguments
    assert first.sources == ("deb http://m.test/d trixie main",)


def test_every_input_changes_the_id() -> None:
    ids = {
        image.image_id(Guest(), [], {}),
        image.image_id(Guest(), ["nginx"], {}),
        image.image_id(Guest(packages=("redis",)), [], {}),
        image.image_id(Guest(disk_gb=9), [], {}),
        image.image_id(Guest(), [], {"/a": (0o644, b"")}),
        image.image_id(Guest(), [], {"/a": (0o755, b"")}),
        image.image_id(Guest(), [], {"/a": (0o644, b"x")}),
    }
    assert len(ids) == 7
    assert image.image_id(Guest(packages=("nginx",)), [], {}) in ids
    assert image.image_id(Guest(mirror="http://other.test"), [], {}) in ids


def test_names_point_to_images(home: Home, factory: Factory) -> None:
    one = image.build(home, Guest(), name="web", packages=["nginx"])
    two = image.build(home, Guest(), name="copy", packages=["nginx"])
    assert (one.id, one.name, two.name) == (two.id, "web", "copy")
    assert [each.name for each in image.list_images(home)] == ["copy", "web"]
    image.build(home, Guest(), name="web")
    found = image.find(home, "web")
    assert found is not None
    assert found.id != one.id


def test_removing_the_last_name_deletes_the_image(home: Home, factory: Factory) -> None:
    one = image.build(home, Guest(), name="one")
    image.build(home, Guest(), name="two")
    image.remove(home, "one")
    assert image.find(home, "one") is None
    assert one.disk.exists()
    image.remove(home, "two")
    assert not one.folder.exists()
    assert list((home.images / "parts").iterdir()) == []
    with pytest.raises(ImageError, match="no image called two"):
        image.remove(home, "two")


def test_removing_spares_what_other_images_need(home: Home, factory: Factory) -> None:
    replaced = image.build(home, Guest())
    image.build(home, Guest(), files={"/a": (0o644, b"")})
    other = image.build(home, Guest(), name="other", packages=["nginx"])
    image.remove(home, "other")
    assert not other.folder.exists()
    assert not (home.images / "parts" / other.guest_part).exists()
    assert replaced.disk.exists()
    assert {path.name for path in (home.images / "parts").iterdir()} == {replaced.build_part, replaced.guest_part}


def test_pruning_keeps_what_is_named(home: Home, factory: Factory) -> None:
    kept = image.build(home, Guest())
    stray = home.images / ("0" * 20)
    stray.mkdir()
    (home.images / "parts" / "guest-old").mkdir()
    image.prune(home)
    assert not stray.exists()
    assert {path.name for path in (home.images / "parts").iterdir()} == {kept.build_part, kept.guest_part}
    assert image.find(home, "default") == kept


def test_pruning_nothing_is_fine(home: Home) -> None:
    assert image.prune(home) == 0
    assert image.list_images(home) == []
    assert image.find(home, "default") is None


def test_a_damaged_image_is_not_found_and_built_again(home: Home, factory: Factory) -> None:
    made = image.build(home, Guest())
    made.disk.unlink()
    assert image.find(home, "default") is None
    assert image.build(home, Guest()).disk.exists()
    (made.folder / "image.json").chmod(0o644)
    (made.folder / "image.json").write_text("{}")
    assert image.list_images(home) == []
    assert image.build(home, Guest()).id == made.id
    assert factory.built == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ImageError("no")])
def test_nothing_half_built_stays(home: Home, factory: Factory, error: BaseException) -> None:
    factory.fail = error
    with pytest.raises(type(error)):
        image.build(home, Guest())
    assert {path.name for path in home.images.iterdir()} <= {"build.lock", "parts", "names"}
    assert image.find(home, "default") is None


def test_what_a_killed_build_left_is_removed(home: Home, factory: Factory) -> None:
    stale = home.images / "tmp-killed"
    stale.mkdir(parents=True)
    (stale / "file").touch()
    image.build(home, Guest())
    assert not stale.exists()


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "check who owns MALKOHA_HOME")]
)
def test_a_disk_that_takes_nothing_is_one_line(home: Home, factory: Factory, number: int, expected: str) -> None:
    factory.fail = OSError(number, os.strerror(number), "/x")
    with pytest.raises(ImageError, match=expected):
        image.build(home, Guest())


def test_room_is_checked_before_anything_is_fetched(
    home: Home, factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 30))
    with pytest.raises(HostError, match=r"1\.0 GiB are free"):
        image.build(home, Guest())
    assert factory.built == 0


def test_the_second_builder_waits_and_says_so(home: Home, factory: Factory) -> None:
    steps: list[str] = []
    told = threading.Event()

    class Told:
        def step(self, title: str, total: float | None = None) -> None:
            steps.append(title)
            told.set()

        def advance(self, amount: float = 1, note: str = "") -> None:
            del amount, note

    home.images.mkdir(parents=True)
    with (home.images / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=image.build, args=(home, Guest()), kwargs={"progress": Told()})
        thread.start()
        assert told.wait(10)
        assert factory.built == 0
    thread.join(10)
    assert steps[0] == "waiting for another build of an image to end"
    assert image.find(home, "default") is not None


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".x", "x" * 64, "a\n"])
def test_odd_names_are_refused(home: Home, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        image.build(home, Guest(), name=name, progress=SILENT)
    with pytest.raises(UsageError):
        image.find(home, name)


def test_inspect_tells_all(home: Home, factory: Factory) -> None:
    made = image.build(home, Guest())
    (made.modules / "abc").mkdir(parents=True)
    (made.modules / "abc" / "tracer.ko").touch()
    known = image.inspect(home, "default")
    assert known["id"] == made.id
    assert known["installed"] == {"bash": "5.2"}
    assert known["modules"] == ["tracer.ko"]
    assert known["disk"] == str(made.disk)
    with pytest.raises(ImageError, match="malkoha image list"):
        image.inspect(home, "other")
