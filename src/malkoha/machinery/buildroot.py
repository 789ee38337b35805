"""Compiles tracer modules for an image, and takes out of its build root what loads them: a script in, a module out.

The build root is a folder with SystemTap, a compiler and the headers of the guest's kernel, so that it works on after
the mirror has moved on. Each compilation sees it in namespaces of its own, several at a time.
"""

from __future__ import annotations

import fcntl
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from malkoha.errors import ImageError
from malkoha.machinery import host_tools, parts
from malkoha.machinery.image import Image
from malkoha.progress import SILENT, Progress

_NAME = re.compile(r"[a-z][a-z0-9_]{0,54}\Z")
_PASS = re.compile(r"Pass ([1-4]): (\w+)")
_COMPLAINT = re.compile(r"(semantic|parse) error|: (fatal )?error:|^ERROR|failed", re.IGNORECASE)
_STAP = ("stap", "-g", "--suppress-time-limits", "-p4", "-v")
_TOOLS = ("unshare", "setpriv", "chroot", "mount")
_LOADERS = {"staprun": "usr/bin/staprun", "stapio": "usr/lib/systemtap/stapio"}

_ENTER = """
root=$1 work=$2 symbols=$3 release=$4
shift 4
mount --bind "$work" "$root/tmp" || exit 1
mount -t proc proc "$root/proc" || exit 1
for device in null zero urandom; do
    [ -e "$root/dev/$device" ] || : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device" || exit 1
done
[ -z "$symbols" ] || mount --bind "$symbols" "$root/boot/System.map-$release" || exit 1
exec chroot "$root" env -i -C /tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
"""


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """One compiled tracer module."""

    name: str
    id: str
    """Hash of script, options and name; the module is kept under it."""
    path: Path
    size: int
    compile_s: float
    """How long the compilation took when it was made; a kept module costs nothing."""


def compile_module(
    image: Image,
    *,
    name: str,
    script: str,
    options: Sequence[str] = (),
    needs_symbols: bool = False,
    progress: Progress = SILENT,
) -> Module:
    """Return the module ``name`` of a SystemTap ``script`` for the image's kernel, compiling it unless it is kept.

    ``options`` go to stap(1) as they are. ``needs_symbols`` gives it the kernel's symbol table, which probes on
    functions by name need. ImageError when it does not compile; then modules/NAME.log has all that stap said.
    """
    if not _NAME.match(name):
        raise ImageError(f"{name!r} cannot be the name of a kernel module", "it has small letters, digits and _ only")
    known = parts.digest(name, script, list(options), needs_symbols, _STAP)
    folder = image.modules / known
    kept = _load(folder)
    if kept is not None:
        return kept
    host_tools.need(*_TOOLS)
    if not image.build_root.is_dir():
        raise ImageError(
            "the build root of the image is gone",
            str(image.build_root),
            f"malkoha image remove {image.name}, then malkoha image build",
        )
    with host_tools.sigterm_interrupts(), _locked(image, known, progress) as work:
        kept = _load(folder)
        if kept is not None:
            return kept
        started = time.monotonic()
        (work / f"{name}.stp").write_text(script, encoding="utf-8")
        command = [*_STAP, "-r", image.kernel_release, *options, "-m", name, f"/tmp/{name}.stp"]  # noqa: S108
        _compile(image, work, command, name, image.symbols if needs_symbols else None, progress)
        return _keep(work, folder, name, known, time.monotonic() - started)


