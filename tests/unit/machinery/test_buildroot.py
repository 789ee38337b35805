from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from malkoha.errors import ImageError
from malkoha.machinery import buildroot, host_tools, parts
from malkoha.machinery.image import Image

SCRIPT = "probe begin { }"


class Stap:
    """Stands in for stap in its namespaces: writes a module into the work folder it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[list[str]] = []
        self.shell = "echo 'Pass 1: parsed user script'; echo 'Pass 4: compiled C'; echo module > $WORK/$NAME.ko"
        monkeypatch.setattr(host_tools, "isolated", self.isolated)
        monkeypatch.setattr(host_tools, "need", lambda *tools: None)

    def isolated(self, argv: list[str]) -> list[str]:
        self.commands.append(argv)
        name = argv[argv.index("-m") + 1] if "-m" in argv else ""
        work = argv[5] if len(argv) > 5 else ""
        return ["env", f"WORK={work}", f"NAME={name}", "sh", "-c", self.shell]


@pytest.fixture
def stap(monkeypatch: pytest.MonkeyPatch) -> Stap:
    return Stap(monkeypatch)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    made = Image(
        name="default",
        id="0" * 20,
        folder=tmp_path / "images" / ("0" * 20),
        kernel_release="6.12.1-cloud",
        kernel_arguments="",
        packages=(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        sizes={},
        sources=(),
        build_part="build-x",
        guest_part="guest-x",
    )
    made.folder.mkdir(parents=True)
    made.build_root.mkdir(parents=True)
    return made


def test_a_module_is_compiled_once(image: Image, stap: Stap) -> None:
    first = buildroot.compile_module(image, name="net", script=SCRIPT, options=["-D", "X=1"])
    assert first.path.read_text() == "module\n"
    assert (first.size, first.name) == (7, "net")
    assert buildroot.compile_module(image, name="net", script=SCRIPT, options=["-D", "X=1"]) == first
    assert len(stap.commands) == 1
    command = stap.commands[0]
    assert command[command.index("stap") :] == [
        *("stap", "-g", "--suppress-time-limits", "-p4", "-v", "-r", "6.12.1-cloud"),
        *("-D", "X=1", "-m", "net", "/tmp/net.stp"),
    ]
    assert command[6] == ""
    assert [path for path in image.modules.iterdir() if path.is_dir()] == [first.path.parent]


def test_script_options_name_and_symbols_make_another_module(image: Image, stap: Stap) -> None:
    made = {
        buildroot.compile_module(image, name="net", script=SCRIPT).id,
        buildroot.compile_module(image, name="nat", script=SCRIPT).id,
        buildroot.compile_module(image, name="net", script=SCRIPT + " ").id,
        buildroot.compile_module(image, name="net", script=SCRIPT, options=["-v"]).id,
        buildroot.compile_module(image, name="net", script=SCRIPT, needs_symbols=True).id,
    }
    assert len(made) == 5
    assert stap.commands[-1][6] == str(image.symbols)


def test_the_first_complaint_is_told_and_the_rest_kept(image: Image, stap: Stap) -> None:
    stap.shell = "echo 'Pass 1: parsed'; echo 'semantic error: no such probe'; echo 'Pass 2: analysis failed'; exit 1"
    with pytest.raises(ImageError, match=r"net could not be compiled: semantic error: no such probe.*net\.log"):
        buildroot.compile_module(image, name="net", script=SCRIPT)
    assert (image.modules / "net.log").read_text().count("\n") == 3
    assert not [path for path in image.modules.iterdir() if path.is_dir()]


def test_a_full_disk_is_told(image: Image, stap: Stap) -> None:
    stap.shell = "echo 'x.c: error: writing: No space left on device'; exit 1"
    with pytest.raises(ImageError, match="the disk is full"):
        buildroot.compile_module(image, name="net", script=SCRIPT)


def test_an_interrupt_leaves_nothing(image: Image, stap: Stap) -> None:
    class Interrupt:
        def step(self, title: str, total: float | None = None) -> None:
            del title, total

        def advance(self, amount: float = 1, note: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        buildroot.compile_module(image, name="net", script=SCRIPT, progress=Interrupt())
    assert not [path for path in image.modules.iterdir() if path.is_dir()]


def test_a_lost_build_root_is_told(image: Image, stap: Stap) -> None:
    image.build_root.rmdir()
    with pytest.raises(ImageError, match="build root of the image is gone"):
        buildroot.compile_module(image, name="net", script=SCRIPT)


@pytest.mark.parametrize("name", ["", "Net", "a-b", "1a", "x" * 56, "../x", "a\n"])
def test_odd_module_names_are_refused(image: Image, name: str) -> None:
    with pytest.raises(ImageError, match="name of a kernel module"):
        buildroot.compile_module(image, name=name, script=SCRIPT)


def test_the_loader_brings_what_the_guest_lacks(image: Image, stap: Stap) -> None:
    root = image.build_root
    for path in ("usr/bin/staprun", "usr/lib/systemtap/stapio", "lib/libown.so.1", "lib/libc.so.6"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    owners = root / "var/lib/dpkg/info"
    owners.mkdir(parents=True)
    (owners / "libc6:amd64.list").write_text("/usr/lib/libc.so.6\n")
    (owners / "libown1.list").write_text("/lib/libown.so.1\n")
    guest = parts.Part(kernel_release="6", packages={"libc6": "2.41"}, sources=(), releases=())
    (image.folder / "guest.json").write_bytes(msgspec.json.encode(guest))
    stap.shell = "printf '\\tlibown.so.1 => /lib/libown.so.1 (0x1)\\n\\tlibc.so.6 => /lib/libc.so.6 (0x2)\\n'"
    found = buildroot.loader_files(image)
    assert sorted(found) == ["lib/libown.so.1", "stapio", "staprun"]
    assert found["staprun"] == b"usr/bin/staprun"
    stap.shell = "echo 'chroot: failed'; exit 127"
    with pytest.raises(ImageError, match="chroot: failed"):
        buildroot.loader_files(image)
