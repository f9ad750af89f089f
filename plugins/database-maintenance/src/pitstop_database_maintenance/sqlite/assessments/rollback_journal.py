"""The rollback journal: `rollback_journal`."""

from __future__ import annotations

from pitstop.text import size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Prediction, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import predict_look
from pitstop_database_maintenance.sqlite.inspection.records import Inspection


# pages are written back as fast as those of a log; measured: 350 MB a second
@operation_traits(phase=Phase.RECOVER, rate=350e6)
def rollback_journal(look: Look) -> Assessment:
    """Assess rolling back what a crash interrupted.

    Args:
        look: what was found.
    """
    inspection: Inspection = look.inspection
    if not inspection.hot_journal:
        return Assessment(worth=Worth.NO, reason="there is no journal to roll back")
    seconds = inspection.journal_bytes / declared_rate(rollback_journal) + predict_look(look)
    verdict = Assessment(
        worth=Worth.YES,
        reason=f"a crash left a journal of {size_text(inspection.journal_bytes)}, and until it is rolled back the file "
        "is half of an interrupted transaction",
        rule="a journal that has a header, while nobody writes",
        source="https://sqlite.org/lockingv3.html#hot_journals",
        # it keeps nobody waiting who would not have to do it himself
        prediction=Prediction(seconds=seconds, written=inspection.journal_bytes, checks_first=True),
    )
    return preconditions.apply_obstacles(verdict, preconditions.check_opening(look))
