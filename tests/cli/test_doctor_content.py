"""`pitstop doctor` is content with what costs nothing, and with what is switched off."""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
from tests.broken import WORKER_TYPE

from .doctor_answers import notes_of


@contextmanager
def unreadable(path):
    """Take everybody's rights to a file or folder, and give them back."""
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(0o755)


def test_doctor_is_content_with_damage_that_costs_nothing(pitstop, zoo) -> None:
    """Damaged metadata of others, debris, dangling links and missing METADATA leave the exit code at 0."""
    other = zoo.folder / "other-1.0.dist-info"
    other.mkdir()
    (other / "entry_points.txt").write_bytes(b"[console_scripts]\nno equals\n\xff\xfe = x\n[unclosed\n")
    (zoo.folder / "link-1.0.dist-info").symlink_to(zoo.folder / "nowhere")
    (zoo.folder / "empty-1.0.dist-info").mkdir()
    (zoo.folder / "empty-1.0.dist-info" / "entry_points.txt").symlink_to(zoo.folder / "nowhere")
    pipe = zoo.folder / "pipe-1.0.dist-info"
    pipe.mkdir()
    os.mkfifo(pipe / "entry_points.txt")
    zoo.add("~alf-installed")
    zoo.add("bare", metadata=None)
    folder = zoo.folder / "strange-1.0.dist-info" / "entry_points.txt"
    folder.mkdir(parents=True)
    answer = pitstop("doctor", "--json")
    assert answer.json["problems"] == []
    assert answer.code == 0
    causes = [note["cause"] for note in answer.json["notes"]]
    assert "it was left over by an installation that failed" in causes
    assert notes_of(answer, "bare") == ["what it requires cannot be told: it has no METADATA"]
    assert any("IsADirectoryError" in cause for cause in causes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_doctor_is_content_with_folders_that_may_not_be_read(pitstop, zoo) -> None:
    """A folder of the path, or one distribution's, that this user may not read is a note."""
    zoo.add("closed")
    with unreadable(zoo.folder / "closed-1.0.dist-info"):
        assert pitstop("doctor").code == 0


def test_doctor_does_not_look_at_what_is_switched_off(pitstop, zoo) -> None:
    """A blocked plugin is no problem, and neither are operations whose worker it had."""
    zoo.add("whole")
    zoo.add_broken("hangs")
    answer = pitstop("doctor", "--json", PITSTOP_BLOCK="hangs,zoo-keeper")
    assert answer.code == 0
    blocked = {d["distribution"]: d["blocked_by"] for d in answer.json["distributions"] if d["blocked_by"]}
    assert blocked == {"hangs": "PITSTOP_BLOCK=hangs", "zoo-keeper": "PITSTOP_BLOCK=zoo-keeper"}
    assert notes_of(answer, "whole") == [f"the worker type {WORKER_TYPE!r} is switched off by PITSTOP_BLOCK=zoo-keeper"]
    assert "switched off by PITSTOP_BLOCK=hangs: hangs 1.0" in pitstop("doctor", PITSTOP_BLOCK="hangs").out


def test_doctor_minds_a_slip_of_the_pen_in_a_list_and_not_what_is_gone(pitstop, zoo) -> None:
    """A name that is near an installed one would switch off nothing; one of nothing that is installed does no harm."""
    zoo.add("acme-freeze")
    assert pitstop("doctor", PITSTOP_BLOCK="acme-freze").code == 1
    answer = pitstop("doctor", "--json", PITSTOP_BLOCK="quite-other")
    assert answer.code == 0
    assert "no installed distribution 'quite-other'" in answer.json["notes"][0]["cause"]
