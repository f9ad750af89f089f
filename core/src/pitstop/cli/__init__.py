"""The command line. Thin: it parses, asks the layers below, and prints. `main` is the program `pitstop`.

How it exits is named in `exit_codes`. With `--json` a refusal is a document on stdout too.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import sys

from pitstop.cli.exit_codes import (
    COMPLETED,
    INTERNAL_FAULT,
    INTERRUPTED,
    MEANINGS,
    OUTPUT_FAILED,
    WRONG_INPUT,
    choose_exit_code,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.errors import PitstopError

#: Of an error so many characters are shown: what was asked stands at its beginning, and what to do at its end.
_LONGEST_ERROR = 4000
#: What the system says of a stream that cannot be written to.
_OF_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EAGAIN, errno.EINVAL)


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with its code.

    Args:
        arguments: what follows the program's name; from the command line if not given.
    """
    code = _exit_code(arguments)
    if not gc.isenabled():
        gc.freeze()  # or the interpreter would look through all of a listing's objects before it ends
        gc.enable()
    sys.exit(code)


def _exit_code(arguments: list[str] | None) -> int:
    from pitstop.errors import PitstopError

    _prepare_streams()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _run_command(given)
        sys.stdout.flush()
        return code
    except PitstopError as error:
        return _refuse(given, str(error), choose_exit_code(error), error=error)
    except KeyboardInterrupt:
        say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return COMPLETED
    except OSError as error:
        if error.errno in _OF_OUTPUT and error.filename is None:
            say(f"Error: the output could not be written: {error.strerror}; what ran is recorded")
            silence()
            return OUTPUT_FAILED
        from pitstop.files.disk_space import NO_ROOM  # which costs as much as all else that a listing imports

        return _refuse(given, _describe_refusal(error), OUTPUT_FAILED if error.errno in NO_ROOM else WRONG_INPUT)
    except Exception as error:
        if os.environ.get("PITSTOP_DEBUG"):
            raise
        where, whom = _whose_fault()
        text = (
            f"this is a fault in {where}: {type(error).__name__}: {error}\n"
            f"Run it again with PITSTOP_DEBUG=1 to see where, and please report it{whom}."
        )
        return _refuse(given, text, INTERNAL_FAULT)


def _run_command(given: list[str]) -> int:
    gc.disable()  # a thousand plugins are many objects, and a listing ends before any could be let go; see app.LISTINGS
    import click

    from pitstop.cli.app import app
    from pitstop.cli.printing import help_width

    if instruction := os.environ.get("_PITSTOP_COMPLETE"):
        from pitstop.cli.completion import complete

        return complete(app, instruction)
    try:
        # not app.main, which answers a closed pipe with 1, as if a job had failed
        with app.make_context("pitstop", given, color=_wants_colour(), terminal_width=help_width()) as context:
            code = app.invoke(context)
        return code if isinstance(code, int) else COMPLETED
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        told = io.StringIO()
        error.show(file=told)
        return _refuse(given, error.format_message(), WRONG_INPUT, shown=told.getvalue().rstrip("\n"))
    except click.Abort:
        raise KeyboardInterrupt from None


def _refuse(
    given: list[str], text: str, code: int, *, error: PitstopError | None = None, shown: str | None = None
) -> int:
    """Tell on stderr why nothing (more) was done, and, where a program reads stdout (`--json`), there too.

    A person may be shown something else than the text. Returns the exit code.
    """
    say(f"Error: {text}" if shown is None else shown)
    options = given[: given.index("--")] if "--" in given else given
    if "--json" in options:
        import json

        from pitstop.secrets.masking import mask
        from pitstop.text.escaping import json_text

        kind = type(error).__name__ if error is not None else ""
        told = {"type": kind, "message": mask(text), "exit_code": code, "meaning": MEANINGS[code]}
        try:
            print(json_text(json.dumps({"error": told}, ensure_ascii=False)), flush=True)  # noqa: T201
        except OSError:
            silence()  # nobody reads it; the code says what it would have said
    return code


def _whose_fault() -> tuple[str, str]:
    """Return where an error comes from that nobody foresaw, and to whom it is to be reported if not to us."""
    app = sys.modules.get("pitstop.cli.app")
    entry = None if app is None else app.app.plugin
    if entry is None:
        return "Pitstop", ""
    return f"the command {entry.name!r} of {entry.origin}", f" to the makers of {entry.distribution}"


def _describe_refusal(error: OSError) -> str:
    """Return what the system refused, and of what."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # asking for the working folder is what fails without saying of what
    return "the working folder is not there any more" if error.errno == errno.ENOENT else str(error)


def say(text: str) -> None:
    """Write a message to stderr: passwords masked, what a terminal would obey written out, cut if it is huge."""
    # part of it may come from a plugin, from a stranger's file, or from a command line with a password
    from pitstop.secrets.masking import mask
    from pitstop.text.escaping import indent_lines, printable

    print(indent_lines(printable(mask(text), at_most=_LONGEST_ERROR)), file=sys.stderr, flush=True)  # noqa: T201


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
