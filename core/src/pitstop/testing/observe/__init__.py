"""What code does to its process and its disk while a test watches, and how long it waits for a processor."""

import os
from threading import Thread

#: The environment as it was before any module of the author's could change it: the pytest plugin imports this first of
#: all; without the plugin it is as it was when a suite was first asked for.
INITIAL_ENVIRONMENT = dict(os.environ)


def seconds_in_queue(thread: Thread) -> float:
    """Return for how long a thread could have run and no processor was free; 0 where the system does not tell."""
    try:
        with open(f"/proc/self/task/{thread.native_id}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
