"""What goes into a guest: the starter that an image has from the beginning, and the code that is loaded into memory.

In: the sources in malkoha/inguest. Out: files for the image builder, the payload for the starter, and a digest by which
armed snapshots are told apart.
"""

from __future__ import annotations

import ast
import hashlib
import json
import stat
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

_UNIT = """[Unit]
Description=irqbalance daemon
DefaultDependencies=no
After=local-fs.target
Before=basic.target

[Service]
ExecStart=@/usr/bin/python3 /usr/sbin/irqbalance -I -S /usr/sbin/irqbalance
Restart=always
RestartSec=0
KillMode=process
OOMScoreAdjust=-1000
StandardInput=null
StandardOutput=null
StandardError=journal

[Install]
WantedBy=sysinit.target
"""
_NAMES = {"ga.agent": "ga.service"}
"""Modules that have another name in the guest."""
_UNIT_PATH = "/usr/lib/systemd/system/irqbalance.service"


def bootstrap_files() -> dict[str, tuple[int, bytes]]:
    """Return guest path -> (mode, content); a symbolic link has S_IFLNK in its mode and its target as content."""
    return {
        "/usr/sbin/irqbalance": (stat.S_IFREG | 0o755, _source(files("malkoha.inguest") / "bootstrap.py")),
        _UNIT_PATH: (stat.S_IFREG | 0o644, _UNIT.encode()),
        "/etc/systemd/system/sysinit.target.wants/irqbalance.service": (
            stat.S_IFLNK | 0o777,
            _UNIT_PATH.encode(),
        ),
    }


def agent_payload() -> bytes:
    """Return the agent as a JSON object of module names and sources; ``ga.service`` has the ``main`` to call.

    Nothing in it tells what it belongs to.
    """
    sources = {"ga": ""}
    for name, entry in _modules(files("malkoha.inguest"), "ga"):
        if name not in ("ga", "ga.bootstrap"):
            sources[_NAMES.get(name, name)] = _source(entry).decode()
    return json.dumps(sources).encode("ascii")


def digest() -> str:
    """Return what changes when anything that runs in the guest does, or how it is made ready for it.

    Taken from the sources as they are, which takes 1 ms; an analysis asks for it before anything else.
    """
    here = [("payload", files("malkoha.guest") / "payload.py")]
    sources = {name: entry.read_bytes() for name, entry in [*here, *_modules(files("malkoha.inguest"), "ga")]}
    return hashlib.sha256(repr(sorted(sources.items())).encode()).hexdigest()


def _modules(folder: Traversable, package: str) -> Iterator[tuple[str, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir() and (entry / "__init__.py").is_file():
            yield from _modules(entry, f"{package}.{entry.name}")
        elif entry.name.endswith(".py"):
            stem = entry.name.removesuffix(".py")
            yield (package if stem == "__init__" else f"{package}.{stem}"), entry


class _Wordless(ast.NodeTransformer):
    """Drops statements that are nothing but a string: docstrings of modules, classes, functions and attributes."""

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            rest = [item for item in body if not _is_text(item)]
            body[:] = rest if rest or isinstance(node, ast.Module) else [ast.Pass()]
        return node


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _source(entry: Traversable) -> bytes:
    """Read a module without the words about us: docstrings and comments stay on the host."""
    tree = _Wordless().visit(ast.parse(entry.read_bytes()))
    return (ast.unparse(ast.fix_missing_locations(tree)) + "\n").encode()
