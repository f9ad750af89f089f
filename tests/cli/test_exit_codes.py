"""How the program exits when it refuses, and what a program that reads its output is told."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from pitstop.cli import exit_codes
from pitstop.stores.sqlite import errors

from .running import PATIENCE

REFERENCE = Path(__file__).parents[2] / "docs/reference/exit-codes.md"


def refusal(answer):
    """Return what stdout says of a refusal, which is one line."""
    (line,) = answer.out.splitlines()
    return json.loads(line)["error"]


def make_store(pitstop):
    assert pitstop("jobs", "list").code == 0
    return Path(pitstop.environment["PITSTOP_STORE"])


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("run", "nightli"), "UnknownNameError"),
        (("jobs", "show", "nobody"), "UnknownJobError"),
        (("jobs", "list", "--limit", "none"), ""),
        (("jobs", "lst"), ""),
        (("operations", "vacuumm"), "UnknownNameError"),
    ],
)
def test_refusal_of_wrong_input_is_a_document_for_programs(pitstop, arguments, kind):
    """Whoever reads stdout learns what is wrong there; a person still reads it on stderr."""
    told = pitstop(*arguments)
    answer = pitstop(*arguments, "--json")
    assert (answer.code, told.code, told.out) == (2, 2, "")
    said = refusal(answer)
    assert (said["type"], said["exit_code"], said["meaning"]) == (kind, 2, "wrong input")
    assert said["message"] in answer.err


def test_name_of_a_job_is_no_option(pitstop):
    """What stands behind -- asks for nothing."""
    assert pitstop("jobs", "show", "--", "--json").out == ""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SQLITE_BUSY", exit_codes.LATER),
        ("SQLITE_BUSY_RECOVERY", exit_codes.LATER),
        ("SQLITE_LOCKED", exit_codes.LATER),
        ("SQLITE_CORRUPT", exit_codes.STORE_UNUSABLE),
        ("SQLITE_READONLY", exit_codes.STORE_UNUSABLE),
        ("SQLITE_ERROR", exit_codes.STORE_UNUSABLE),
    ],
)
def test_what_passes_by_itself_is_a_matter_of_time(tmp_path, name, code):
    """Somebody else's lock passes, so that a scheduler may come back; what somebody must mend does not."""
    error = sqlite3.OperationalError("some words")
    error.sqlite_errorname = name
    assert exit_codes.choose_exit_code(errors.store_error(f"sqlite:///{tmp_path}/jobs.db", error)) == code