def run(
    image: Image,
    work: Path,
    command: Sequence[str],
    *,
    symbols: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> list[str]:
    """Run a command in the build root, where ``work`` is its /tmp, and return its output lines.

    ``symbols`` takes the place of the kernel's System.map. FailedError of host_tools when the command ends badly.
    """
    inside = ["sh", "-c", _ENTER, "sh", str(image.build_root), str(work), str(symbols or ""), image.kernel_release]
    return host_tools.run(host_tools.isolated([*inside, *command]), on_line=on_line)


def loader_files(image: Image) -> dict[str, bytes]:
    """Return what loads a module in the guest: ``staprun``, ``stapio`` and ``lib/NAME`` for libraries the guest lacks.

    To be put into one folder F of the guest and run as ``F/staprun`` with LD_LIBRARY_PATH=F/lib and
    SYSTEMTAP_STAPIO=F/stapio in the environment (staprun.8), as root. Some 4 MB.
    """
    root = image.build_root
    guest = msgspec.json.decode((image.folder / "guest.json").read_bytes(), type=parts.Part).packages
    paths = [f"/{path}" for path in _LOADERS.values()]
    try:
        lines = host_tools.run(host_tools.isolated(["chroot", str(root), "ldd", *paths]))
    except host_tools.FailedError as failed:
        raise ImageError("the loader of tracer modules is not usable", (failed.lines or [""])[-1]) from failed
    found = {name: (root / path).read_bytes() for name, path in _LOADERS.items()}
    owners = _owners(root)
    for name, path in sorted({(line.split()[0], line.split()[2]) for line in lines if " => /" in line}):
        plain = path.removeprefix("/usr")
        if owners.get(plain) not in guest:
            found[f"lib/{name}"] = (root / path.lstrip("/")).read_bytes()
    return found


def _owners(root: Path) -> dict[str, str]:
    """Map each library of ``root``, without the leading /usr, to the package that it came with."""
    owners = {}
    for listing in (root / "var/lib/dpkg/info").glob("*.list"):
        package = listing.stem.partition(":")[0]
        for path in listing.read_text(encoding="utf-8").splitlines():
            if ".so" in path:
                owners[path.removeprefix("/usr")] = package
    return owners


def _compile(image: Image, work: Path, command: list[str], name: str, symbols: Path | None, progress: Progress) -> None:
    said: list[str] = []

    def listen(line: str) -> None:
        said.append(line)
        reached = _PASS.match(line)
        if reached:
            progress.advance(1, f"pass {reached[1]}: {reached[2]}")

    progress.step(f"compiling the tracer module {name}", total=4)
    try:
        run(image, work, command, symbols=symbols, on_line=listen)
    except host_tools.FailedError as failed:
        log = image.modules / f"{name}.log"
        log.write_text("".join(f"{line}\n" for line in said), encoding="utf-8")
        text = "\n".join(failed.lines)
        if "No space left on device" in text:
            raise ImageError(
                f"the module {name} could not be compiled", "the disk is full", "free some space"
            ) from failed
        complaints = [line for line in failed.lines if _COMPLAINT.search(line)]
        why = (complaints or failed.lines[-1:] or [f"stap ended with status {failed.status}"])[0]
        raise ImageError(
            f"the module {name} could not be compiled", why[:200], f"all that stap said is in {log}"
        ) from failed


def _keep(work: Path, folder: Path, name: str, known: str, took_s: float) -> Module:
    made = work / "kept"
    made.mkdir()
    (work / f"{name}.ko").rename(made / f"{name}.ko")
    module = Module(
        name=name,
        id=known,
        path=Path(f"{name}.ko"),
        size=(made / f"{name}.ko").stat().st_size,
        compile_s=round(took_s, 1),
    )
    (made / "module.json").write_bytes(msgspec.json.encode(module, enc_hook=str))
    made.rename(folder)
    return msgspec.structs.replace(module, path=folder / f"{name}.ko")


def _load(folder: Path) -> Module | None:
    try:
        stored = msgspec.json.decode((folder / "module.json").read_bytes(), type=Module, dec_hook=parts.decode_path)
    except (OSError, msgspec.MsgspecError):
        return None
    module = msgspec.structs.replace(stored, path=folder / stored.path.name)
    return module if module.path.exists() else None


@contextmanager
def _locked(image: Image, known: str, progress: Progress) -> Iterator[Path]:
    """Give an empty folder for the work on one module; a second worker waits and then finds it done."""
    image.modules.mkdir(exist_ok=True)
    work = image.modules / f".{known}"
    with (image.modules / f".{known}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.step("waiting for another process that compiles the same module")
            fcntl.flock(file, fcntl.LOCK_EX)
        if work.exists():
            parts.remove_tree(work)
        work.mkdir(mode=0o755)
        try:
            yield work
        finally:
            parts.remove_tree(work)
