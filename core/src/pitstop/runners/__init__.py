"""Where jobs run: implementations of `Runner`. Each gets ids and calls `run_job`; none writes or reads a job.

`process` is a package of its own, whose import costs more than those who only want threads should pay.
"""

from pitstop.runners.inline import InlineRunner
from pitstop.runners.thread import ThreadRunner

__all__ = ["InlineRunner", "ThreadRunner"]
