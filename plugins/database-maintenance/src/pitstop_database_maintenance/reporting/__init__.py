"""Plans, outcomes and reports for people and programs: text, HTML and JSON. It reads records and decides nothing.

What prints to a terminal is in `reporting.text`, the page in `reporting.html`. A name is loaded when it is first used.
"""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.reporting.build import build_report as build_report
    from pitstop_database_maintenance.reporting.findings import collect_findings as collect_findings
    from pitstop_database_maintenance.reporting.findings import write_verdict as write_verdict
    from pitstop_database_maintenance.reporting.html.page import make_page as make_page
    from pitstop_database_maintenance.reporting.json_report import make_document as make_document
    from pitstop_database_maintenance.reporting.report_model import Report as Report

__getattr__, __all__ = export(
    __name__,
    {
        "build": ("build_report",),
        "findings": ("collect_findings", "write_verdict"),
        "html.page": ("make_page",),
        "json_report": ("make_document",),
        "report_model": ("Report",),
    },
)
