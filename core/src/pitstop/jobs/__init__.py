"""What a job is and what can become of it: frozen records and the two rules of the state machine. No input or output.

It imports errors, secrets and text.
"""

from pitstop.jobs.job import Job, Plan, new_id, on_crash_of
from pitstop.jobs.json_values import DEEPEST, json_object
from pitstop.jobs.progress import Progress, Waiting
from pitstop.jobs.record import JobRecord, LogLine, StatusChange
from pitstop.jobs.result import AttemptResult, ErrorRecord, Outcome, Result, cancellation
from pitstop.jobs.status import TRANSITIONS, Counts, JobStatus, OnCrash, OnError, Tolerance, parent_status

__all__ = [
    "DEEPEST",
    "TRANSITIONS",
    "AttemptResult",
    "Counts",
    "ErrorRecord",
    "Job",
    "JobRecord",
    "JobStatus",
    "LogLine",
    "OnCrash",
    "OnError",
    "Outcome",
    "Plan",
    "Progress",
    "Result",
    "StatusChange",
    "Tolerance",
    "Waiting",
    "cancellation",
    "json_object",
    "new_id",
    "on_crash_of",
    "parent_status",
]
