"""Guest images: what they are, where they lie, and how one is built from Debian packages.

In: settings, extra packages and the files that the agent needs in the guest. Out: an ``Image`` below ``home.images``,
in a folder named by the hash of all that went into it; ``names/NAME`` points to it. A folder under such a name is
complete.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from malkoha.config import Guest
from malkoha.errors import ImageError, UsageError
from malkoha.machinery import bootstrap, host_tools, parts, recipe
from malkoha.machinery.disk_files import write_into
from malkoha.machinery.mirror import find_mirror
from malkoha.progress import SILENT, Progress
from malkoha.store import Home

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_ROOM_NEEDED = 4 << 30

Files = Mapping[str, tuple[int, bytes]]


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One guest image, complete and never changed again."""

    name: str
    id: str
    """Hash of all that went into it."""
    folder: Path
    kernel_release: str
    kernel_arguments: str
    """What the boot loader of such a server would pass; the machine may add to it."""
    packages: tuple[str, ...]
    """Names asked for; ``inspect`` tells all that are installed, with their versions."""
    created_at: datetime
    sizes: dict[str, int]
    """Bytes on this host: disk, kernel, initrd, and disk_virtual as the guest sees it."""
    sources: tuple[str, ...]
    """Archives that the packages were taken from, as lines of a sources.list."""
    build_part: str
    """Name of the part with the build root that fits this kernel."""
    guest_part: str

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        """qcow2 with mode 0444; to be used through overlays only."""
        return self.folder / "disk.qcow2"

    @property
    def build_root(self) -> Path:
        """Root file system with SystemTap, compiler and headers of the same kernel."""
        return self.folder.parent / "parts" / self.build_part / "root"

    @property
    def symbols(self) -> Path:
        """The kernel's real System.map."""
        return self.build_root.parent / "System.map"

    @property
    def modules(self) -> Path:
        """Tracer modules compiled for this kernel, one folder for each; shared by all images with the same kernel."""
        return self.build_root.parent / "modules"


def image_id(settings: Guest, packages: Sequence[str], files: Files) -> str:
    """Name the image that these inputs make."""
    contents = sorted((path, mode, content.hex()) for path, (mode, content) in files.items())
    inputs = (parts.recipe_inputs(recipe.SUITE), parts.build_inputs(recipe.SUITE), settings.disk_gb)
    return parts.digest(inputs, _all_packages(settings, packages), contents)


def build(
    home: Home,
    settings: Guest,
    *,
    name: str = "default",
    packages: Sequence[str] = (),
    files: Files | None = None,
    progress: Progress = SILENT,
) -> Image:
    """Return the image of these inputs under ``name``, building what is missing of it.

    ``files`` (path in the guest -> mode, content; a symbolic link has S_IFLNK in its mode and its target as content)
    are put into the guest on top of the packages. Takes milliseconds when the image exists, minutes when not; an
    interrupted build goes on where it was. ImageError or HostError when this host cannot do it, UsageError for a bad
    name.
    """
    _check_name(name)
    bootstrap.check_packages(packages)
    files = files or {}
    wanted = image_id(settings, packages, files)
    if _load(home.images / wanted, name) is None:
        host_tools.need(*bootstrap.TOOLS, "mke2fs", "debugfs", "qemu-img")
        with host_tools.sigterm_interrupts(), _disk_errors(home), _locked(home.images, progress):
            if _load(home.images / wanted, name) is None:
                _build_locked(home.images, wanted, settings, _all_packages(settings, packages), files, progress)
    _point(home.images, name, wanted)
    image = find(home, name)
    if image is None:
        raise ImageError(
            f"the image {name} is damaged", "its image.json cannot be read", "malkoha image remove, then build"
        )
    return image


def find(home: Home, name: str) -> Image | None:
    """Return the image called ``name``, or None when there is none (or none that is complete)."""
    _check_name(name)
    try:
        known = (home.images / "names" / name).readlink().name
    except OSError:
        return None
    return _load(home.images / known, name)


def list_images(home: Home) -> list[Image]:
    """Return all named images, sorted by name."""
    names = home.images / "names"
    found = [find(home, path.name) for path in sorted(names.iterdir())] if names.is_dir() else []
    return [image for image in found if image is not None]


def inspect(home: Home, name: str) -> dict[str, object]:
    """Tell all that is known of an image, for people: its fields, paths, installed packages and compiled modules."""
    image = find(home, name)
    if image is None:
        raise _no_image(name)
    guest = msgspec.json.decode((image.folder / "guest.json").read_bytes(), type=parts.Part)
    known: dict[str, object] = msgspec.to_builtins(image, enc_hook=str)
    known |= {"kernel": str(image.kernel), "initrd": str(image.initrd), "disk": str(image.disk)}
    known |= {"installed": guest.packages, "releases": list(guest.releases)}
    known["modules"] = sorted(path.name for path in image.modules.glob("*/*.ko"))
    return known


def remove(home: Home, name: str) -> int:
    """Forget ``name`` and delete its image unless another name points to it; return the bytes freed.

    Its parts go with it unless another image needs them. Machines that run from it go on: they hold its files open.
    """
    image = find(home, name)
    link = home.images / "names" / name
    if image is None and not link.is_symlink():
        raise _no_image(name)
    with _locked(home.images, SILENT):
        before = shutil.disk_usage(home.images).free
        link.unlink(missing_ok=True)
        if image is not None and image.id not in {each.id for each in list_images(home)}:
            parts.remove_tree(image.folder)
            used = {part for each in _all_images(home) for part in (each.build_part, each.guest_part)}
            for part in {image.build_part, image.guest_part} - used:
                parts.remove_tree(home.images / "parts" / part)
        return max(0, shutil.disk_usage(home.images).free - before)


