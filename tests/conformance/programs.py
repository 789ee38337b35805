"""Build the programs of this folder with the image's own compiler, and one sample that runs all of them.

The sample is a script with an archive behind it: it runs each group of calls alone and once more under strace, and
gives back on its standard output an archive of what both said.
"""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

from malkoha.machinery import buildroot
from malkoha.machinery.image import Image

SOURCES = Path(__file__).parent
GROUPS = tuple(re.findall(r'\{ "(\w+)", ', (SOURCES / "conform.c").read_text(encoding="ascii")))
_BEHIND = 13
"""Line of the sample at which the archive begins."""
_SCRIPT = f"""#!/bin/bash
folder=/tmp/conformance
mkdir $folder && cd $folder && tail -n +{_BEHIND} "$0" | tar xz && mkdir out
for group in {" ".join(GROUPS)}; do
	mkdir out/$group
	./conform $group >out/$group/said </dev/null
	beside="./strace -f -ff -v -xx -s 8192 -o out/$group/trace"
	LD_LIBRARY_PATH=lib $beside ./conform $group >out/$group/traced </dev/null
done
cd out && exec tar cz .
exit

"""


def sample(image: Image, folder: Path) -> Path:
    """Write the sample into an empty folder; FailedError when the programs cannot be compiled."""
    work = folder / "work"
    work.mkdir()
    for source in (*SOURCES.glob("*.c"), *SOURCES.glob("*.h")):
        (work / source.name).write_bytes(source.read_bytes())
    names = sorted(path.name for path in work.glob("*.c"))
    # below 4 GiB, for the sake of the calls of i386
    buildroot.run(image, work, ["gcc", "-O1", "-Wall", "-static", "-no-pie", "-o", "conform", *names])
    files = {"conform": (work / "conform").read_bytes(), "strace": (image.build_root / "usr/bin/strace").read_bytes()}
    for line in buildroot.run(image, work, ["ldd", "/usr/bin/strace"]):
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        if found and not found[1].startswith("libc."):
            files[f"lib/{found[1]}"] = (image.build_root / found[2].lstrip("/")).read_bytes()
    path = folder / "conform.sh"
    path.write_bytes(_SCRIPT.encode() + archive(files))
    return path


def archive(files: dict[str, bytes]) -> bytes:
    """Pack executable files into a compressed archive."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as writer:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            writer.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def output(packed: bytes) -> dict[str, str]:
    """Unpack what the sample gave back: path -> text; nothing is written to the disk."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as reader:
        for member in reader:
            content = reader.extractfile(member) if member.isfile() else None
            if content is not None:
                found[member.name.removeprefix("./")] = content.read().decode("latin-1")
    return found
