"""A request and inspections become a plan: which operations run on which databases, in which order, and why."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.planning.decisions import Decision as Decision
    from pitstop_database_maintenance.planning.plan import DatabasePlan as DatabasePlan
    from pitstop_database_maintenance.planning.plan import MaintenancePlan as MaintenancePlan
    from pitstop_database_maintenance.planning.plan import MaintenanceRequest as MaintenanceRequest
    from pitstop_database_maintenance.planning.plan import PlannedStep as PlannedStep
    from pitstop_database_maintenance.planning.plan_config import job_config as job_config
    from pitstop_database_maintenance.planning.plan_file import read_plan as read_plan
    from pitstop_database_maintenance.planning.plan_file import write_plan as write_plan
    from pitstop_database_maintenance.planning.planner import MaintenancePlanner as MaintenancePlanner
    from pitstop_database_maintenance.planning.planner import plan_database as plan_database
    from pitstop_database_maintenance.planning.planner import plan_databases as plan_databases
    from pitstop_database_maintenance.planning.screening import Screening as Screening

__getattr__, __all__ = export(
    __name__,
    {
        "decisions": ("Decision",),
        "plan": (
            "DatabasePlan",
            "MaintenancePlan",
            "PlannedStep",
            "MaintenanceRequest",
        ),
        "plan_config": ("job_config",),
        "plan_file": (
            "read_plan",
            "write_plan",
        ),
        "planner": (
            "MaintenancePlanner",
            "plan_database",
            "plan_databases",
        ),
        "screening": ("Screening",),
    },
)