def _all_images(home: Home) -> list[Image]:
    """Return all images, those that lost their name to a newer one too."""
    found = [_load(folder, "") for folder in home.images.iterdir() if re.fullmatch(r"[0-9a-f]{20}", folder.name)]
    return [image for image in found if image is not None]


def prune(home: Home) -> int:
    """Delete images without a name, parts that no image uses, and what killed builds left; return the bytes freed."""
    if not home.images.is_dir():
        return 0
    with _locked(home.images, SILENT):
        before = shutil.disk_usage(home.images).free
        used = list_images(home)
        kept = {image.id for image in used}
        kept_parts = {part for image in used for part in (image.build_part, image.guest_part)}
        for folder in home.images.iterdir():
            if re.fullmatch(r"[0-9a-f]{20}", folder.name) and folder.name not in kept:
                parts.remove_tree(folder)
        for folder in (home.images / "parts").glob("*"):
            if folder.name not in kept_parts:
                parts.remove_tree(folder)
        return max(0, shutil.disk_usage(home.images).free - before)


def _build_locked(
    images: Path, wanted: str, settings: Guest, packages: Sequence[str], files: Files, progress: Progress
) -> None:
    free = shutil.disk_usage(images).free
    if free < _ROOM_NEEDED:
        why = f"{free / (1 << 30):.1f} GiB are free in {images}, {_ROOM_NEEDED >> 30} are needed"
        raise ImageError("there is not enough room to build an image", why, "free some space or move MALKOHA_HOME")
    mirror = find_mirror(recipe.SUITE, override=settings.mirror)
    with _scratch(images) as scratch:
        workshop = parts.Workshop(images, scratch, mirror, recipe.SUITE, progress)
        guest, builder = workshop.both(packages, settings.disk_gb)
        progress.step("putting the image together")
        made = scratch / "image"
        made.mkdir()
        for part in ("kernel", "initrd"):
            shutil.copyfile(guest / part, made / part)
        shutil.copyfile(guest / "part.json", made / "guest.json")
        write_into(guest / "disk.raw", files, made / "disk.qcow2", scratch)
        known = parts.read(guest)
        assert known is not None
        image = Image(
            name="",
            id=wanted,
            folder=Path(wanted),
            kernel_release=known.kernel_release,
            kernel_arguments=_kernel_arguments(known.kernel_release, guest),
            packages=tuple(packages),
            created_at=datetime.now(UTC),
            sizes={
                "disk": (made / "disk.qcow2").stat().st_size,
                "disk_virtual": settings.disk_gb << 30,
                "kernel": (made / "kernel").stat().st_size,
                "initrd": (made / "initrd").stat().st_size,
            },
            sources=known.sources,
            build_part=builder.name,
            guest_part=guest.name,
        )
        (made / "image.json").write_bytes(msgspec.json.format(msgspec.json.encode(image, enc_hook=str)))
        for path in made.iterdir():
            if path.is_file():
                path.chmod(0o444)
        os.sync()
        final = images / wanted
        if final.exists():  # damaged, or left by a removal that was cut short
            parts.remove_tree(final)
        made.rename(final)


def _kernel_arguments(kernel_release: str, guest: Path) -> str:
    return f"BOOT_IMAGE=/boot/vmlinuz-{kernel_release} root=UUID={parts.filesystem_uuid(guest.name)} ro quiet"


def _load(folder: Path, name: str) -> Image | None:
    try:
        stored = msgspec.json.decode((folder / "image.json").read_bytes(), type=Image, dec_hook=parts.decode_path)
    except (OSError, msgspec.MsgspecError):
        return None
    image = msgspec.structs.replace(stored, name=name, folder=folder)
    complete = all(path.exists() for path in (image.kernel, image.initrd, image.disk, image.symbols))
    return image if complete else None


def _point(images: Path, name: str, wanted: str) -> None:
    link = images / "names" / name
    target = Path("..") / wanted
    if link.is_symlink() and link.readlink() == target:
        return
    link.parent.mkdir(exist_ok=True)
    new = link.with_name(f".{name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def _all_packages(settings: Guest, packages: Sequence[str]) -> list[str]:
    return sorted({*recipe.GUEST_PACKAGES, *settings.packages, *packages})


def _check_name(name: str) -> None:
    if not _NAME.match(name):
        raise UsageError(
            f"{name!r} cannot be the name of an image",
            "a name has up to 63 small letters, digits, dots, dashes and underscores",
        )


def _no_image(name: str) -> ImageError:
    return ImageError(f"there is no image called {name}", "", "malkoha image list shows those that exist")


@contextmanager
def _locked(images: Path, progress: Progress) -> Iterator[None]:
    """Hold the one lock of all builds; whoever comes second is told that it waits."""
    images.mkdir(parents=True, exist_ok=True)
    with (images / "build.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.step("waiting for another build of an image to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _scratch(images: Path) -> Iterator[Path]:
    """Give an empty folder that is deleted at the end, after deleting those of builds that were killed."""
    for stale in images.glob("tmp-*"):
        parts.remove_tree(stale)
    folder = Path(tempfile.mkdtemp(prefix="tmp-", dir=images))
    folder.chmod(stat.S_IRWXU | stat.S_IXGRP | stat.S_IXOTH)
    try:
        yield folder
    finally:
        parts.remove_tree(folder)


@contextmanager
def _disk_errors(home: Home) -> Iterator[None]:
    """Say in one line when the host's disk is full or may not be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ImageError("the image could not be built", "the disk is full", "free some gigabytes") from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            why = f"{error.filename or home.images}: {error.strerror}"
            raise ImageError("the image could not be built", why, "check who owns MALKOHA_HOME") from error
        raise
