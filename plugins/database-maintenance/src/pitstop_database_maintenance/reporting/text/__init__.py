"""Plans and outcomes as text for a terminal."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.reporting.text.layout import terminal_width as terminal_width
    from pitstop_database_maintenance.reporting.text.outcome import print_databases as print_databases
    from pitstop_database_maintenance.reporting.text.outcome import print_summary as print_summary
    from pitstop_database_maintenance.reporting.text.plan import format_inspection as format_inspection
    from pitstop_database_maintenance.reporting.text.plan import format_plan as format_plan

__getattr__, __all__ = export(
    __name__,
    {
        "layout": ("terminal_width",),
        "outcome": ("print_databases", "print_summary"),
        "plan": ("format_inspection", "format_plan"),
    },
)
