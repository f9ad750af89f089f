"""Copies: `backup`, which nothing makes due but whoever wants one."""

from __future__ import annotations

import os

from pitstop.text import size_text
from pitstop_database_maintenance.databases.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.databases.traits import Phase, declared_rate, operation_traits
from pitstop_database_maintenance.sqlite.assessments import preconditions
from pitstop_database_maintenance.sqlite.assessments.cost_model import predict_reading, predict_time
from pitstop_database_maintenance.sqlite.files.filesystem import describe_folder
from pitstop_database_maintenance.sqlite.inspection.records import Inspection


@operation_traits(phase=Phase.BACKUP, by_name_only=True, only_reads=True, rate=250e6)
def backup(look: Look, *, to: str = "") -> Assessment:
    """Assess copying the database, which is a matter of schedule and not of its state.

    Args:
        look: what was found.
        to: the file or the folder where to, as far as that is known.
    """
    inspection: Inspection = look.inspection
    # page by page, the free ones too: the copy is as large as the database, whatever a rewriting would save
    copy = inspection.size
    no_room, disk = None, dict[str, int]()
    if to:
        path = os.path.abspath(os.path.expanduser(to))
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        place = inspection.folder if folder == inspection.folder.path else describe_folder(folder)
        if place.device:  # where no folder is, the operation says so
            no_room, disk = preconditions.check_room([(place, copy)])
    verdict = Assessment(
        worth=Worth.NO,
        reason=f"a copy would have {size_text(copy)}",
        rule="only when it is asked for by name",
        source="https://sqlite.org/backup.html",
        prediction=predict_reading(
            look, predict_time(look, "backup", copy, declared_rate(backup)), disk=disk, written=copy
        ),
    )
    return preconditions.apply_obstacles(verdict, preconditions.check_opening(look), no_room)
