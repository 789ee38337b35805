"""The parent of the sample, and the tracer's target: everything that it forks is recorded.

A process of its own, fed with this text on standard input. A request is a message on descriptor 3 with four
descriptors: standard input, output and error of the command, and a file with the request as JSON, its texts packed like
in protocol.py. The launcher forks and tells what became of the child. All that can be prepared is prepared before the
fork, since what the child does is already in the trace.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import signal
import socket
import sys
from typing import Any

CONTROL = 3
COMM = "sshd-session"
DRESS: dict[str, str] = {}
"""What to write where at the start; the agent fills it in."""


def child(request: dict[str, Any], fds: list[int], report: int) -> None:
    """Become the sample; report the stage and the error number when that fails. Never returns."""
    stage = "exec"
    try:
        touch(request["file"])
        os.setsid()
        os.dup2(fds[0], 0)
        os.dup2(fds[1], 1)
        os.dup2(fds[2], 2)
        if request["groups"] is not None:
            stage = "user"
            os.setgroups(request["groups"])
            os.setresgid(request["gid"], request["gid"], request["gid"])
            os.setresuid(request["uid"], request["uid"], request["uid"])
        stage = "cwd"
        os.chdir(request["cwd"])
        stage = "exec"
        try:
            os.execve(request["argv"][0], request["argv"], request["env"])
        except OSError as error:
            if error.errno != errno.ENOEXEC or not request["shell"]:
                raise
            # what a shell does with a file that the kernel does not know
            os.execve(b"/bin/sh", [b"sh", *request["argv"]], request["env"])
    except OSError as error:
        os.write(report, f"{stage} {error.errno}".encode())
    except ValueError:
        # a NUL in an argument, an "=" in the name of a variable
        os.write(report, f"{stage} {errno.EINVAL}".encode())
    finally:
        os._exit(127)


def touch(path: bytes) -> None:
    """Open the sample for writing, which is how the tracer learns which file is the sample's own."""
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK))


def launch(control: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    """Fork the child, answer with its number or an error, then with its end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(request, fds, writer)
    os.close(writer)
    for fd in fds:
        os.close(fd)
    failed = os.read(reader, 64).decode()
    os.close(reader)
    if failed:
        os.waitpid(pid, 0)
        stage, number = failed.split()
        answer(control, {"stage": stage, "errno": int(number)})
        return
    answer(control, {"pid": pid})
    _, status = os.waitpid(pid, 0)
    answer(control, {"status": status, "pid": pid})


def answer(control: socket.socket, message: dict[str, Any]) -> None:
    """Tell the agent, if it is still there."""
    with contextlib.suppress(OSError):
        control.send(json.dumps(message).encode())


def read_request(file: int) -> dict[str, Any]:
    """Read a request and make its texts the bytes that they stand for."""
    with os.fdopen(file, "rb") as stream:
        request: dict[str, Any] = json.load(stream)
    request["argv"] = [item.encode("latin-1") for item in request["argv"]]
    request["env"] = {name.encode("latin-1"): value.encode("latin-1") for name, value in request["env"].items()}
    for name in ("cwd", "file"):
        request[name] = request[name].encode("latin-1")
    return request


def put_on(dress: dict[str, str]) -> None:
    """Write what makes this process look like a login; what does not exist in this guest is left out."""
    for path, text in dress.items():
        with contextlib.suppress(OSError):
            if path.startswith("/sys/"):
                os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)


def main() -> None:
    """Serve requests until the agent is gone."""
    with open("/proc/self/comm", "w") as comm:
        comm.write(COMM)
    put_on(DRESS)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    control = socket.socket(fileno=CONTROL)
    control.set_inheritable(False)
    gc.collect()
    gc.disable()
    answer(control, {"ready": os.getpid()})
    while True:
        message, fds, _, _ = socket.recv_fds(control, 64, 4)
        if not message:
            sys.exit(0)
        for fd in fds:
            os.set_inheritable(fd, False)
        launch(control, read_request(fds[3]), fds[:3])


if __name__ == "__main__":
    main()
