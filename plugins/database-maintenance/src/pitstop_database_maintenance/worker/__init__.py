"""The worker type `database_maintenance_operation`, the action `database_maintenance`, and what their jobs hold."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.worker.action import plan as plan
    from pitstop_database_maintenance.worker.plan_jobs import ACTION as ACTION
    from pitstop_database_maintenance.worker.plan_jobs import CHILD_TYPE as CHILD_TYPE
    from pitstop_database_maintenance.worker.plan_jobs import PARENT_TYPE as PARENT_TYPE
    from pitstop_database_maintenance.worker.steps import DatabaseSteps as DatabaseSteps
    from pitstop_database_maintenance.worker.steps import JobStep as JobStep
    from pitstop_database_maintenance.worker.worker import DatabaseMaintenanceWorker as DatabaseMaintenanceWorker

__getattr__, __all__ = export(
    __name__,
    {
        "action": ("plan",),
        "plan_jobs": (
            "ACTION",
            "CHILD_TYPE",
            "PARENT_TYPE",
        ),
        "steps": (
            "DatabaseSteps",
            "JobStep",
        ),
        "worker": ("DatabaseMaintenanceWorker",),
    },
)
