"""The command line. Thin: it parses, asks the layers below, and prints. `main` is the program `pitstop`.

Exit codes: 0 all completed, 1 a job failed (or `doctor` found a problem), 2 the input was wrong and nothing was
started, 70 a fault of Pitstop's own, 74 the output could not be written, 130 interrupted or cancelled.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys

COMPLETED, FAILED, WRONG_INPUT, INTERNAL_FAULT, OUTPUT_FAILED, INTERRUPTED = 0, 1, 2, 70, 74, 130
#: What the system says of a stream that cannot be written to.
_OF_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EAGAIN, errno.EINVAL)


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with its code.

    Args:
        arguments: what follows the program's name; from the command line if not given.
    """
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: list[str] | None) -> int:
    from pitstop.cli import listings
    from pitstop.errors import PitstopError
    from pitstop.masking import mask

    _prepare_streams()
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        gc.disable()  # a thousand plugins are many objects, and a listing ends before any could be let go
        code = COMPLETED if listings.answer(given) else _run_command(given)
        sys.stdout.flush()
        return code
    except PitstopError as error:
        _say(f"Error: {error}")
        return WRONG_INPUT
    except KeyboardInterrupt:
        _say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return COMPLETED
    except OSError as error:
        if error.errno in _OF_OUTPUT and error.filename is None:
            _say(f"Error: the output could not be written: {error.strerror}; what ran is recorded")
            silence()
            return OUTPUT_FAILED
        _say(f"Error: {_told(error)}")
        return WRONG_INPUT
    except Exception as error:
        if os.environ.get("PITSTOP_DEBUG"):
            raise
        where, whom = _whose_fault()
        _say(
            f"Error: this is a fault in {where}: {type(error).__name__}: {mask(str(error))}\n"
            f"Run it again with PITSTOP_DEBUG=1 to see where, and please report it{whom}."
        )
        return INTERNAL_FAULT


def _run_command(given: list[str]) -> int:
    gc.enable()
    import click

    from pitstop.cli.app import app

    try:
        # not app.main, which answers a closed pipe with 1, as if a job had failed
        with app.make_context("pitstop", given, color=_wants_colour()) as context:
            code = app.invoke(context)
        return code if isinstance(code, int) else COMPLETED
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        told = io.StringIO()
        error.show(file=told)
        _say(told.getvalue().rstrip("\n"))
        return WRONG_INPUT
    except click.Abort:
        raise KeyboardInterrupt from None


def _whose_fault() -> tuple[str, str]:
    """Return where an error comes from that nobody foresaw, and to whom it is to be reported if not to us."""
    app = sys.modules.get("pitstop.cli.app")
    entry = None if app is None else app.app.plugin
    if entry is None:
        return "Pitstop", ""
    return f"the command {entry.name!r} of {entry.origin}", f" to the makers of {entry.distribution}"


def _say(text: str) -> None:
    from pitstop.logs import printable  # what a terminal obeys is written out: part of it may come from a plugin

    # not click.echo: what only lists does without click
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


def _told(error: OSError) -> str:
    """Return what the system refused, and of what."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # asking for the working folder is what fails without saying of what
    return "the working folder is not there any more" if error.errno == errno.ENOENT else str(error)


def silence() -> None:
    """Write to nowhere from now on: whoever read our output has enough, or it has no room."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us, which is no reason not to do the work
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - until the end of the process
        elif hasattr(stream, "reconfigure"):
            # a name that the terminal has no letters for is shown escaped instead of ending the report
            stream.reconfigure(errors="backslashreplace")


def _wants_colour() -> bool | None:
    # no-color.org; None leaves it to click, which colours only in a terminal
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
