"""Copies: `backup`, which nothing makes due but whoever wants one."""

from __future__ import annotations

import os

from pitstop_database_maintenance.assessment import Assessment, Look, Worth
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.sqlite.assessments import obstacles
from pitstop_database_maintenance.sqlite.assessments.space import wasted
from pitstop_database_maintenance.sqlite.inspection import Inspection
from pitstop_database_maintenance.sqlite.prediction import reading, time_of


def backup(look: Look, *, to: str = "") -> Assessment:
    """Assess copying the database, which is a matter of schedule and not of its state.

    Args:
        look: what was found.
        to: the file or the folder where to, as far as that is known.
    """
    inspection: Inspection = look.inspection
    copy = max(0, inspection.size - wasted(inspection)[0])
    disk: dict[str, int] = {}
    if to:
        folder = os.path.abspath(to) if os.path.isdir(to) else os.path.dirname(os.path.abspath(to))
        disk = {folder: inspection.size}
        if folder == inspection.folder.path:
            no_room, disk = obstacles.of_room([(inspection.folder, inspection.size)])
            if no_room:
                return obstacles.impossible(no_room)
    return Assessment(
        worth=Worth.NO,
        reason=f"a copy would have about {size_text(copy)}",
        rule="only when it is asked for by name",
        source="https://sqlite.org/backup.html",
        prediction=reading(look, time_of(look, "backup", inspection.size), disk=disk, written=copy),
    )
