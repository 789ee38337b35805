"""The end of ``analyze``: the report as a page of a terminal.

In: report.json as plain values. Out: verdict, sample, processes, signatures, what was touched, output and what is
missing. No line is wrapped: what does not fit is cut with an ellipsis, and in a pipe, where there is no width, hardly
anything is cut. Whatever comes from the sample is escaped, so that it can neither end a line nor steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from malkoha.cli.terminal import plain
from malkoha.reporting.phrases import phrase
from malkoha.reporting.wire import outcome, passed
from malkoha.reporting.wording import (
    cause_text,
    count,
    duration,
    exit_text,
    gaps,
    items,
    mapping,
    number,
    size,
    wait_status,
)

if TYPE_CHECKING:
    from rich.console import Console

PROCESSES = 40
ENTRIES = 6
ENTRIES_OF_CHAIN = 30
OUTPUT_LINES = 8
PIPE_WIDTH = 1000
"""Longest line that goes into a pipe, in characters."""
_LEVELS = {
    "malicious": "bold white on red3",
    "suspicious": "bold black on dark_orange",
    "clean": "bold white on green4",
}
_SEVERITY = {5: "bold red", 4: "red", 3: "dark_orange", 2: "yellow"}
_LABEL = "bold cyan"

_TOUCHED = (
    ("wrote", ("file_created", "file_written", "file_copied", "directory_created")),
    ("deleted", ("file_deleted", "directory_removed")),
    ("moved", ("file_moved",)),
    ("read", ("file_read",)),
)
_NETWORK = (
    ("connected", ("connects_ip", "connects_host")),
    ("resolved", ("resolves_host",)),
    ("fetched", ("fetches_url", "downloads_file")),
)


def print_summary(report: dict[str, Any], console: Console) -> None:
    """Print the report of one analysis; absent parts are left out."""
    page = _Page(console)
    for part in (_verdict, _facts, _processes, _signatures, _touched, _chain, _output, _missing):
        part(report, page)


class _Page:
    """Prints lines that fit, and sections apart from each other."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.width = max(20, console.width) if console.is_terminal else PIPE_WIDTH
        self.ascii = console.options.ascii_only

    def safe(self, value: Any, limit: int = 0) -> str:
        """Escape a text of the sample and cut it at ``limit`` columns, the width of the page when 0."""
        limit = limit or self.width
        text = Text(self._encodable(plain(str(value)[: 4 * limit + 16])))
        text.truncate(limit, overflow="ellipsis")
        return self._encodable(text.plain)

    def path(self, value: Any, limit: int) -> str:
        """Escape a path and cut out its middle, since its end tells most."""
        shown = self._encodable(plain(str(value)[:8192]))
        text = Text(shown)
        if text.cell_len <= limit:
            return shown
        mark = "..." if self.ascii else "…"
        head, tail = max(4, limit // 3), limit - max(4, limit // 3) - len(mark)
        start, end = Text(shown[:limit]), Text(shown[::-1][:limit])
        start.truncate(head)
        end.truncate(max(1, tail))
        return f"{start.plain}{mark}{end.plain[::-1]}"

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Print one line of safe parts, each with its style."""
        text = Text.assemble(*parts)
        text.truncate(self.width, overflow="ellipsis")
        if self.ascii:
            text.plain = text.plain.replace("…", ".")
        text.rstrip()
        self.console.print(text, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def title(self, title: str, note: str = "") -> None:
        self.line("")
        self.line((title, "bold"), (f"  {note}" if note else "", "dim"))

    def _encodable(self, text: str) -> str:
        return text.encode("ascii", "backslashreplace").decode("ascii") if self.ascii else text


def _verdict(report: Mapping[str, Any], page: _Page) -> None:
    verdict = mapping(mapping(report.get("malkoha")).get("verdict"))
    level = str(verdict.get("level", "")) or "no verdict"
    why = items(verdict.get("why"))
    reason = ", ".join(page.safe(name, 60) for name in why[:4]) if why else "no signature matched"
    more = f" and {len(why) - 4} more" if len(why) > 4 else ""
    page.line("")
    page.line(
        (f" {page.safe(level, 20).upper()} ", _LEVELS.get(level, "reverse")),
        (f"  {number(verdict.get('score')):.1f}", "bold"),
        (" of 10  ", "dim"),
        reason + more,
    )
    page.line("")


def _facts(report: Mapping[str, Any], page: _Page) -> None:
    separator = " - " if page.ascii else " · "
    for label, parts in (
        ("sample", _sample(report)),
        ("sha256", _hash(report)),
        ("run", _run(report)),
        ("trace", _trace(report)),
        ("network", _network(report)),
    ):
        if parts:
            head, *rest = (page.safe(part, 300) for part in parts)
            strong = "bold" if label == "sample" else ""
            tail = separator.join(["", *rest])
            page.line((f"  {label:8}", _LABEL), (head, strong), tail)


def _sample(report: Mapping[str, Any]) -> list[str]:
    target = mapping(report.get("target"))
    file = mapping(target.get("file"))
    if not file:
        return [str(target["url"])] if target.get("url") else []
    return [str(file.get("name", "?")), size(file.get("size")), str(file.get("type") or "unknown type")]


def _hash(report: Mapping[str, Any]) -> list[str]:
    digest = mapping(mapping(report.get("target")).get("file")).get("sha256")
    return [str(digest)] if digest else []


def _run(report: Mapping[str, Any]) -> list[str]:
    own = mapping(report.get("malkoha"))
    machine = mapping(own.get("machine"))
    timings = mapping(own.get("timings"))
    parts = []
    if timings.get("run_s") is not None:
        parts.append(duration(timings["run_s"]))
    if ended := mapping(own.get("trace")).get("ended"):
        parts.append(str(ended))
    parts += [status] if (status := wait_status(own.get("exit_status"))) else []
    parts += [str(machine[name]) for name in ("image", "accelerator") if machine.get(name)]
    return parts


def _trace(report: Mapping[str, Any]) -> list[str]:
    own = mapping(report.get("malkoha"))
    trace = mapping(own.get("trace"))
    if not trace:
        return []
    lost = number(trace.get("lost"))
    return [
        count(trace.get("events"), "event"),
        f"{int(lost):,} lost" if lost else "none lost",
        count(own.get("processes_total"), "process", "processes"),
        f"engine {trace.get('engine', '?')}",
    ]


def _network(report: Mapping[str, Any]) -> list[str]:
    """Name the network where it was another one than was asked for, or one that leads out."""
    facts = mapping(mapping(report.get("malkoha")).get("network"))
    led_out = passed(report)
    if not led_out and facts.get("mode") == facts.get("asked"):
        return []
    return [str(facts.get("mode")), str(facts.get("way")), *led_out]


# ------------------------------------------------------------------------------------------------------- processes


def _processes(report: Mapping[str, Any], page: _Page) -> None:
    behavior = mapping(report.get("behavior"))
    known = [mapping(process) for process in items(behavior.get("processes"))]
    facts = {process.get("key", process.get("pid")): process for process in known}
    rows = list(_rows(items(behavior.get("processtree")), page.ascii, max(2, min(12, (page.width - 50) // 4))))
    if not rows:
        return
    page.title("Processes")
    page.line(("      PID  EXIT        TIME       CALLS", "dim"))
    for node, stem in rows[:PROCESSES]:
        process = mapping(facts.get(node.get("key", node.get("pid"))))
        status = (
            exit_text(process.get("exit_code"), process.get("exit_signal"), process.get("ended")) if process else ""
        )
        ended = process.get("ended")
        lived = duration(number(ended) - number(process.get("first_seen"))) if ended is not None else ""
        bad = status not in ("0", "", "running")
        page.line(
            (f"  {int(number(node.get('pid'))):>7}  ", "dim"),
            (f"{status:8}", "red" if bad else "green" if status == "0" else "yellow"),
            (f"{lived:>8}  {int(number(process.get('calls_total'))):>10,}  ", "dim"),
            (stem, "dim"),
            *([(f"({indirect})  ", "yellow")] if (indirect := cause_text(node.get("cause"))) else []),
            *_command(node, page, 41 + len(stem) + len(indirect)),
        )
    if len(rows) > PROCESSES:
        page.line((f"  ... and {count(len(rows) - PROCESSES, 'process', 'processes')} more", "dim"))


def _command(node: Mapping[str, Any], page: _Page, indent: int) -> list[str | tuple[str, str]]:
    """Show the command line with the name of its program in bold; the name alone where it never ran a program."""
    room = max(10, page.width - indent)
    name = page.safe(node.get("process_name", "?"), room)
    command = page.safe(node.get("command_line", ""), 4096)
    first, _, rest = command.partition(" ")
    if not command:
        return [(name, "bold")]
    if first.rpartition("/")[2] != name:
        return [(name, "bold"), ("  " + command, "dim")]
    return [first[: len(first) - len(name)], (name, "bold"), f" {rest}" if rest else ""]


def _rows(roots: list[Any], plain_text: bool, levels: int = 12) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield every node with the lines in front of it, depth first, without recursion; what is
    nested deeper than ``levels`` is not indented further.
    """
    tee, last, bar = ("|- ", "`- ", "|  ") if plain_text else ("├─ ", "└─ ", "│  ")
    stack = [(mapping(node), "", "", 0) for node in reversed(roots)]
    while stack:
        node, before, own, depth = stack.pop()
        yield node, before + own
        children = items(node.get("children"))
        if depth < levels:
            before += "" if not own else "   " if own == last else bar
        for position in range(len(children) - 1, -1, -1):
            branch = last if position == len(children) - 1 else tee
            stack.append((mapping(children[position]), before, branch, depth + 1))


# ------------------------------------------------------------------------------------------------------- the rest


def _signatures(report: Mapping[str, Any], page: _Page) -> None:
    found = [mapping(match) for match in items(report.get("signatures"))]
    if not found:
        return
    page.title("Signatures")
    full, empty = ("#", ".") if page.ascii else ("●", "○")
    for match in sorted(found, key=lambda match: -number(match.get("severity")))[:30]:
        severity = min(5, max(1, int(number(match.get("severity"), 1))))
        codes = " ".join(page.safe(code, 12) for code in list(mapping(match.get("ttp")))[:4])
        room = page.width - 11 - (len(codes) + 2 if codes else 0)
        name = page.safe(match.get("name", "?"), 60)
        description = page.safe(match.get("description", ""), max(8, room))
        page.line(
            (f"  {full * severity}{empty * (5 - severity)}  ", _SEVERITY.get(severity, "dim")),
            (description or name, "bold"),
            (f"  {codes}" if codes else "", "cyan"),
        )
        marks = int(number(match.get("markcount")))
        page.line((f"         {name}" + (f", seen {count(marks, 'time')}" if marks else ""), "dim"))
    if len(found) > 30:
        page.line((f"  ... and {len(found) - 30} more", "dim"))


def _touched(report: Mapping[str, Any], page: _Page) -> None:
    behavior = mapping(report.get("behavior"))
    summary = mapping(behavior.get("summary"))
    in_tree = {str(node.get("command_line", "")) for node, _ in _rows(items(behavior.get("processtree")), True)}
    commands = [command for command in items(summary.get("command_line")) if str(command) not in in_tree]
    lasting = [phrase("persistence", entry) for entry in items(summary.get("persistence"))]
    _list("Persistence", [("", lasting)], page, paths=False)
    _list("Files", [(verb, _entries(summary, keys)) for verb, keys in _TOUCHED], page)
    taken = items(report.get("dropped"))
    if taken:
        whole = size(sum(number(mapping(entry).get("size")) for entry in taken))
        how = "malkoha export --format dropped"
        page.line(("  kept        ", _LABEL), f"{count(len(taken), 'version')} of written files, {whole}: {how}")
    alerts = [
        str(mapping(alert).get("signature", "")) for alert in items(mapping(report.get("suricata")).get("alerts"))
    ]
    network = [*((verb, _entries(summary, keys)) for verb, keys in _NETWORK), ("alerts", list(dict.fromkeys(alerts)))]
    _list("Network", network, page)
    _list("Further programs, run in place of the first", [("ran", list(map(str, commands)))], page, paths=False)


def _chain(report: Mapping[str, Any], page: _Page) -> None:
    """Show what became of what was downloaded, each below the analysis that downloaded it."""
    chain = mapping(mapping(report.get("malkoha")).get("chain"))
    links = [mapping(link) for link in items(chain.get("links"))]
    if chain.get("parent") is not None:
        page.title("Chain", f"downloaded by analysis {int(number(chain['parent']))}")
    elif links:
        page.title("Chain", "what was downloaded is analysed in turn")
    for link in _nested(links)[:ENTRIES_OF_CHAIN]:
        indent = "  " * max(1, int(number(link.get("depth"), 1)) - int(number(chain.get("depth"))))
        which = f"analysis {int(number(link['id']))}" if link.get("id") is not None else "no analysis"
        style = _LEVELS.get(str(link.get("level")), "dim").rpartition(" on ")[2]
        page.line(
            (f"{indent}{which:14}  ", _LABEL),
            (page.path(f"{link.get('url', '')}", max(20, page.width // 2)), ""),
            (f" {page.safe(link.get('name', ''), 60)}  ", "bold"),
            (page.safe(outcome(link), 160), style),
        )
    if len(links) > ENTRIES_OF_CHAIN:
        page.line((f"  ... and {len(links) - ENTRIES_OF_CHAIN} more, listed in the report", "dim"))


def _nested(links: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Order links so that each stands below the analysis that downloaded it."""
    known = {link.get("id") for link in links if link.get("id") is not None}
    below: dict[Any, list[Mapping[str, Any]]] = {}
    for link in links:
        below.setdefault(link.get("via") if link.get("via") in known else None, []).append(link)
    found: list[Mapping[str, Any]] = []
    stack = list(reversed(below.get(None, [])))
    while stack and len(found) <= len(links):
        link = stack.pop()
        found.append(link)
        if link.get("id") is not None:
            stack += reversed(below.get(link["id"], []))
    return found


def _entries(summary: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    found: dict[str, None] = {}
    for key in keys:
        for entry in items(summary.get(key)):
            found[" -> ".join(map(str, entry)) if isinstance(entry, list) else str(entry)] = None
    return list(found)


def _list(title: str, groups: list[tuple[str, list[str]]], page: _Page, *, paths: bool = True) -> None:
    filled = [(verb, entries) for verb, entries in groups if entries]
    if not filled:
        return
    page.title(title)
    for verb, entries in filled:
        for position, entry in enumerate(entries[:ENTRIES]):
            shown = page.path(entry, page.width - 14) if paths else page.safe(entry, page.width - 14)
            page.line((f"  {verb if position == 0 else '':10}  ", _LABEL), shown)
        if len(entries) > ENTRIES:
            page.line((f"              and {len(entries) - ENTRIES:,} more", "dim"))


def _output(report: Mapping[str, Any], page: _Page) -> None:
    output = mapping(mapping(report.get("malkoha")).get("output"))
    bar = "| " if page.ascii else "│ "
    for stream, title in (("stdout", "Output"), ("stderr", "Error output")):
        text = str(output.get(stream, ""))
        if not text:
            continue
        lines = text[: 64 << 10].split("\n")
        lines = lines[:-1] if lines[-1] == "" else lines
        total = number(output.get(f"{stream}_bytes"))
        page.title(title, size(total) if total else "")
        for line in lines[:OUTPUT_LINES]:
            page.line((f"  {bar}", "dim"), page.safe(line.removesuffix("\r").expandtabs(4), page.width - 4))
        if len(lines) > OUTPUT_LINES or total > len(text.encode("utf-8", "surrogatepass")):
            page.line((f"  {bar}... more in the report", "dim"))


def _missing(report: Mapping[str, Any], page: _Page) -> None:
    found = gaps(report)
    if not found:
        return
    page.title("Missing or cut")
    for weight, text in found[:20]:
        page.line(
            ("  ! " if weight == "loss" else "  - ", "bold yellow" if weight == "loss" else "dim"),
            page.safe(text, 4096),
        )
    if len(found) > 20:
        page.line((f"  ... and {len(found) - 20} more, listed in the report", "dim"))
