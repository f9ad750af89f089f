"""Names and messages that command, forge or flood: on the terminal, in logs, errors and JSON."""

import json
import os
import shutil
import sqlite3
import unicodedata
from contextlib import closing

import pytest
from tests.sampling import some

FORGED = "12:00:00.000 INFO    deadbeef vacuum: all is well"
NASTY = f"a\n{FORGED}\n\x1b[2J\r\x9b2J\u202e\u2066\u2028\x07b"
#: What a terminal obeys, and what begins a line or turns it.
OBEYED = ("Cc", "Cf", "Zl", "Zp")


def check_shown(text, *, most=60_000):
    """Check that nothing in an output commands a terminal, begins a line of its own, or floods it."""
    assert [letter for letter in text if unicodedata.category(letter) in OBEYED and letter != "\n"] == []
    assert [line for line in text.splitlines() if line.startswith(("12:00:00", "all is well"))] == []
    assert len(text) < most, f"{len(text)} characters"


@pytest.fixture
def nasty(request, pitstop, database, tmp_path):
    """A database with such a name, with tables and indexes of such names, and one of 900 kB or of what is asked for."""
    path = tmp_path / f"{NASTY}.db"
    shutil.move(database, path)
    with closing(sqlite3.connect(path)) as connection:
        for name in (NASTY, "n" * getattr(request, "param", 900_000)):
            connection.execute(f'CREATE TABLE "{name}" (x UNIQUE, "{NASTY} column" REFERENCES "{NASTY} gone")')
            connection.execute(f'INSERT INTO "{name}" VALUES (1, 2)')
            connection.execute(f'CREATE INDEX "i {name}" ON "{name}" (x)')
        connection.commit()
    return path


@pytest.mark.slow
def test_names_command_forge_and_flood_nothing(pitstop, nasty):
    """Each command on such a database, in words; what it says is bounded, and every line of it is Pitstop's own."""
    name = nasty.name
    pitstop.environment["COLUMNS"] = "80"
    for arguments in (
        ("inspect", name),
        ("inspect", name, "--exact"),
        ("plan", name, "--checks"),
        ("maintain", name, "--all", "--checks", "--log-level", "debug"),
        ("maintain", name, "--operations", "analyze,reindex,foreign_key_check", "--max-stall", "1us"),
        ("maintain", f"{name}.not-there"),
        ("maintain", name, "--set", f"analyze.{NASTY}=1"),
        ("maintain", name, "--operations", NASTY),
        ("plan", f"{NASTY}://x"),
        ("plan", name, "--save", f"no/{NASTY}"),
        ("report", name, "--html", "r.html"),
        ("report", name, "--html", f"no/{NASTY}"),
        ("run", NASTY),
        ("jobs", "list", "--all"),
        ("jobs", "show", NASTY),
    ):
        answer = pitstop(*arguments)
        check_shown(answer.out + answer.err)
    for root in [job["id"] for job in pitstop("jobs", "list", "--json").json["jobs"]]:
        for command in ("show", "logs", "history"):
            answer = pitstop("jobs", command, root)
            assert answer.code == 0
            check_shown(answer.out + answer.err)


@pytest.mark.parametrize("nasty", some([30_000, 900_000], of=[30_000]), indirect=True)
def test_programs_get_names_whole(pitstop, nasty):
    """JSON holds every character of a name, and still commands no terminal that it is shown on."""
    name = nasty.name
    for arguments in (
        ("inspect", name, "--json"),
        ("plan", name, "--json"),
        ("maintain", name, "--json", "--log-format", "json"),
    ):
        answer = pitstop(*arguments)
        assert answer.code == 0, answer.err[-2000:]
        document = answer.json
        check_shown(answer.out, most=20_000_000)
        check_shown(answer.err, most=1_000_000)
        assert "%0A12:00:00.000" in document["databases"][0]["database"]
        for line in answer.err.splitlines():
            json.loads(line)
    saved = pitstop("plan", name, "--save", "night.json")
    assert saved.code == 0
    assert pitstop("maintain", "--plan", "night.json", "--dry-run").code == 0


def test_a_message_of_a_plugin_forges_no_line(pitstop):
    """A worker's messages, and the error with which it fails, of several lines and of 900 kB."""
    source = (
        "import pitstop, logging\nfrom loguru import logger\n"
        f"BAD = {NASTY!r}\nLONG = 'x' * 900_000 + BAD\n"
        "class Teller:\n"
        "    worker_type = 'teller'\n"
        "    def validate(self, job):\n"
        "        if job.config.get('refuse'):\n"
        "            raise pitstop.InvalidJobError(reason=LONG, hint=BAD)\n"
        "    def execute(self, job, context):\n"
        "        for text in (BAD, LONG):\n"
        "            context.logger.warning('{}', text)\n"
        "            logging.getLogger('teller').warning('%s', text)\n"
        "            logger.warning('{}', text)\n"
        "            context.progress(1, 2, text, text)\n"
        "        if job.config.get('fail'):\n"
        "            raise ValueError(LONG)\n"
        "        return pitstop.Result.changed(BAD + LONG, warnings=[BAD, LONG], note=LONG)\n"
    )
    pitstop.package("teller", {"pitstop.workers": {"teller": "teller:Teller"}}, {"teller": source})
    for setting in ("fail=true", "refuse=true", "x=1"):
        answer = pitstop.run("run", "teller", "--set", setting)  # whose log holds the traceback of the plugin
        check_shown(answer.out + answer.err, most=120_000)
    for root in [job["id"] for job in pitstop("jobs", "list", "--json").json["jobs"]]:
        check_shown(pitstop.run("jobs", "logs", root).out, most=120_000)
    check_shown(pitstop("jobs", "list").out)


def test_a_fleet_of_such_names_is_a_table(pitstop, database, tmp_path):
    """Sums, tables and failures of many databases, each of which tries to forge a line."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    for number in range(22):
        shutil.copy(database, folder / f"{number}{NASTY}.db")
    (folder / f"bad{NASTY}.db").write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    for arguments in (("plan", "fleet/*.db"), ("maintain", "fleet/*.db"), ("inspect", "fleet/*.db")):
        answer = pitstop(*arguments)
        check_shown(answer.out + answer.err, most=200_000)
    assert os.path.exists(tmp_path / "state" / "jobs.db")