def test_full_disk_is_a_matter_of_time(pitstop, tmp_path):
    """Room is made by others, so that a scheduler may come back."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here: it needs root")
    try:
        answer = pitstop("jobs", "list", "--store", str(disk / "jobs.db"), "--json")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert (answer.code, refusal(answer)["meaning"]) == (exit_codes.LATER, "later"), answer


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a file system on which no byte is free."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here: it needs root")
    with suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "{database}", "--save", "{disk}/plan.json"],
        ["report", "{database}", "--html", "{disk}/report.html"],
        ["new", "operation", "prune", "--for", "database_maintenance_operation", "--into", "{disk}"],
    ],
    ids=lambda command: command[0],
)
def test_file_for_which_there_is_no_room_is_no_wrong_input(pitstop, database, full_disk, command):
    """In the same words it is written when there is room; nothing of it is left, and it is named."""
    answer = pitstop(*(word.format(disk=full_disk, database=database) for word in command))
    assert answer.code == exit_codes.OUTPUT_FAILED, answer
    assert "No space left on device" in answer.err
    assert str(full_disk) in answer.err.replace("\n", "").replace("  ", "")
    assert os.listdir(full_disk) == ["filler"]


def foreign(store):
    with closing(sqlite3.connect(store)) as other:
        other.execute("CREATE TABLE t (x)")


def newer(store):
    with closing(sqlite3.connect(store)) as other:
        other.execute("PRAGMA user_version = 999")


def no_database(store):
    store.write_bytes(b"this is no database at all" * 100)


def damaged(store):
    data = bytearray(store.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    store.write_bytes(data)


def a_folder(store):
    store.unlink()
    store.mkdir()


@pytest.mark.parametrize("spoil", [newer, no_database, damaged, a_folder])
def test_store_that_a_person_must_see_to_says_so(pitstop, spoil):
    """Nothing that a scheduler could do helps, which its code says; the text says how to go on without."""
    spoil(make_store(pitstop))
    answer = pitstop("jobs", "list", "--json")
    assert (answer.code, refusal(answer)["type"]) == (exit_codes.STORE_UNUSABLE, "StoreError"), answer
    assert "--store" in answer.err or spoil is newer


def test_store_of_another_application_is_not_used(pitstop, tmp_path):
    """A file that is not ours is left alone, and the code says that a person chose it."""
    foreign(tmp_path / "app.db")
    answer = pitstop("jobs", "list", "--store", "app.db", "--json")
    assert answer.code == exit_codes.STORE_UNUSABLE, answer


def test_store_without_a_folder_names_the_option(pitstop, tmp_path):
    """Where the state folder cannot be made, the next step is to name another place."""
    (tmp_path / "state").write_text("no folder")
    answer = pitstop("jobs", "list")
    assert (answer.code, "--store" in answer.err) == (exit_codes.STORE_UNUSABLE, True), answer


def test_every_exit_code_stands_in_the_reference():
    """The table of the reference and the module name the same codes."""
    written = re.findall(r"^\| (\d+) \| `(\w+)` \|", REFERENCE.read_text(), re.MULTILINE)
    names = {name: value for name, value in vars(exit_codes).items() if isinstance(value, int) and name.isupper()}
    names.pop("TYPE_CHECKING")
    assert {name: int(code) for code, name in written} == names
    assert set(names.values()) == set(exit_codes.MEANINGS)


def test_fault_of_a_command_is_a_document_too(pitstop):
    """Also what nobody foresaw is told where a program reads."""
    pitstop.package("acme", {"pitstop.commands": {"crash": "acme_crash:crash"}}, {"acme_crash": CRASH})
    answer = pitstop("crash", "--json")
    assert (answer.code, refusal(answer)["meaning"]) == (exit_codes.INTERNAL_FAULT, "internal fault")


CRASH = """
import click

@click.command()
@click.option("--json", is_flag=True)
def crash(json):
    raise ZeroDivisionError("a fault")
"""


def test_fault_is_one_line_without_secrets_and_a_whole_traceback_with_debug(pitstop):
    """Who asks for the traceback gets it as Python has it, with what may stand in it."""
    url = "db://me:hunter2hunter2@host"
    source = CRASH.replace('"a fault"', f'"no connection to {url}"')
    pitstop.package("acme", {"pitstop.commands": {"crash": "acme_crash:crash"}}, {"acme_crash": source})
    answer = pitstop("crash")
    assert answer.code == exit_codes.INTERNAL_FAULT
    assert "hunter2" not in answer.err
    assert "PITSTOP_DEBUG=1" in answer.err
    done = subprocess.run(
        [sys.executable, "-m", "pitstop", "crash"],
        cwd=pitstop.folder,
        env={**pitstop.environment, "PITSTOP_DEBUG": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert done.stderr.rstrip().endswith(f"ZeroDivisionError: no connection to {url}")


def test_a_store_of_a_newer_version_is_refused(pitstop, database, tmp_path):
    """A store that was written by a newer Pitstop is left alone."""
    pitstop("maintain", "app.db", "--operations", "analyze")
    store = tmp_path / "state" / "jobs.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 999")
    answer = pitstop("jobs", "list")
    assert answer.code == 78
    assert "999" in answer.err
    assert "upgrade" in answer.err
