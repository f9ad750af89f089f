"""The command line. Thin: it parses, asks the layers below, and prints. `main` is the program `pitstop`.

Exit codes: 0 all completed, 1 a job failed (or `doctor` found a problem), 2 the input was wrong and nothing was
started, 70 a fault of Pitstop's own, 130 interrupted or cancelled.
"""

from __future__ import annotations

import os
import sys

COMPLETED, FAILED, WRONG_INPUT, INTERNAL_FAULT, INTERRUPTED = 0, 1, 2, 70, 130


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit with its code.

    Args:
        arguments: what follows the program's name; from the command line if not given.
    """
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: list[str] | None) -> int:
    import click

    from pitstop.cli.app import app
    from pitstop.errors import PitstopError

    try:
        code = app.main(arguments, prog_name="pitstop", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else COMPLETED
    except click.ClickException as error:
        error.show()
        return WRONG_INPUT
    except PitstopError as error:
        click.echo(f"Error: {error}", err=True)
        return WRONG_INPUT
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has enough; keep the interpreter from complaining when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COMPLETED
    except Exception as error:
        if os.environ.get("PITSTOP_DEBUG"):
            raise
        click.echo(
            f"Error: this is a fault in Pitstop: {type(error).__name__}: {error}\n"
            "Run it again with PITSTOP_DEBUG=1 to see where, and please report it.",
            err=True,
        )
        return INTERNAL_FAULT
