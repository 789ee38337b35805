"""Reads a shell script as a syntax tree: what it downloads, what it evaluates, its heredocs and where they go.

Variables that are assigned once with a text that is known are put in, so that ``a=wg; b=et; $a$b http://...`` is seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tree_sitter import Node

LIMIT = 200
TEXT = 500
READ = 1 << 20
SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh", "busybox"))
INTERPRETERS = SHELLS | {"python", "python2", "python3", "perl", "php", "ruby", "node", "lua"}
DOWNLOADERS = frozenset(
    (
        "wget",
        "curl",
        "tftp",
        "ftpget",
        "ftp",
        "aria2c",
        "axel",
        "lwp-download",
        "lynx",
        "fetch",
        "scp",
        "sftp",
        "rsync",
        "nc",
        "ncat",
    )
)
_WRAPPERS = frozenset(
    ("sudo", "nohup", "env", "command", "exec", "busybox", "timeout", "time", "setsid", "nice", "doas")
)


def describe(data: bytes) -> dict[str, Any]:
    """Walk the tree of a script; parts that do not parse are passed over and counted in ``syntax_errors``."""
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    tree = Parser(Language(tree_sitter_bash.language())).parse(data[:READ])
    reading = _Reading()
    for node in _nodes(tree.root_node):
        reading.take(node)
    return reading.found()


def _nodes(root: Node) -> Iterator[Node]:
    """Yield every node in order, without recursion: a hostile script nests as deep as it likes."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode("utf-8", "backslashreplace")


class _Reading:
    """What was found so far, and the variables that are known at this point."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.lists: dict[str, dict[str, None]] = {}
        self.heredocs: list[dict[str, Any]] = []
        self.functions: list[str] = []
        self.errors = 0
        self.cut = 0

    def found(self) -> dict[str, Any]:
        found: dict[str, Any] = {name: list(values) for name, values in self.lists.items()}
        found |= {"heredocs": self.heredocs, "functions": self.functions, "syntax_errors": self.errors, "cut": self.cut}
        return {name: value for name, value in found.items() if value}

    def add(self, name: str, text: str) -> None:
        values = self.lists.setdefault(name, {})
        if len(values) >= LIMIT:
            self.cut += 1
        else:
            values[" ".join(text.split())[:TEXT]] = None

    def take(self, node: Node) -> None:
        if node.type == "command":
            self.command(node)
        elif node.type == "pipeline":
            self.pipeline(node)
        elif node.type == "variable_assignment":
            self.assign(node)
        elif node.type == "heredoc_redirect":
            self.heredoc(node)
        elif node.type == "function_definition" and len(self.functions) < LIMIT:
            self.functions.append(_text(node.child_by_field_name("name"))[:80])
        elif node.type == "ERROR":
            self.errors += 1
        elif node.type == "file_redirect" and "/dev/tcp/" in (text := self.plain(node)):
            self.add("connections", text)

    def assign(self, node: Node) -> None:
        name, value = _text(node.child_by_field_name("name")), node.child_by_field_name("value")
        if not name or len(self.variables) > 2000:
            return
        known = self.plain(value) if value is not None else ""
        if name in self.variables or "$" in known or "`" in known or len(known) > 1 << 16:
            self.variables[name] = f"${name}"
        else:
            self.variables[name] = known

    def plain(self, node: Node) -> str:
        """Give the text of a word without its quotes, with the variables that are known put in."""
        if node.type == "raw_string":
            return _text(node)[1:-1]
        if node.type in ("simple_expansion", "expansion"):
            names = [child for child in node.children if child.type == "variable_name"]
            bare = len(node.children) == (2 if node.type == "simple_expansion" else 3)
            return self.variables.get(_text(names[0]), _text(node)) if names and bare else _text(node)
        if node.type in ("string", "concatenation", "command_name", "word") and node.children:
            return "".join(self.plain(child) for child in node.children if child.type != '"')
        return _text(node).replace("\\\n", "") if node.type != "word" else _text(node).replace("\\", "")

    def command(self, node: Node) -> None:
        words = [
            self.plain(child) for child in node.children if child.type not in ("variable_assignment", "file_redirect")
        ]
        words = [word for word in words if word][:400]
        name, rest = _program(words)
        if not name:
            return
        said = " ".join(words)
        if name in DOWNLOADERS or (name == "git" and "clone" in rest):
            self.add("downloads", said)
        if name in ("eval", "source", "."):
            self.add("evaluates", said)
        if name in INTERPRETERS and any(flag in rest[:2] for flag in ("-c", "-e", "-r")):
            self.add("evaluates", said)
        if _text(node) != said and "$" in _text(node.child_by_field_name("name")):
            self.add("hidden_names", f"{_text(node)[:200]} = {said}")

    def pipeline(self, node: Node) -> None:
        commands = [child for child in node.children if child.type in ("command", "redirected_statement")]
        if not commands:
            return
        words = [self.plain(child) for child in commands[-1].children]
        name, _ = _program([word for word in words if word])
        if name in INTERPRETERS:
            self.add("piped_to_interpreter", self.plain_line(node))

    def plain_line(self, node: Node) -> str:
        parts = [child for child in node.children if child.is_named]
        return " | ".join(" ".join(self.plain(word) for word in part.children) or _text(part) for part in parts)

    def heredoc(self, node: Node) -> None:
        if len(self.heredocs) >= LIMIT:
            self.cut += 1
            return
        body = next((_text(child) for child in node.children if child.type == "heredoc_body"), "")
        start = next((_text(child) for child in node.children if child.type == "heredoc_start"), "")
        parent = node.parent
        line = _text(parent).splitlines()[0] if parent is not None and _text(parent) else ""
        self.heredocs.append({"to": line[:TEXT], "end": start[:80], "size": len(body), "text": body[:4000]})


def _program(words: list[str]) -> tuple[str, list[str]]:
    """Give the name of the program that a command runs, without its folder and what only wraps it."""
    for place, word in enumerate(words):
        name = word.rsplit("/", 1)[-1]
        if place < len(words) - 1 and (name in _WRAPPERS or (place and (word.startswith("-") or "=" in word))):
            continue
        return name, words[place + 1 :]
    return "", []
