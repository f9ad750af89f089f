"""Errors that operations on any kind of database raise. Those of one kind stand with it."""

from __future__ import annotations

from pitstop.errors import OperationError, TransientError


class ProblemsFoundError(OperationError):
    """A check did its work and found something wrong: its job fails, so that nobody takes it for a success.

    Fields: as `OperationError`. No other operation is run in place of one that ended so: what was found stands.
    """


class LockedError(TransientError):
    """Somebody else holds a lock of the database. It is this whatever was waited before, so that one class is caught.

    Whether the job is tried again the worker says, who knows for how long its run may wait: see `LockWaitOverError`.

    Fields: as `TransientError`.
    """


class LockWaitOverError(OperationError):
    """A lock was met when a run had waited for locks of the database for as long as it may: it is not tried again.

    Fields: as `OperationError`. Nothing is run in place of an operation that ended so: it would meet the same lock.
    """
