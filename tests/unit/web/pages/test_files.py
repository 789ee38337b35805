from __future__ import annotations

import io

import pytest
import pyzipper
from fastapi.testclient import TestClient

from malkoha.tasks import Tasks
from malkoha.web.packing import PASSWORD
from malkoha.web.pages.files import BYTES, TEXT
from tests.pages import SCRIPT, dropped, reported


@pytest.fixture
def client_with_report(client: TestClient, tasks: Tasks) -> TestClient:
    reported(tasks, 1, {"info": {}}, parquet=False)
    return client


def test_text_is_shown_as_text_and_bytes_as_bytes(client_with_report: TestClient, tasks: Tasks) -> None:
    text = dropped(tasks, 1, "<script>é\u202e\n".encode() * 3)
    data = dropped(tasks, 1, b"\x7fELF\0\1<b>" + bytes(range(256)))
    shown = client_with_report.get(f"/analysis/1/files/{text}").text
    assert '&lt;script&gt;é<i class="esc">\\u202e</i>\n&lt;' in shown
    shown = client_with_report.get(f"/analysis/1/files/{data}").text
    assert "00000000</span>  7f 45 4c 46 00 01 3c 62  3e 00" in shown
    assert ".ELF..&lt;b&gt;" in shown
    shown = client_with_report.get(f"/analysis/1/files/{text}?view=hex").text
    assert "3c 73 63 72 69 70 74 3e" in shown


@pytest.mark.parametrize(("view", "step"), [("hex", BYTES), ("text", TEXT)])
def test_large_files_are_shown_by_pieces(client_with_report: TestClient, tasks: Tasks, view: str, step: int) -> None:
    name = dropped(tasks, 1, b"a" * (3 * step - 5))
    place = f"/analysis/1/files/{name}?view={view}"
    first = client_with_report.get(place).text
    assert f"0 to {step:,} of {3 * step - 5:,} bytes" in first
    assert ("Next" in first, "Before" in first) == (True, False)
    last = client_with_report.get(f"{place}&offset={2 * step + 7}").text
    assert f"{2 * step:,} to {3 * step - 5:,}" in last
    assert ("Next" in last, "Before" in last) == (False, True)
    assert client_with_report.get(f"{place}&offset={1 << 49}").status_code == 200


def test_an_empty_file(client_with_report: TestClient, tasks: Tasks) -> None:
    assert "0 to 0 of 0 bytes" in client_with_report.get(f"/analysis/1/files/{dropped(tasks, 1, b'')}").text


def test_what_is_handed_out_is_never_shown_by_a_browser(client_with_report: TestClient, tasks: Tasks) -> None:
    name = dropped(tasks, 1, b"<script>alert(1)</script>")
    answer = client_with_report.get(f"/analysis/1/files/{name}/raw")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.bin"'
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("which", ["sample", "dropped"])
def test_archives_are_encrypted(client_with_report: TestClient, tasks: Tasks, which: str) -> None:
    name = dropped(tasks, 1, SCRIPT)
    place = "/analysis/1/sample.zip" if which == "sample" else f"/analysis/1/files/{name}/zip"
    answer = client_with_report.get(place)
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}.zip"'
    with pyzipper.AESZipFile(io.BytesIO(answer.content)) as archive:
        (member,) = archive.infolist()
        with pytest.raises(RuntimeError):
            archive.read(member)
        archive.setpassword(PASSWORD)
        assert archive.read(member) == SCRIPT


@pytest.mark.parametrize("name", ["report.json", "..%2ftask.json", "0" * 64, "A" * 64, "%2fetc%2fpasswd"])
@pytest.mark.parametrize("end", ["", "/raw", "/zip"])
def test_nothing_else_can_be_had(client_with_report: TestClient, name: str, end: str) -> None:
    assert client_with_report.get(f"/analysis/1/files/{name}{end}").status_code == 404


def test_a_link_is_not_followed(client_with_report: TestClient, tasks: Tasks) -> None:
    folder = tasks.home.analysis(1).dropped
    folder.mkdir()
    (folder / ("0" * 64)).symlink_to("/etc/passwd")
    assert client_with_report.get(f"/analysis/1/files/{'0' * 64}/raw").status_code == 404
