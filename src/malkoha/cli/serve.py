"""``malkoha serve``: the REST interface and the workers that run what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.cli import terminal
from malkoha.errors import ConfigError, HostError

LEFT_S = 86400.0
"""What an upload leaves behind may be removed after that."""

if TYPE_CHECKING:
    import socket

    from malkoha.store import Home


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)] = 8090,
    slots: Annotated[int, typer.Option(help="How many analyses run side by side.", metavar="N", min=0, max=64)] = 1,
    debug: terminal.Debug = False,
) -> None:
    """Serve the REST interface of Cuckoo 2 and run the queue.

    Ends with Ctrl-C or SIGTERM; what was running then goes back into the queue. Other addresses than those of this
    machine alone need a token.

    \b
    Examples:
      malkoha serve
      malkoha serve --port 8091 --slots 2
      malkoha token add alice --role admin
      malkoha serve --host 0.0.0.0
    """
    from malkoha.retention import Keeper
    from malkoha.scheduler import Slots
    from malkoha.tasks import Tasks
    from malkoha.web.app import application
    from malkoha.web.guard import is_loopback
    from malkoha.web.tokens import Tokens as Secrets

    home, settings = terminal.surroundings()
    terminal.log_as(settings)
    exposed = not is_loopback(host)
    if exposed and not Secrets(home, settings.service.token).all():
        raise ConfigError(
            f"{host} can be reached by others and there is no token",
            "",
            "make one: malkoha token add NAME --role admin; or leave --host out",
        )
    _receive_in(home)
    listener = _listen(host, port)
    with listener, Tasks(home) as tasks:
        tasks.recover()
        with Slots(home, slots), Keeper(home, tasks, settings.retention):
            terminal.say(f"listens on http://{_shown(host)}:{listener.getsockname()[1]}/ with {slots} slots")
            _answer(application(home, settings, tasks, exposed=exposed), listener)


def _receive_in(home: Home) -> None:
    """Let uploads go to the disk of the home, each from its 64th KiB on: /tmp may be memory, and small."""
    import shutil
    import tempfile
    import time

    from starlette.formparsers import MultiPartParser

    home.incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in home.incoming.iterdir():
        if time.time() - left.stat().st_mtime > LEFT_S:  # by a service that was killed; another one may run beside
            shutil.rmtree(left, ignore_errors=True)
    tempfile.tempdir = str(home.incoming)
    MultiPartParser.spool_max_size = 64 << 10


def _answer(app: object, listener: socket.socket) -> None:
    """Serve until a signal comes; uvicorn raises it again for us when it has closed its connections."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]  # an ASGI application
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=64 << 10,
        )
    )
    server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    import socket

    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=kind)
    except OSError as error:
        raise HostError(f"{host} port {port} cannot be listened on", error.strerror or str(error)) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
