import io
import tarfile
from pathlib import Path

import pytest

from malkoha.errors import ImageError, UsageError
from malkoha.machinery import bootstrap, host_tools
from malkoha.machinery.mirror import Mirror
from malkoha.progress import SILENT


@pytest.mark.parametrize("name", ["", "a", "Foo", "a b", "-o", "x;y", "../x", "a\n", "libc6:i386"])
def test_what_is_no_package_name_is_refused_at_once(name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a Debian package"):
        bootstrap.check_packages(["nginx", name])


def test_package_names_are_accepted() -> None:
    bootstrap.check_packages(["g++", "libc6-i386", "php8.2-fpm"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("E: Unable to locate package nosuch", "no such package: nosuch"),
        ("E: Package 'gone' has no installation candidate", "no such package: gone"),
        ("tar: x: Cannot write: No space left on device", "the disk is full"),
        ("E: Release file for http://m.test/x is expired (invalid since 3d).", "Check-Valid-Until"),
        ("W: GPG error: http://m.test x InRelease: NO_PUBKEY 0123456789", "debian-archive-keyring"),
        ("Err:1 http://m.test x InRelease  Could not resolve 'm.test'", "guest.mirror"),
        ("E: Failed to fetch http://m.test/x  404  Not Found", "Failed to fetch"),
        (" a : Conflicts: b\nE: unmet dependencies", "see /log"),
        ("E: something new", "E: something new"),
    ],
)
def test_complaints_become_one_line_with_the_mend(line: str, expected: str) -> None:
    error = bootstrap.explain("guest", ["I: before", *line.split("\n"), "I: after"], Path("/log"))
    assert isinstance(error, ImageError)
    assert expected in str(error)
    assert "\n" not in str(error)
    assert str(error).startswith("the guest could not be built: ")


def test_silence_is_an_error_too() -> None:
    assert "no output" in str(bootstrap.explain("guest", [], Path("/log")))


def test_progress_reaches_one_hundred_and_never_falls() -> None:
    meter = bootstrap._Meter("guest")
    lines = ["I: running apt-get update...", "  2 newly installed, 0 to remove"]
    lines += [f"Get:{n} http://m.test/d trixie/main amd64 pkg{n} amd64 1 [3 kB]" for n in range(300)]
    lines += [f"Unpacking pkg{n} (1) ..." for n in range(300)] + [f"Setting up pkg{n} (1) ..." for n in range(400)]
    gains = [meter.read(line) for line in [*lines, "I: success in 50 seconds"]]
    assert all(gained >= 0 for gained, _ in gains)
    assert sum(gained for gained, _ in gains) == pytest.approx(100)
    assert gains[2][1] == "guest: fetching pkg0"
    assert gains[302][1] == "guest: unpacking pkg0"


def test_overlay_packs_files_of_root_with_their_modes() -> None:
    packed = bootstrap.overlay({"/etc/b": (0o600, b"two"), "/etc/a": (0o755, b"one")})
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        entries = archive.getmembers()
        assert [(entry.name, entry.mode, entry.uid) for entry in entries] == [("etc/a", 0o755, 0), ("etc/b", 0o600, 0)]
        content = archive.extractfile("etc/b")
        assert content is not None
        assert content.read() == b"two"


def _root(tmp_path: Path) -> bootstrap.Root:
    return bootstrap.Root(
        name="guest", folder=tmp_path / "guest", suite="trixie", variant="apt", packages=["bash"], script="true"
    )


def test_the_sources_are_private_and_the_hosts_options_temporary(tmp_path: Path) -> None:
    command = bootstrap._command(_root(tmp_path), Mirror(("deb http://a:b@m.test/d trixie main",)), tmp_path)
    assert command[-3:] == ["trixie", str(tmp_path / "guest"), str(tmp_path / "guest.list")]
    assert (tmp_path / "guest.list").stat().st_mode & 0o777 == 0o600
    hooks = [word for word in command if "hook=" in word]
    assert hooks[0].startswith("--setup-hook=")
    assert hooks[0].endswith('"$1"/etc/apt/apt.conf.d/00host')
    assert '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/00host' in hooks
    assert not any("a:b@" in word for word in command)


def _fake_tools(monkeypatch: pytest.MonkeyPatch, keyring: Path, shell: str) -> None:
    keyring.touch()
    monkeypatch.setattr(bootstrap, "KEYRING", keyring)
    monkeypatch.setattr(host_tools, "need", lambda *tools: None)
    monkeypatch.setattr(host_tools, "isolated", lambda argv: ["sh", "-c", shell])


def test_a_failing_tool_is_explained_and_its_output_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_tools(monkeypatch, tmp_path / "keys", "echo 'E: Unable to locate package nosuch'; exit 7")
    log = tmp_path / "log"
    with pytest.raises(ImageError, match="no such package: nosuch"):
        bootstrap.make([_root(tmp_path)], Mirror(()), tmp_path, SILENT, log=log)
    assert log.read_text() == "guest: E: Unable to locate package nosuch\n"
    assert log.stat().st_mode & 0o777 == 0o600


def test_missing_keys_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_tools(monkeypatch, tmp_path / "keys", "true")
    (tmp_path / "keys").unlink()
    with pytest.raises(ImageError, match="apt-get install debian-archive-keyring"):
        bootstrap.make([_root(tmp_path)], Mirror(()), tmp_path, SILENT, log=tmp_path / "log")
