"""Output that is closed, full or for programs, and names that a terminal has no letters for."""

import json
import os
import subprocess
import sys

from .running import PATIENCE


def test_log_format_json_writes_json_lines(pitstop, database):
    """Each log line on stderr is a JSON object with the ids of its job and its tree."""
    answer = pitstop("maintain", "app.db", "--operations", "analyze", "--log-format", "json", "--json")
    lines = [json.loads(line) for line in answer.err.splitlines()]
    assert lines
    assert {line["correlation_id"] for line in lines} == {answer.json["job"]["id"]}
    assert lines[0]["operation"] == "analyze"


def test_a_closed_output_does_not_keep_the_work_from_being_done(pitstop, database):
    """With stdout closed, or read no further, the job runs and the exit code is the job's."""
    program = f"{sys.executable} -m pitstop maintain app.db --operations analyze"
    for end in (">&-", "| true"):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{program} {end}"],
            cwd=pitstop.folder,
            env=pitstop.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, "fault" in done.stderr) == (0, False), done.stderr
    assert pitstop("jobs", "list", "--status", "completed", "--json").json["total"] == 2


def test_an_output_that_cannot_be_written_is_told_and_the_work_is_done(pitstop, database):
    """On a full disk the program says so with an exit code of its own; the record is there."""
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m pitstop maintain app.db --operations analyze > /dev/full"],
        cwd=pitstop.folder,
        env=pitstop.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 74
    assert "could not be written" in done.stderr
    assert pitstop("jobs", "list", "--status", "completed", "--json").json["total"] == 1


def test_odd_file_names_are_maintained_and_shown(pitstop, database):
    """A name that is no UTF-8, or that the terminal has no letters for, keeps nothing from being done or told."""
    odd = pitstop.folder / os.fsdecode(b"nu\xff.db")
    odd.write_bytes(database.read_bytes())
    assert pitstop("maintain", str(odd), "--operations", "analyze").code == 0
    smile = pitstop.folder / "smile\N{GRINNING FACE}.db"
    smile.write_bytes(database.read_bytes())
    answer = pitstop.run_anew("maintain", smile.name, "--operations", "analyze", PYTHONIOENCODING="latin-1")
    assert answer.code == 0
    assert "smile" in answer.out
    assert pitstop("jobs", "list", "--status", "completed", "--json").json["total"] == 2
