"""The command line, one file a command: the only place that prints or exits.

In: arguments. Out: text, and an exit status: 0 done (whatever the verdict), 2 bad usage, 3 this machine cannot do it,
4 the analysis failed, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; errors are one line on standard error."""
    import typer

    from malkoha.cli import app, terminal
    from malkoha.errors import MalkohaError

    arguments = list(sys.argv[1:] if argv is None else argv)
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        status = app.command(next(iter(arguments), None)).main(
            args=arguments, prog_name="malkoha", standalone_mode=False
        )
        sys.stdout.flush()
        if status == INTERRUPTED:
            raise KeyboardInterrupt  # Typer made a number of it
    except (KeyboardInterrupt, typer.Abort):
        terminal.error("interrupted")
        return INTERRUPTED
    except SystemExit:
        return _no_reader()  # Typer's answer to a closed pipe
    except typer.TyperException as error:
        terminal.usage_error(error)
        return 2
    except MalkohaError as error:
        terminal.error(str(error), trace=True)
        return error.exit_status
    except BrokenPipeError:
        return _no_reader()
    except OSError as error:
        terminal.error(terminal.os_error(error), trace=True)
        return 3
    except Exception as error:  # noqa: BLE001 - whatever is left is a fault of malkoha, said in one line all the same
        terminal.error(f"internal error: {type(error).__name__}: {error}", trace=True)
        return 4
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if isinstance(status, int) else 0


def _no_reader() -> int:
    """End quietly when the reader of a pipe had enough: the interpreter's last flush must not complain either."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open until the process ends
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    """Let SIGTERM and a closed terminal unwind like Ctrl-C does, so that nothing stays behind."""
    del number, frame
    raise KeyboardInterrupt
