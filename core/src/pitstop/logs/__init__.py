"""A job's log: collecting its lines, catching what its code writes with loguru and `logging`, and showing them.

What runs the job stores the lines; no logger of the application is configured. It may import `jobs`, `errors`,
`secrets` and `text`, and imports loguru only where a job runs.
"""

from pitstop.logs.job_log import JobLog, warn
from pitstop.logs.logging_handler import JobLogHandler, add_job_ids, exclusive_output
from pitstop.logs.output import Format, Stream, as_json, as_text, disable, enable

__all__ = [
    "Format",
    "JobLog",
    "JobLogHandler",
    "Stream",
    "add_job_ids",
    "as_json",
    "as_text",
    "disable",
    "enable",
    "exclusive_output",
    "warn",
]
