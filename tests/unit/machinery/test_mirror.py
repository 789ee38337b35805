from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.errors import HostError
from malkoha.machinery import mirror

DEBIAN = 'ID=debian\nVERSION_CODENAME="bookworm"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
ONE_LINE = """
# deb http://old.test/debian bookworm main
deb http://mirror.test/debian bookworm main contrib  # ours
deb [arch=amd64 signed-by=/etc/debian-archive-keyring.gpg] http://mirror.test/debian bookworm-updates main
deb http://mirror.test/debian-security bookworm-security main
deb-src http://mirror.test/debian bookworm main
deb [signed-by=/usr/share/keyrings/vendor.gpg] http://vendor.test/apt bookworm main
deb http://vendor.test/other vendor-bookworm main
deb http://mirror.test/debian bookworm-backports main
deb cdrom:[Debian 12]/ bookworm main
"""
DEB822 = """Types: deb deb-src
# a note
URIs: http://one.test/debian
 http://two.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://key.test/apt
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abcdef
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    return folder


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    path = tmp_path / "os-release"
    path.write_text(DEBIAN)
    return path


def test_the_hosts_archives_serve_the_guests_suite(apt: Path, debian: Path) -> None:
    (apt / "sources.list").write_text(ONE_LINE)
    found = mirror.find_mirror("trixie", apt=apt, os_release=debian)
    assert found.lines == (
        "deb http://mirror.test/debian trixie main",
        "deb http://mirror.test/debian trixie-updates main",
        "deb http://mirror.test/debian-security trixie-security main",
    )


def test_deb822_sources_are_read_with_all_their_uris(apt: Path, debian: Path) -> None:
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert mirror.find_mirror("trixie", apt=apt, os_release=debian).lines == (
        "deb http://one.test/debian trixie main",
        "deb http://one.test/debian trixie-updates main",
        "deb http://two.test/debian trixie main",
        "deb http://two.test/debian trixie-updates main",
    )


def test_old_names_of_the_security_suite_are_known(apt: Path, debian: Path) -> None:
    (apt / "sources.list").write_text("deb http://m.test/d stable main\ndeb http://m.test/s stable/updates main\n")
    lines = mirror.find_mirror("trixie", apt=apt, os_release=debian).lines
    assert lines == ("deb http://m.test/d trixie main", "deb http://m.test/s trixie-security main")


def test_other_distributions_need_the_setting(apt: Path, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('ID=ubuntu\nID_LIKE=debian\nPRETTY_NAME="Ubuntu 24.04"\n')
    (apt / "sources.list").write_text("deb http://m.test/ubuntu noble main\n")
    with pytest.raises(HostError, match=r"Ubuntu 24\.04.*guest\.mirror") as caught:
        mirror.find_mirror("trixie", apt=apt, os_release=release)
    assert caught.value.exit_status == 3
    found = mirror.find_mirror("trixie", override="http://m.test/debian", apt=apt, os_release=release)
    assert found.lines == ("deb http://m.test/debian trixie main",)


def test_the_setting_can_name_the_security_archive_too() -> None:
    found = mirror.find_mirror("trixie", override="http://m.test/debian http://m.test/security")
    assert found.lines == (
        "deb http://m.test/debian trixie main",
        "deb http://m.test/debian trixie-updates main",
        "deb http://m.test/security trixie-security main",
    )


@pytest.mark.parametrize("override", ["m.test/debian", "http://a.test [trusted=yes]", "http://a http://b http://c"])
def test_a_setting_that_is_no_uri_is_refused(override: str) -> None:
    with pytest.raises(HostError, match=r"guest\.mirror is not understood"):
        mirror.find_mirror("trixie", override=override)


def test_a_host_without_debian_sources_is_told_so(apt: Path, debian: Path) -> None:
    with pytest.raises(HostError, match="no Debian archive stands in"):
        mirror.find_mirror("trixie", apt=apt, os_release=debian)


def test_passwords_are_used_but_not_shown() -> None:
    found = mirror.find_mirror("trixie", override="https://ann:secret@m.test:8080/debian")
    assert found.lines == ("deb https://ann:secret@m.test:8080/debian trixie main",)
    assert found.shown == ("deb https://m.test:8080/debian trixie main",)


def test_only_ways_to_a_mirror_are_taken_from_apts_options(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text(
        'APT::Default-Release "bookworm";\nAcquire::http::Proxy "http://proxy.test:3142";\n'
        'Acquire::Languages "de";\nAcquire::Check-Valid-Until "false";\nDPkg::Post-Invoke:: "rm -rf /";\n'
        'Acquire::httpsomething "x";\n'
    )
    assert mirror.apt_options(("cat", str(dump)))[:2] == [
        'Acquire::http::Proxy "http://proxy.test:3142";',
        'Acquire::Check-Valid-Until "false";',
    ]
    assert len(mirror.apt_options(("cat", str(dump)))) == 4


@given(st.text(max_size=400))
def test_no_sources_file_breaks_the_reader(text: str) -> None:
    for source in [*mirror._one_line_sources(text), *mirror._deb822_sources(text)]:
        assert source.uri
