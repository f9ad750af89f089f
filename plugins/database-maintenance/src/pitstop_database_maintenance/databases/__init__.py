"""The plugin point for kinds of databases: what a kind provides, its connections, URLs, limits and assessments."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.databases.assessment import Assessment as Assessment
    from pitstop_database_maintenance.databases.assessment import Look as Look
    from pitstop_database_maintenance.databases.assessment import OperationPreference as OperationPreference
    from pitstop_database_maintenance.databases.assessment import Prediction as Prediction
    from pitstop_database_maintenance.databases.assessment import Worth as Worth
    from pitstop_database_maintenance.databases.causes import Cause as Cause
    from pitstop_database_maintenance.databases.database import Database as Database
    from pitstop_database_maintenance.databases.database import Measure as Measure
    from pitstop_database_maintenance.databases.database import database_class as database_class
    from pitstop_database_maintenance.databases.database import file_kind as file_kind
    from pitstop_database_maintenance.databases.description import Description as Description
    from pitstop_database_maintenance.databases.description import Fact as Fact
    from pitstop_database_maintenance.databases.description import Figure as Figure
    from pitstop_database_maintenance.databases.description import Finding as Finding
    from pitstop_database_maintenance.databases.description import Level as Level
    from pitstop_database_maintenance.databases.description import Space as Space
    from pitstop_database_maintenance.databases.errors import LockedError as LockedError
    from pitstop_database_maintenance.databases.errors import LockWaitOverError as LockWaitOverError
    from pitstop_database_maintenance.databases.errors import ProblemsFoundError as ProblemsFoundError
    from pitstop_database_maintenance.databases.limits import Limits as Limits
    from pitstop_database_maintenance.databases.limits import TimeLimitReachedError as TimeLimitReachedError
    from pitstop_database_maintenance.databases.traits import OperationTraits as OperationTraits
    from pitstop_database_maintenance.databases.traits import Phase as Phase
    from pitstop_database_maintenance.databases.traits import declared_rate as declared_rate
    from pitstop_database_maintenance.databases.traits import operation_traits as operation_traits
    from pitstop_database_maintenance.databases.urls import DatabaseURL as DatabaseURL
    from pitstop_database_maintenance.databases.urls import absolute as absolute
    from pitstop_database_maintenance.databases.urls import identity as identity
    from pitstop_database_maintenance.databases.urls import label as label
    from pitstop_database_maintenance.databases.urls import parse as parse

__getattr__, __all__ = export(
    __name__,
    {
        "assessment": (
            "Assessment",
            "Look",
            "Prediction",
            "OperationPreference",
            "Worth",
        ),
        "causes": ("Cause",),
        "database": (
            "Database",
            "Measure",
            "database_class",
            "file_kind",
        ),
        "description": (
            "Description",
            "Fact",
            "Figure",
            "Finding",
            "Level",
            "Space",
        ),
        "errors": (
            "LockWaitOverError",
            "LockedError",
            "ProblemsFoundError",
        ),
        "limits": (
            "Limits",
            "TimeLimitReachedError",
        ),
        "traits": (
            "OperationTraits",
            "Phase",
            "declared_rate",
            "operation_traits",
        ),
        "urls": (
            "DatabaseURL",
            "absolute",
            "identity",
            "label",
            "parse",
        ),
    },
)
