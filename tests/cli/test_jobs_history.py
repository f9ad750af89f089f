"""`pitstop jobs history`: every change of status, of a job or of a whole tree."""

import json

import pytest


@pytest.fixture
def root(pitstop, database):
    """The id of a tree that has run."""
    return pitstop("maintain", "app.db", "--operations", "analyze", "--json").json["jobs"][0]["id"]


def test_jobs_history_tells_each_change_of_a_tree(pitstop, root):
    """Of a root: its own and those of its children, in the order in which they happened."""
    lines = pitstop("jobs", "history", root).out.splitlines()
    told = [line.split()[3:5] for line in lines]
    assert [status for status, name in told if name.startswith("analyze")] == ["pending", "running", "completed"]
    assert [status for status, name in told if name.startswith("app.db")][-1] == "completed"


def test_jobs_history_is_a_document_a_line(pitstop, root):
    """With --json each line is an object: which job, when, from which status to which."""
    changes = [json.loads(line) for line in pitstop("jobs", "history", root, "--json").out.splitlines()]
    child = [change for change in changes if change["job_id"] != root]
    assert [(change["old"], change["new"]) for change in child] == [
        (None, "pending"),
        ("pending", "running"),
        ("running", "completed"),
    ]


def test_jobs_history_of_no_job_is_refused(pitstop, root):
    """An id that nobody has."""
    answer = pitstop("jobs", "history", "nosuchid")
    assert (answer.code, answer.out) == (2, "")
    assert "no job 'nosuchid'" in answer.err
