"""Whatever way a secret is given for a database, no command says it, and no file that is kept holds it.

The kind of database is a stranger's, in a distribution of its own, and repeats everything wherever it can. What must
hold a secret is the config of a job that was given one in clear, because the job is run again from it.
"""

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from tests.sampling import some

KIND = Path(__file__).parent / "leaky_kind.py"
PLAIN = "hunter2Plain"
#: A name, the URL or path, what is set, variables of the environment, and the secret.
LITERAL = {
    "URL": (f"leak://app:{PLAIN}@host/main", (), PLAIN),
    "URL, encoded": (f"leak://app:{quote('pä ss/', safe='')}@host/main", (), "pä ss/"),
    "URL with a slash": ("leak://app:pa/ssw0rd@host/main", (), "pa/ssw0rd"),
    "URL with a question mark": ("leak://app:pa?ssw0rd@host/main", (), "pa?ssw0rd"),
    "URL with a hash and an at": ("leak://app:pa#s@sw0rd@host/main", (), "pa#s@sw0rd"),
    "URL with a blank": ("leak://app:pa ssw0rd@host/main", (), "pa ssw0rd"),
    "query": (f"leak://host/main?user=app&password={PLAIN}", (), PLAIN),
    "--set": ("leak://host/main", ("slow", "tell", "fail"), PLAIN),
    "on_connect": (f"leak://host/main?x=1&token={PLAIN}", (), PLAIN),
}
REFERRED = {
    "URL": ("leak://app:${DB}@host/main", ()),
    "whole URL": ("${WHOLE}", ()),
    "query": ("leak://host/main?password=${DB}", ()),
    "--set": ("leak://host/main", ("slow", "tell", "fail")),
}
OPERATIONS = "tell,fail,slow"


def forms(secret):
    written = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    written |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    return [text for text in written | {json.dumps(text)[1:-1] for text in written} if len(text) > 3]


def leaks(secret, text):
    """Return what is around each place of a text where a secret stands."""
    return [text[max(0, text.find(form) - 80) : text.find(form) + 40] for form in forms(secret) if form in text]


@pytest.fixture
def leaky(pitstop):
    groups = {
        "pitstop.databases": {"leak": "leaky_kind:LeakDatabase"},
        "pitstop.operations.database_maintenance_operation": {
            f"leak.{name}": f"leaky_kind:{name}" for name in ("tell", "fail", "slow")
        },
        "pitstop.assessments": {
            "leak.tell": "leaky_kind:assess",
            "leak.fail": "leaky_kind:assess",
            "leak.slow": "leaky_kind:assess_slow",
        },
    }
    pitstop.package("leaky-kind", groups, {"leaky_kind": KIND.read_text()})
    return pitstop


def told(pitstop, *arguments):
    """Run the program, whose log may hold the traceback of a plugin, and return all that it says."""
    answer = pitstop.run(*arguments)
    assert answer.code in (0, 1), answer.err
    return answer.out + answer.err


def work(pitstop, url, settings):
    """Run every command on a database, the second time on what the first one has left; yield what each says."""
    chosen = ("--operations", OPERATIONS, *settings)
    yield "inspect", told(pitstop, "inspect", url)
    yield "inspect --json", told(pitstop, "inspect", url, "--json")
    yield "plan", told(pitstop, "plan", url, *chosen)
    yield "plan --json", told(pitstop, "plan", url, *chosen, "--json")
    yield "dry run", told(pitstop, "maintain", url, *chosen, "--dry-run", "--json")
    log = ("--log-level", "debug")
    yield "maintain", told(pitstop, "maintain", url, *chosen, *log)
    yield "maintain --json", told(pitstop, "maintain", url, *chosen, *log, "--runner", "thread", "--json")
    yield "report", told(pitstop, "report", url, "--html", "leak.html", "--force")
    yield "report --json", told(pitstop, "report", url, "--html", "leak.html", "--force", "--json")
    yield "jobs list", told(pitstop, "jobs", "list", "--all")
    listed = told(pitstop, "jobs", "list", "--all", "--json")
    yield "jobs list --json", listed
    root = next(job["correlation_id"] for job in json.loads(listed)["jobs"])
    yield "jobs show", told(pitstop, "jobs", "show", root)
    yield "jobs show --json", told(pitstop, "jobs", "show", root, "--json")
    yield "jobs logs", told(pitstop, "jobs", "logs", root)


def kept(folder):
    """Yield what is kept, file by file, as it lies there; of the job store every column but the configs."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "site" not in path.parts and not path.name.startswith("jobs.db"):
            yield path.name, path.read_bytes().decode("utf-8", "replace")
    with closing(sqlite3.connect(folder / "state" / "jobs.db")) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for column in [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]:
                if (table, column) != ("job", "config"):
                    rows = connection.execute(f'SELECT "{column}" FROM "{table}"').fetchall()
                    yield f"{table}.{column}", "\n".join(map(str, (value for (value,) in rows)))


def history(folder):
    """Return the rows of the history."""
    with closing(sqlite3.connect(folder / "state" / "maintenance.db")) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("step", "remainder", "kept")
        }


@pytest.mark.parametrize("way", some(LITERAL, of=("URL, encoded", "--set", "on_connect")))
def test_a_secret_that_is_given_in_clear_is_said_nowhere(leaky, tmp_path, way):
    """It stands in the jobs' configs, from which they are run again, and in nothing else that is said or kept."""
    url, operations, secret = LITERAL[way]
    settings = [word for name in operations for word in ("--set", f"{name}.password={secret}")]
    if way == "on_connect":
        settings += ["--on-connect", "leaky_kind:on_connect"]
    said = dict(work(leaky, url, settings))
    assert {name: found for name, text in said.items() if (found := leaks(secret, text))} == {}
    assert {name: found for name, text in kept(tmp_path) if (found := leaks(secret, text))} == {}
    rows = history(tmp_path)
    assert len(rows["step"]) == 6
    assert len(rows["remainder"]) == 1
    saved = leaky("plan", url, "--operations", OPERATIONS, *settings, "--save", "night.json")
    assert (saved.code, leaks(secret, saved.out + saved.err)) == (2, [])
    assert "would hold a password in clear" in saved.err
    assert "${NAME}" in saved.err
    assert not (tmp_path / "night.json").exists()


