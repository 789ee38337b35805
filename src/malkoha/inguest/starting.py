"""Start a sample: the package that fits, its command, and the request to the launcher; then its output and its end."""

from __future__ import annotations

import codecs
import contextlib
import errno
import fcntl
import importlib.util
import json
import os
import pwd
import signal
import socket
from importlib.abc import InspectLoader

from . import packages, protocol
from .packages import base
from .refused import Refused

Head = protocol.Head

REPLY_S = 60.0
PIPE_SIZE = 256 << 10
"""Room for the sample's output: the more the agent finds at a time, the less a flood of output costs."""
LAUNCHER_ARGV = ["sshd-session: root@notty"]
"""What a command has above it that runs as ``ssh root@server command``; such a session has no terminal either."""
DRESS = {
    "/proc/self/oom_score_adj": "0",
    "/proc/self/loginuid": "0",
    "/sys/fs/cgroup/user.slice/user-0.slice/session-1.scope/cgroup.procs": "0",
}
"""What the launcher writes where: the sample is not to inherit the service's protection against the out-of-memory
killer, nor to be in its control group, which tells what started it and is killed as a whole when the service ends."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"


def prepare(head: Head) -> Head:
    """Choose the package and the command for the file at ``path``, and give the file to the user who will run it."""
    path = protocol.unpack_bytes(head["path"])
    user = account(head.get("user", "root"))
    given = [protocol.unpack_bytes(argument) for argument in head.get("arguments", [])]
    with open(path, "rb") as file:
        start = file.read(base.HEAD_SIZE)
    package = choose(start, path.rsplit(b"/", 1)[-1], head.get("package"))
    try:
        command = package.command(path, given)
    except base.Unfit as unfit:
        raise Refused(str(unfit)) from None
    if user.pw_uid != 0:
        os.chown(path, user.pw_uid, user.pw_gid)
    return {
        "package": package.name,
        "argv": [protocol.pack_bytes(item) for item in command],
        "shell": package.shell and is_text(start),
    }


def is_text(start: bytes) -> bool:
    """Tell whether this may be the beginning of a text; a character may be cut off at its end."""
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(start)
    return not any(character == "\ufffd" or (character < " " and character not in "\t\n\r\f\x1b") for character in text)


def choose(start: bytes, name: bytes, wanted: str | None) -> base.Package:
    """Return the package called ``wanted``, or the first that accepts such a sample."""
    for package in packages.BUILT_IN:
        if package.name == wanted or (wanted is None and package.accepts(start, name)):
            return package
    known = ", ".join(package.name for package in packages.BUILT_IN)
    raise Refused(f"there is no package {wanted!r} (there are: {known})")


def account(user: str) -> pwd.struct_passwd:
    """Look a user up in the guest."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        known = ", ".join(sorted(entry.pw_name for entry in pwd.getpwall() if entry.pw_shell.endswith("sh")))
        raise Refused(f"the guest has no user {user!r} (it has: {known})") from None


def login(user: pwd.struct_passwd, cwd: str) -> dict[str, str]:
    """Return the environment of somebody who has just logged in."""
    return {
        "SHELL": user.pw_shell or "/bin/sh",
        "PWD": cwd,
        "LOGNAME": user.pw_name,
        "HOME": user.pw_dir,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "USER": user.pw_name,
        "PATH": PATH if user.pw_uid == 0 else USER_PATH,
    }


