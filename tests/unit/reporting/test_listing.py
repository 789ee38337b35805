"""The lists of the page."""

from __future__ import annotations

from malkoha.reporting import listing


def test_lists_have_a_head_and_a_rest_and_tell_the_true_number() -> None:
    paths = [f"/tmp/{number}" for number in range(6000)]
    files = listing.touched({"file_written": paths}, {})[0]
    entry = files["lists"][0]
    assert files["title"] == "Files"
    assert entry["head"] == paths[:60]
    assert entry["rest"] == paths[60:5000]
    assert entry["total"] == files["total"] == 6000


def test_what_was_opened_and_used_is_listed_once() -> None:
    groups = listing.touched({"file_opened": ["/a", "/b", "/c"], "file_read": ["/a"], "file_created": ["/c"]}, {})
    lists = {entry["key"]: entry["head"] for entry in groups[0]["lists"]}
    assert lists == {"file_created": ["/c"], "file_read": ["/a"], "file_opened": ["/b"]}


def test_pairs_records_and_unknown_keys_are_shown_too() -> None:
    groups = listing.touched(
        {"file_moved": [["/a", "/b"]], "new_things": ["x"]}, {"dns": [{"request": "a.b", "type": "A"}]}
    )
    found = {entry["label"]: entry["head"] for group in groups for entry in group["lists"]}
    assert found == {"moved": ["/a → /b"], "new things": ["x"], "dns on the wire": ["request a.b  type A"]}


def test_output_says_its_size_and_is_left_out_when_there_is_none() -> None:
    shown = listing.output({"stdout": "a\nb", "stdout_bytes": 70_000, "stderr": ""})
    assert shown == [{"title": "Standard output", "text": "a\nb", "size": "70 kB", "lines": 2}]


def test_elf_facts_are_kept_even_when_parts_could_not_be_read() -> None:
    told = listing.elf(
        {"file_header": {"class": "ELF64"}, "hardening": {"pie": True, "nx": 0}, "errors": ["imports: x"]}
    )
    assert told["facts"] == [("class", "ELF64")]
    assert told["hardening"] == [("pie", True), ("nx", False)]
    assert told["errors"] == ["imports: x"]
    assert told["lists"] == told["sections"] == []
    assert listing.elf({}) == {}


def test_what_did_not_fit_is_counted_and_noise_stands_apart() -> None:
    groups = listing.touched({"file_read": ["/a"]}, {}, {"file_read": 7})
    assert (groups[0]["lists"][0]["total"], groups[0]["lists"][0]["missed"]) == (8, 7)
    noise = listing.noise({"file_opened": ["/etc/ld.so.cache"], "file_read": []})
    assert (noise["total"], noise["lists"][0]["label"]) == (1, "opened only")
    assert listing.noise({}) == {}
