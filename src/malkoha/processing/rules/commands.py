"""Programs: command lines, tricks in the environment, programs without a file, accounts changed by their tools."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from malkoha.model.event import Event
from malkoha.processing.rules.base import MAX_TEXT, Rule, View, succeeded
from malkoha.trace.descriptors import argument, path_argument

_TRICKS = re.compile(
    r"LD_(?:PRELOAD|LIBRARY_PATH|AUDIT|DEBUG|BIND_NOW|PROFILE)|GCONV_PATH|PATH|IFS|HIST(?:FILE|SIZE|FILESIZE|CONTROL|IGNORE)|BASH_ENV|ENV"
    r"|PROMPT_COMMAND|SHELLOPTS|PS4|PYTHON(?:PATH|STARTUP|HOME|INSPECT)|PERL5?(?:LIB|OPT|5LIB|5OPT)|RUBY(?:LIB|OPT)"
    r"|NODE_OPTIONS|JAVA_TOOL_OPTIONS|GIT_SSH(?:_COMMAND)?|EDITOR|VISUAL|PAGER|BROWSER|SSH_ASKPASS|SUDO_ASKPASS"
    r"|(?:https?|ftp|all|no)_proxy|(?:HTTPS?|ALL)_PROXY|TMPDIR|MALLOC_\w+|GLIBC_TUNABLES|TERM_PROGRAM|XDG_CONFIG_HOME"
    r"|DEBIAN_FRONTEND|KUBECONFIG|AWS_\w+|FAKETIME\w*|TORSOCKS\w*"
)  # fmt: skip
_MEMORY_FOLDERS = ("/dev/shm/", "/run/shm/")  # noqa: S108 - paths of the guest
_DOWNLOADERS = re.compile(r"wget2?|curl|aria2c|axel|lwp-(?:download|request)|GET|tnftp|lftp|ftp|fetch|rclone")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,10}://[^\s'\"<>]{1,2048}")
_ACCOUNT_TOOLS = re.compile(
    r"(?:user|group)(?:add|del|mod)|adduser|addgroup|deluser|delgroup|passwd|chpasswd|gpasswd|chage|chsh|chfn|usermod"
    r"|newusers|vipw|vigr"
)
_TOOLS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"crontab (?!-l\b).+"), "cron", "timer"),
    (re.compile(r"(?:at|batch)\b(?! -l).*"), "at", "timer"),
    (re.compile(r"incrontab (?!-l\b).+"), "incron", "file event"),
    (re.compile(r"systemctl (?:.* )?(?:enable|link|preset|edit)\b.*"), "systemd unit", "boot"),
    (re.compile(r"(?:update-rc\.d|chkconfig|insserv|rc-update) .+"), "init script", "boot"),
    (re.compile(r"loginctl (?:.* )?enable-linger.*"), "systemd user unit", "boot"),
    (re.compile(r"systemd-run .*--on-.*"), "systemd timer", "timer"),
)  # fmt: skip


def _call(view: View, event: Event) -> None:
    """Note what could not be run, the environment, and the command of a trace without exec events."""
    shift = 1 if event.api == "execveat" else 0
    if event.ret is not None and event.ret < 0:
        view.file("file_failed", view.path(event, shift, at=bool(shift)))
        return
    _environment(view, argument(event, shift + 2))
    if view.recorded:
        return
    path = path_argument(event, shift)
    argv = argument(event, shift + 1)
    words = [str(word) for word in argv] if isinstance(argv, list) else [str(argv)]
    _started(view, view.tables.resolve(view.key, path) if path else "", words)


def executed(view: View, event: Event) -> None:
    """Note a program that was really started."""
    _environment(view, event.args.get("envp"))
    argv = event.args.get("argv")
    if isinstance(argv, list) and argv:
        _started(view, str(event.args.get("exe") or event.args.get("filename") or ""), [str(word) for word in argv])


def _started(view: View, exe: str, argv: list[str]) -> None:
    line = " ".join(argv)
    view.add("command_line", line)
    view.memory.pop("downloading", None)
    if exe.startswith("/memfd:"):
        view.note("fileless", what="program in a memfd", path=exe, command=line[:256])
    elif exe.endswith(" (deleted)"):
        view.note("fileless", what="program whose file is deleted", path=exe, command=line[:256])
    elif exe.startswith(_MEMORY_FOLDERS):
        view.note("fileless", what="program in a memory file system", path=exe, command=line[:256])
    name = exe.rsplit("/", 1)[-1] or (argv[0].rsplit("/", 1)[-1] if argv else "")
    if argv and exe and name != argv[0].rsplit("/", 1)[-1].lstrip("-") and not _shares(name, argv[0]):
        view.note("claimed_names", program=exe, claims=argv[0][:MAX_TEXT])
    if _DOWNLOADERS.fullmatch(name):
        for word in argv[1:]:
            for url in _URL.findall(word):
                view.add("fetches_url", url)
    if _ACCOUNT_TOOLS.fullmatch(name):
        view.note("users_groups", what="command", path=line)
    plain = " ".join([name, *argv[1:]])
    for pattern, mechanism, trigger in _TOOLS:
        if pattern.fullmatch(plain):
            view.note("persistence", path=line, mechanism=mechanism, trigger=trigger)


_MANY_NAMES = re.compile(
    r"(?:busybox|toybox|dash|bash|.*python[0-9.]*|perl.*|coreutils|mawk|gawk|vim.*|nc\..*|ncat|.+-nft.*|.+-legacy.*|kmod|systemctl|update-alternatives|xz|gcc.*|.*-linux-gnu-.*|tar|ld\..*|cpp.*|g\+\+.*|pkexec)"
)


def _shares(name: str, claimed: str) -> bool:
    """Tell a program that is ordinarily called by other names: interpreters of scripts, alternatives, applets."""
    base = claimed.rsplit("/", 1)[-1].lstrip("-")
    return _MANY_NAMES.fullmatch(name) is not None or name.startswith(base) or base.startswith(name)


def _environment(view: View, envp: Any) -> None:
    """Note variables that change how programs behave, when they are not those that the sample was started with."""
    if not isinstance(envp, list):
        return
    found = dict(word.partition("=")[::2] for word in envp if isinstance(word, str) and "=" in word)
    first = view.shared.setdefault("environment", found)
    for name, value in found.items():
        if first.get(name) != value and _TRICKS.fullmatch(name):
            view.note("environment", name=name, value=value[:1024])
    if found and not first.keys().isdisjoint(("HISTFILE", "LD_PRELOAD")):
        for name in ("HISTFILE", "LD_PRELOAD"):
            if name in first and name not in found:
                view.note("environment", name=name, value="(unset)")


def _memfd(view: View, event: Event) -> None:
    if succeeded(event):
        view.note("fileless", what="memfd made", path=f"/memfd:{argument(event, 0)}", command="")


_GROUPS: tuple[tuple[Iterable[str], Rule], ...] = (
    (("execve", "execveat"), _call),
    (("memfd_create",), _memfd),
)
RULES: dict[str, Rule] = {api: rule for apis, rule in _GROUPS for api in apis}