class Starter:
    """The launcher, and the pipes of what it has started."""

    def __init__(self, dress: dict[str, str] | None) -> None:
        self.dress = dress or {}
        self.control: socket.socket | None = None
        self.launcher = 0
        """Process id of the launcher, the tracer's target."""
        self.pipes: dict[int, str] = {}

    def sources(self) -> list[int]:
        """List the descriptors that may have something to say."""
        return [*self.pipes, *([self.control.fileno()] if self.control is not None else [])]

    def read(self, source: int) -> list[protocol.Frame]:
        """Return the frames to send for a descriptor that is readable."""
        if source in self.pipes:
            data = os.read(source, PIPE_SIZE)
            if data:
                return [({"stream": self.pipes[source]}, data)]
            os.close(source)
            return [({"stream": "closed", "name": self.pipes.pop(source)}, b"")]
        message = self.receive()
        return [({"stream": "exited", "status": message["status"], "pid": message["pid"]}, b"")] if message else []

    def receive(self) -> Head:
        """Take one message of the launcher; empty when it is gone."""
        if self.control is None:
            return {}
        try:
            message = self.control.recv(4096)
        except OSError:
            message = b""
        if not message:
            self.control.close()
            self.control = None
            return {}
        reply: Head = json.loads(message)
        return reply

    def start_launcher(self) -> None:
        """Start the launcher, a Python of its own that reads its text from standard input; return when it is ready."""
        if self.control is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reader, writer = os.pipe()
        # sys.executable is made from argv[0], which is not true
        python = os.readlink("/proc/self/exe")
        middle = os.fork()
        if middle == 0:
            try:
                os.setsid()
                # its parent ends at once, so that nobody finds the service above the sample
                if os.fork() == 0:
                    become_launcher(python, reader, theirs.fileno())
            finally:
                os._exit(1)
        os.waitpid(middle, 0)
        theirs.close()
        os.close(reader)
        with os.fdopen(writer, "wb") as file:
            file.write(launcher_text(self.dress))
        ours.settimeout(REPLY_S)
        self.control = ours
        ready = self.receive()
        if "ready" not in ready:
            raise Refused("the launcher did not start")
        self.launcher = ready["ready"]

    def launch(self, head: Head, body: bytes) -> Head:
        """Have the launcher start a command; ``body`` is its standard input, its output comes as streams."""
        self.start_launcher()
        user = account(head["user"])
        environment = {**login(user, head["cwd"]), **head.get("env", {})}
        request = {
            "argv": head["argv"],
            "env": {key: value if key in head.get("env", {}) else latin(value) for key, value in environment.items()},
            "cwd": head["cwd"],
            "file": head.get("file", ""),
            "shell": bool(head.get("shell")),
            "uid": user.pw_uid,
            "gid": user.pw_gid,
            "groups": None if user.pw_uid == 0 else os.getgrouplist(user.pw_name, user.pw_gid),
        }
        out_reader, out_writer = wide_pipe()
        err_reader, err_writer = wide_pipe()
        given = [standard_input(body), out_writer, err_writer, in_memory(json.dumps(request).encode())]
        try:
            reply = self.ask(given)
        except BaseException:
            os.close(out_reader)
            os.close(err_reader)
            raise
        finally:
            for fd in given:
                os.close(fd)
        if "pid" not in reply:
            os.close(out_reader)
            os.close(err_reader)
            raise Refused(failure(reply))
        self.pipes |= {out_reader: "stdout", err_reader: "stderr"}
        return {"pid": reply["pid"], "agent": os.getpid()}

    def ask(self, fds: list[int]) -> Head:
        """Hand the descriptors of a request to the launcher and wait for its answer."""
        if self.control is None:
            raise Refused("the launcher is gone")
        try:
            socket.send_fds(self.control, [b"launch"], fds)
        except OSError:
            raise Refused("the launcher is gone") from None
        while reply := self.receive():
            if "status" not in reply:
                return reply
        raise Refused("the launcher is gone")

    def signal(self, head: Head, body: bytes) -> Head:
        """Send a signal to the process group that a command was started in."""
        os.killpg(head["pid"], head.get("signal", signal.SIGKILL))
        return {}


def failure(reply: Head) -> str:
    """Say what went wrong between fork and execve."""
    number, stage = int(reply.get("errno", 0)), reply.get("stage", "")
    name = f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
    if stage == "cwd":
        return f"the folder to start in cannot be entered: {name}"
    if stage == "user":
        return f"the user cannot be changed: {name}"
    return f"the sample could not be executed: {name}"


def wide_pipe() -> tuple[int, int]:
    """Make a pipe that holds PIPE_SIZE bytes where the system allows it."""
    reader, writer = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return reader, writer


def standard_input(data: bytes) -> int:
    """Return a descriptor from which ``data`` can be read."""
    return in_memory(data, "/tmp") if data else os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def in_memory(data: bytes, folder: str = "") -> int:
    """Return a descriptor of a file without a name, in ``folder`` or in memory, at its beginning."""
    if folder:
        file = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    else:
        file = os.memfd_create("", os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def latin(text: str) -> str:
    """Turn text of this system into the form in which the host packs bytes."""
    return protocol.pack_bytes(os.fsencode(text))


def launcher_text(dress: dict[str, str]) -> bytes:
    """Return the launcher's program, wherever this package was loaded from."""
    spec = importlib.util.find_spec(".launcher", __package__)
    text = spec.loader.get_source(spec.name) if spec and isinstance(spec.loader, InspectLoader) else None
    if not text:
        raise Refused("the launcher's program is missing")
    return text.replace("DRESS: dict[str, str] = {}\n", f"DRESS: dict[str, str] = {dress!r}\n", 1).encode()


def become_launcher(python: str, text: int, control: int) -> None:
    """Replace this process by the launcher: its text as standard input, its control as descriptor 3, nothing else."""
    high_text = fcntl.fcntl(text, fcntl.F_DUPFD, 10)
    high_control = fcntl.fcntl(control, fcntl.F_DUPFD, 10)
    null = fcntl.fcntl(os.open("/dev/null", os.O_RDWR), fcntl.F_DUPFD, 10)
    for number, fd in enumerate((high_text, null, null, high_control)):
        os.dup2(fd, number)
    os.closerange(4, 4096)
    os.execve(python, LAUNCHER_ARGV, {"PATH": PATH})