@pytest.mark.parametrize("way", some(REFERRED, of=("whole URL", "--set")))
def test_a_secret_of_the_environment_is_nowhere(leaky, tmp_path, way):
    """Not in any byte that is kept, also not in a saved plan; what is left over says `${DB}`, and is gone on with."""
    url, operations = REFERRED[way]
    settings = [word for name in operations for word in ("--set", f"{name}.password=${{DB}}")]
    leaky.environment |= {"DB": PLAIN, "WHOLE": f"leak://app:{PLAIN}@host/main", "PITSTOP_CHILD_ENV": "DB,WHOLE"}
    said = dict(work(leaky, url, settings))
    said["save"] = told(leaky, "plan", url, "--operations", OPERATIONS, *settings, "--save", "night.json")
    said["saved"] = told(leaky, "maintain", "--plan", "night.json", "--json")
    assert {name: found for name, text in said.items() if (found := leaks(PLAIN, text))} == {}
    assert {name: found for name, text in kept(tmp_path) if (found := leaks(PLAIN, text))} == {}
    for path in [path for path in (tmp_path / "state").rglob("*") if path.is_file()]:
        assert leaks(PLAIN, path.read_bytes().decode("utf-8", "replace")) == [], path.name
    saved = tmp_path / "night.json"
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    ((*_, parameters, _),) = history(tmp_path)["remainder"]
    left = json.loads(parameters)
    assert left["table"] == "$${NOT_A_VARIABLE}", "the name of a table is no variable"
    if operations:
        assert left["password"] == "${DB}"
        assert '"${DB}"' in saved.read_text()
    logs = [text for name, text in said.items() if name.startswith("maintain") or name == "jobs logs"]
    assert any("of the index ${NOT_SET}" in text for text in logs), "nor is that of an index"
    assert any(f"went on with ${{NOT_A_VARIABLE}} as {len(PLAIN) if operations else 0}" in text for text in logs)


@pytest.mark.parametrize("words", ["refuse", "broken"])
@pytest.mark.parametrize("url", ["leak://app:${DB}@host/", f"leak://app:{PLAIN}@host/", "leak://app:pa ss/w0rd@host/"])
def test_no_secret_is_in_a_refusal(leaky, words, url):
    """What a kind of database says when it refuses, or when it breaks, is said without what it was given."""
    leaky.environment |= {"DB": PLAIN}
    for command in ("inspect", "plan", "maintain"):
        answer = leaky.run(command, f"{url}{words}")
        assert answer.code != 0
        for secret in (PLAIN, "pa ss/w0rd"):
            assert leaks(secret, answer.out + answer.err) == []


def test_no_secret_of_a_definition_is_said(leaky, tmp_path):
    """Options and parameters of a job in `pitstop.toml`, literal and from the environment, and of `pitstop run`."""
    (tmp_path / "pitstop.toml").write_text(
        '[jobs.night]\nworker = "database_maintenance_operation"\n[jobs.night.config]\noperation = "slow"\n'
        f'database = "leak://app:{PLAIN}@host/main"\n'
        'options = {passphrase = "secretOfOption", on_connect = "${DB}"}\n'
        'parameters = {password = "secretOfParameter"}\n'
    )
    leaky.environment |= {"DB": "secretOfVariable", "PITSTOP_CHILD_ENV": "DB"}
    said = [told(leaky, "run", "night", "--log-level", "debug"), told(leaky, "run", "night", "--json")]
    for secret in (PLAIN, "secretOfOption", "secretOfParameter", "secretOfVariable"):
        assert [leaks(secret, text) for text in said] == [[], []]
        found = {
            name: leak for name, text in kept(tmp_path) if name != "pitstop.toml" and (leak := leaks(secret, text))
        }
        assert found == {}
    (left,) = history(tmp_path)["remainder"]
    assert "password" not in json.loads(left[4]), "without its value it is not what was asked for"


def test_a_report_holds_no_secret_of_a_past_run(leaky, tmp_path, database):
    """The page is made of the history, into which no secret comes."""
    leaky.package(
        "leaky-steps",
        {"pitstop.operations.database_maintenance_operation": {"sqlite.tell": "leaky_steps:tell"}},
        {
            "leaky_steps": "import pitstop\n\ndef tell(db, *, password: str = ''):\n"
            "    left = {'x': password}\n"
            "    return pitstop.Result.changed(password, warnings=[password], stopped_by=password, left=left)\n"
        },
    )
    leaky.environment["DB"] = leaky.environment["PITSTOP_CHILD_ENV"] = "DB"
    leaky.environment["DB"] = PLAIN
    shutil.copy(database, tmp_path / "other.db")
    for name, value in (("app.db", "${DB}"), ("other.db", PLAIN)):
        told(leaky, "maintain", name, "--operations", "tell", "--set", f"tell.password={value}")
        told(leaky, "report", name, "--html", f"{name}.html", "--json")
        assert leaks(PLAIN, (tmp_path / f"{name}.html").read_text()) == []
    assert "${DB}" in (tmp_path / "app.db.html").read_text()
