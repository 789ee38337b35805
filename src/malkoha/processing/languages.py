"""Reads Python, Perl, PHP and JavaScript without running them: which calls of note stand in the code.

Strings and comments are told from code first, so that a word in a text is no call. Python is read by its own parser
where that accepts it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from typing import Any

READ = 1 << 20
LIMIT = 200

_DOUBLE, _SINGLE = r'"(?:[^"\\\n]|\\.)*"', r"'(?:[^'\\\n]|\\.)*'"
_TRIPLE = r'"""(?:[^\\]|\\.)*?"""|' + r"'''(?:[^\\]|\\.)*?'''"
LEXERS: dict[str, re.Pattern[str]] = {
    "python": re.compile(rf"(?P<text>{_TRIPLE}|{_DOUBLE}|{_SINGLE})|(?P<comment>#[^\n]*)", re.DOTALL),
    "perl": re.compile(
        rf"(?P<text>{_DOUBLE}|{_SINGLE})|(?P<comment>(?<![$@%&\\])#[^\n]*|^=\w.*?^=cut\b[^\n]*)",
        re.DOTALL | re.MULTILINE,
    ),
    "php": re.compile(rf"(?P<text>{_DOUBLE}|{_SINGLE})|(?P<comment>(?://|#)[^\n]*|/\*.*?\*/)", re.DOTALL),
    "javascript": re.compile(
        rf"(?P<text>{_DOUBLE}|{_SINGLE}|`(?:[^`\\]|\\.)*`)|(?P<comment>//[^\n]*|/\*.*?\*/)", re.DOTALL
    ),
}
CALLS: dict[str, dict[str, str]] = {
    "python": {
        "runs code": (
            r"exec|eval|compile|__import__|execfile|marshal\.loads?|pickle\.loads?|importlib\.\w+|"
            r"types\.FunctionType"
        ),
        "runs commands": (
            r"os\.(?:system|popen\w*|exec\w+|spawn\w+|posix_spawn\w*|fork)|subprocess\.\w+|"
            r"commands\.getoutput|pty\.spawn"
        ),
        "network": (
            r"socket\.\w+|urllib\w*(?:\.\w+)*|requests\.\w+|http\.client\.\w+|ftplib\.\w+|smtplib\.\w+|"
            r"paramiko\.\w+|urlopen|urlretrieve"
        ),
        "decodes": (
            r"base64\.\w+|zlib\.decompress|bz2\.decompress|lzma\.decompress|gzip\.\w+|codecs\.decode|"
            r"binascii\.\w+|bytes\.fromhex|chr"
        ),
        "native code": r"ctypes\.\w+|cffi\.\w+|mmap\.mmap|os\.memfd_create",
    },
    "perl": {
        "runs code": r"eval|do|require",
        "runs commands": r"system|exec|qx|fork|popen|open[23]",
        "network": r"socket|connect|IO::Socket(?:::\w+)*|LWP::\w+|sockaddr_in|inet_aton|getstore",
        "decodes": r"unpack|pack|decode_base64|MIME::Base64::\w+|uncompress",
        "native code": r"syscall|mmap",
    },
    "php": {
        "runs code": (
            r"eval|assert|create_function|preg_replace|call_user_func(?:_array)?|include(?:_once)?|"
            r"require(?:_once)?|unserialize"
        ),
        "runs commands": r"system|exec|shell_exec|passthru|popen|proc_open|pcntl_exec|mail|dl",
        "network": r"fsockopen|pfsockopen|stream_socket_client|curl_\w+|socket_\w+|file_get_contents|ftp_\w+",
        "decodes": (
            r"base64_decode|gzinflate|gzuncompress|gzdecode|str_rot13|hex2bin|pack|chr|strrev|rawurldecode|"
            r"urldecode|convert_uudecode"
        ),
        "files": r"move_uploaded_file|file_put_contents|fwrite|unlink|chmod|copy|rename",
    },
    "javascript": {
        "runs code": r"eval|Function|setTimeout|setInterval|vm\.\w+|require|import",
        "runs commands": r"(?:\w+\.)?(?:exec|execSync|spawn|spawnSync|execFile|execFileSync|fork)",
        "network": (
            r"fetch|XMLHttpRequest|WebSocket|https?\.(?:get|request)|net\.\w+|dns\.\w+|dgram\.\w+|"
            r"axios(?:\.\w+)?"
        ),
        "decodes": r"atob|unescape|decodeURIComponent|String\.fromCharCode|Buffer\.from|parseInt|zlib\.\w+",
        "files": r"fs\.\w+",
    },
}
_PHP_INPUT = re.compile(r"\$_(?:GET|POST|REQUEST|COOKIE|SERVER|FILES)\b")
_VARIABLE_CALL = re.compile(r"\$\{?\$?\w+\}?(?:\[[^\]]{1,80}\])?\s*\(")


def describe(language: str, data: bytes) -> dict[str, Any]:
    """Name the calls of note by kind, and what hides: names that are made at run time, unread input as code."""
    source = data[:READ].decode("utf-8", "replace")
    code, texts = split(language, source)
    found: dict[str, Any] = {"calls": _calls(language, code)}
    names = _python_names(source) if language == "python" else None
    if names is not None:
        found["calls"] = _kinds(language, names)
    elif language == "python":
        found["syntax_errors"] = 1
    if language == "php":
        found["reads_request"] = sorted(set(_PHP_INPUT.findall(code)))
        hidden = [match.group().strip(" (") for match in _VARIABLE_CALL.finditer(code)]
        found["hidden_names"] = [name for name, _ in Counter(hidden).most_common(20)]
    if language == "perl":
        found["calls"] = _with(found["calls"], "runs commands", "`...`", len(re.findall(r"`[^`\n]+`", code)))
    longest = max((len(text) for text in texts), default=0)
    if longest >= 1000:
        found["longest_text"] = longest
    return {name: value for name, value in found.items() if value}


def split(language: str, source: str) -> tuple[str, list[str]]:
    """Tell code from strings: code with every string emptied and no comments, and the strings."""
    texts: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if match.lastgroup == "text":
            texts.append(match.group()[1:-1])
            return '""'
        return ""

    return LEXERS[language].sub(replace, source), texts


def _calls(language: str, code: str) -> dict[str, list[str]]:
    found: dict[str, Counter[str]] = {}
    for kind, names in CALLS[language].items():
        opening = r"\s*\(" if language != "perl" else r"\b"
        for match in re.finditer(rf"(?<![\w.$>:])(?:{names}){opening}", code):
            found.setdefault(kind, Counter())[match.group().rstrip("( \t\r\n")] += 1
    return _written(found)


def _python_names(source: str) -> list[str] | None:
    """Give the dotted name of every call; None when this Python cannot parse the source (Python 2, torn)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    aliases: dict[str, str] = {}
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {
                item.asname or item.name.split(".")[0]: item.name if item.asname else item.name.split(".")[0]
                for item in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            aliases |= {item.asname or item.name: f"{node.module}.{item.name}" for item in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _dotted(node.func)
            head, dot, rest = name.partition(".")
            names.append(aliases.get(head, head) + dot + rest)
    return names


def _dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute) and len(parts) < 8:
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "__import__" and node.args:
        first = node.args[0]
        parts.append(str(first.value) if isinstance(first, ast.Constant) else "__import__")
    return ".".join(reversed(parts))


def _kinds(language: str, names: list[str]) -> dict[str, list[str]]:
    found: dict[str, Counter[str]] = {}
    for kind, pattern in CALLS[language].items():
        whole = re.compile(pattern)
        for name in names:
            if whole.fullmatch(name):
                found.setdefault(kind, Counter())[name] += 1
    return _written(found)


def _with(calls: dict[str, list[str]], kind: str, name: str, count: int) -> dict[str, list[str]]:
    return {**calls, kind: [*calls.get(kind, []), f"{name} x{count}" if count > 1 else name]} if count else calls


def _written(found: dict[str, Counter[str]]) -> dict[str, list[str]]:
    return {
        kind: [f"{name} x{count}" if count > 1 else name for name, count in names.most_common(LIMIT)]
        for kind, names in found.items()
    }
