"""The lists of report.html: what was touched, what was printed, what the file says of itself.

In: sections of report.json as plain values. Out: nested plain values, bounded, not yet escaped; each list has a head
that stands in the page, and a rest that the page unpacks when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malkoha.reporting.phrases import phrase
from malkoha.reporting.wording import items, mapping, number, shorten, size

TEXT = 1024
"""Characters of one entry of a list."""
HEAD = 60
"""Entries of a list that stand in the page itself."""
REST = 5_000
OUTPUT = 64 << 10

GROUPS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Persistence and hiding",
        (
            ("persistence", "makes something run again"),
            ("fileless", "run without a file"),
            ("self_deletion", "deleted itself"),
            ("claimed_names", "false names"),
            ("environment", "environment"),
        ),
    ),
    (
        "Files",
        (
            ("file_created", "created"),
            ("file_written", "written"),
            ("file_deleted", "deleted"),
            ("file_moved", "moved"),
            ("file_copied", "copied"),
            ("file_read", "read"),
            ("file_opened", "opened only"),
            ("file_exists", "looked at"),
            ("file_failed", "tried in vain"),
            ("directory_created", "folders made"),
            ("directory_removed", "folders removed"),
            ("directory_enumerated", "folders listed"),
            ("file_traffic", "bytes of files"),
            ("links", "links made"),
            ("permissions", "modes set"),
            ("ownership", "owners set"),
            ("attributes", "attributes set"),
            ("timestamps", "times set"),
            ("watches", "watched"),
            ("dll_loaded", "libraries loaded"),
        ),
    ),
    ("Commands", (("command_line", "commands run"),)),
    (
        "Network",
        (
            ("connections", "connections"),
            ("connects_ip", "addresses connected to"),
            ("connects_host", "hosts connected to"),
            ("resolves_host", "names resolved"),
            ("fetches_url", "URLs fetched"),
            ("downloads_file", "files downloaded"),
            ("listens", "listens on"),
            ("accepts", "connections accepted"),
            ("raw_sockets", "raw sockets"),
            ("unix_sockets", "UNIX sockets"),
            ("conversations", "who talked to whom"),
        ),
    ),
    (
        "Rights and accounts",
        (
            ("users_groups", "users and groups"),
            ("identity", "user and group ids"),
            ("capabilities", "capabilities"),
            ("process_settings", "settings of its own"),
        ),
    ),
    (
        "System",
        (
            ("kernel_modules", "kernel modules"),
            ("bpf", "BPF"),
            ("mounts", "mounts and roots"),
            ("namespaces", "namespaces"),
            ("machine", "settings of the machine"),
            ("ptrace", "other processes' memory"),
            ("signals", "signals to others"),
        ),
    ),
    (
        "Memory and time",
        (
            ("memory_executable", "memory made executable"),
            ("timing", "sleeps and timers"),
            ("hammering", "calls without end"),
            ("asynchronous", "calls not seen one by one"),
        ),
    ),
)


def touched(
    summary: Mapping[str, Any], network: Mapping[str, Any], missed: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Name what was touched by group; what a key holds that is not known here is shown under its own name.

    ``missed`` tells how many entries of a key did not fit into the report.
    """
    used = {str(path) for key in ("file_read", "file_written", "file_created") for path in items(summary.get(key))}
    opened = [path for path in items(summary.get("file_opened")) if str(path) not in used]
    summary = {**summary, "file_opened": opened}
    known = {key for _, keys in GROUPS for key, _ in keys}
    rest = tuple((str(key), str(key).replace("_", " ")) for key in summary if key not in known)
    result = []
    for title, keys in (*GROUPS, ("Other", rest)):
        lists = [_listed(label, key, items(summary.get(key)), missed) for key, label in keys if items(summary.get(key))]
        if title == "Network":
            lists += [
                _listed(f"{name.replace('_', ' ')} on the wire", f"network_{name}", items(network.get(name)))
                for name in network
                if items(network.get(name))
            ]
        if lists:
            result.append({"title": title, "lists": lists, "total": sum(entry["total"] for entry in lists)})
    return result


def _listed(label: str, key: str, values: list[Any], missed: Mapping[str, Any] | None = None) -> dict[str, Any]:
    texts = [shorten(phrase(key, value), TEXT) for value in values[:REST]]
    more = missed.get(key, 0) if missed else 0
    return {
        "label": label,
        "key": key,
        "head": texts[:HEAD],
        "rest": texts[HEAD:],
        "total": len(values) + int(number(more)),
        "missed": int(number(more)),
    }


def noise(left_out: Mapping[str, Any]) -> dict[str, Any]:
    """Give what was left out as ordinary noise, in the words of the lists; empty when nothing was."""
    labels = dict(pair for _, keys in GROUPS for pair in keys)
    lists = [
        _listed(labels.get(str(key), str(key)), f"noise_{key}", items(values))
        for key, values in left_out.items()
        if items(values)
    ]
    return {"lists": lists, "total": sum(entry["total"] for entry in lists)} if lists else {}


def output(streams: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give what the sample printed, as much as the report holds of it."""
    shown = []
    for stream, title in (("stdout", "Standard output"), ("stderr", "Standard error")):
        text = str(streams.get(stream, ""))
        total = number(streams.get(f"{stream}_bytes"), len(text.encode("utf-8", "surrogatepass")))
        if text:
            shown.append({"title": title, "text": text[:OUTPUT], "size": size(total), "lines": text.count("\n") + 1})
    return shown


def elf(told: Mapping[str, Any]) -> dict[str, Any]:
    """Give what an ELF file says of itself; empty for what is none."""
    if not told:
        return {}
    hardening = mapping(told.get("hardening"))
    facts = [(name.replace("_", " "), str(value)) for name, value in mapping(told.get("file_header")).items()]
    facts += [
        (name.replace("_", " "), str(told[name]))
        for name in ("interpreter", "build_id", "overlay_size")
        if told.get(name)
    ]
    return {
        "facts": [(name, shorten(value, TEXT)) for name, value in facts],
        "hardening": [(str(name), bool(value)) for name, value in hardening.items()],
        "sections": [mapping(entry) for entry in items(told.get("section_headers"))[:200]],
        "segments": [mapping(entry) for entry in items(told.get("program_headers"))[:200]],
        "lists": [
            _listed(label, f"elf_{key}", items(told.get(key)))
            for key, label in (
                ("libraries", "libraries"),
                ("imports", "imported symbols"),
                ("exports", "exported symbols"),
            )
            if items(told.get(key))
        ],
        "errors": [shorten(str(error), TEXT) for error in items(told.get("errors"))[:50]],
    }
