"""The report that is read in a browser: one HTML file that needs nothing else."""

from __future__ import annotations

from pitstop_database_maintenance.lazy_exports import export

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pitstop_database_maintenance.reporting.html.page import make_page as make_page

__getattr__, __all__ = export(__name__, {"page": ("make_page",)})
