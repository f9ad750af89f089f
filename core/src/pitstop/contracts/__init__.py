"""What an outsider implements: worker, planner, runner, job store and hooks, and the bases that do most of the work.

It imports jobs, operations, errors and the leaves; each promise is in the docstring of its protocol.
"""

from pitstop.contracts.base_job_store import BaseJobStore
from pitstop.contracts.job_history import AttemptEnd, CurrentState, JobHistory, expand_history, merge_histories
from pitstop.contracts.lookup import Lookup
from pitstop.contracts.parent_rules import (
    CancelledJob,
    ParentStore,
    Settlement,
    check_transition,
    settle_parents,
)
from pitstop.contracts.planner import Planner
from pitstop.contracts.runner import BaseRunner, RunJob, Runner
from pitstop.contracts.store import (
    Cancelled,
    Claim,
    Completion,
    CompletionReceipt,
    JobQuery,
    JobStore,
    Running,
    Unreadable,
    ends_with_process,
)
from pitstop.contracts.stored_job import StoredJob
from pitstop.contracts.worker import BaseWorker, JobContext, JobLogger, Worker

__all__ = [
    "AttemptEnd",
    "BaseJobStore",
    "BaseRunner",
    "BaseWorker",
    "Cancelled",
    "CancelledJob",
    "Claim",
    "Completion",
    "CompletionReceipt",
    "CurrentState",
    "JobContext",
    "JobHistory",
    "JobLogger",
    "JobQuery",
    "JobStore",
    "Lookup",
    "ParentStore",
    "Planner",
    "RunJob",
    "Runner",
    "Running",
    "Settlement",
    "StoredJob",
    "Unreadable",
    "Worker",
    "check_transition",
    "ends_with_process",
    "expand_history",
    "merge_histories",
    "settle_parents",
]
