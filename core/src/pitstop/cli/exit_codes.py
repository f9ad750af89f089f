"""The exit codes of the program `pitstop`, for its own commands and those of plugins. The only place that names them.

Three questions a scheduler asks, and how the codes answer them: did it work (0), is it worth trying again by itself
(75), must a person see to it (everything else). docs/reference/exit-codes.md tells each in full. Imports nothing,
because listings load it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop.errors import PitstopError

#: All that was asked for completed; or there was nothing to do.
COMPLETED = 0
#: A job failed, or a check found a problem.
FAILED = 1
#: What was asked for is wrong, and nothing was started: asked again in the same words it is refused again.
WRONG_INPUT = 2
#: Something was due and was left out: no room, no rights, somebody else's lock, a stall that is not allowed.
LEFT_OUT = 3
#: A fault of Pitstop's own, or of a plugin's command.
INTERNAL_FAULT = 70
#: The output could not be written, or there was no room for a file that was asked for. What ran is recorded.
OUTPUT_FAILED = 74
#: The job store cannot be used at this moment: it is locked, or its disk is full. The same call may work later.
LATER = 75
#: The job store cannot be used until a person has seen to it: it is damaged, foreign, newer, or not permitted.
STORE_UNUSABLE = 78
#: Interrupted, or cancelled.
INTERRUPTED = 130

#: Every code with what it means in a few words.
MEANINGS = {
    COMPLETED: "completed",
    FAILED: "failed",
    WRONG_INPUT: "wrong input",
    LEFT_OUT: "left out",
    INTERNAL_FAULT: "internal fault",
    OUTPUT_FAILED: "output failed",
    LATER: "later",
    STORE_UNUSABLE: "store unusable",
    INTERRUPTED: "interrupted",
}


def choose_exit_code(error: PitstopError) -> int:
    """Return the exit code of a command that ended with an error.

    Args:
        error: what was raised before or instead of a job's own end.
    """
    from pitstop.errors import StoreError

    if isinstance(error, StoreError):
        return LATER if error.passing else STORE_UNUSABLE
    return WRONG_INPUT
