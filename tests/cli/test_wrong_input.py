"""Wrong input is refused in one sentence before anything has changed, whichever command it is given to."""

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["maintain", "nofile.db"], "was not found"),
        (["maintain", "ap.db"], "did you mean"),
        (["maintain", "."], "is a folder"),
        (["maintain", "app.db", "--operations", "vacum"], "did you mean 'vacuum'?"),
        (["maintain", "app.db", "--operations", "vacuum,vacuum"], "given twice"),
        (["maintain", "app.db", "--operations", ""], "operations"),
        (["maintain", "app.db", "./app.db"], "one and the same"),
        (["maintain", "postgresql://u:hunter22@h/db"], "install pitstop-postgresql"),
        (["maintain", "app.db", "--set", "analyze.limt=1"], "did you mean 'limit'?"),
        (["maintain", "app.db", "--set", "analyze.limit=x"], "expected int"),
        (["maintain", "app.db", "--timeout", "0"], "no duration"),
        (["maintain", "app.db", "--store", "nosuch://x"], "nosuch"),
        (["mantain", "app.db"], "did you mean 'maintain'?"),
        (["vacuum", "app.db"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["maintain", "app.db", "vacuum"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["maintain", "Analyze", "VACUUM", "app.db"], "'pitstop maintain app.db --operations analyze,vacuum'?"),
        (["vacuum", "other.db", "--timeout", "30m"], "did you mean 'pitstop maintain other.db --operations vacuum'?"),
        (["maintain", "app.db", "--vacuum"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["maintain", "--vacuum", "app.db", "--checks", "--analyze"], "app.db --checks --operations vacuum,analyze'?"),
        (["plan", "app.db", "--fts-check"], "did you mean 'pitstop plan app.db --operations fts_check'?"),
        (["maintain", "app.db", "--operations", "VACUUM"], "did you mean 'vacuum'?"),
        (["maintain", "app.db", "--set", "backup.to=b.db"], "ask for it: --operations backup"),
        (["maintain", "app.db", "--max-stall", "50"], "'50' has no unit; write 50ms, 50s or 50m"),
        (["plan", "app.db", "--time-limit", "30"], "'30' has no unit"),
        (["maintain", "app.db", "--on-connect", "mispelt.module:register"], "No module named 'mispelt'"),
        (["plan", "app.db", "--on-connect", "mispelt.module:register"], "No module named 'mispelt'"),
        (["inspect", "app.db", "--on-connect", "mispelt.module:register"], "No module named 'mispelt'"),
        (["report", "app.db", "--html", "r.html", "--on-connect", "mispelt:register"], "No module named 'mispelt'"),
        (["maintain", "app.db", "--on-connect", "json:nosuch"], "the module 'json' has no 'nosuch'"),
        (["plan", "app.db", "--on-connect", "json:__name__"], "it is no function but 'json'"),
        (["inspect", "app.db", "--on-connect", "os:getcwd"], "cannot be called with the connection alone"),
        (["plan", "app.db", "--on-connect", "antigravity_of_ours"], "expected 'module:function'"),
        (["run", "nosuch"], "no action or worker type 'nosuch'"),
        (["run", "vacuum"], "did you mean 'pitstop maintain app.db --operations vacuum'?"),
        (["run", "vacuum", "other.db"], "did you mean 'pitstop maintain other.db --operations vacuum'?"),
        (["run", "database_maintenance", "app.db"], "unexpected words after 'database_maintenance': app.db"),
        (["maintain", "app.db", "--set", "analyze.tables=[a]"], "looks like a list or table, but is neither TOML nor"),
        (["run", "database_maintenance", "--set", "database=app.db", "--set", "operations=vacuum"], '["vacuum"]'),
        (["run", "database_maintenance", "--set", "datbase=app.db"], "did you mean 'database'?"),
        (["run", "database_maintenance_operation", "--set", "database=app.db"], "'operation' is missing"),
        (["run", "x", "--file", "nofile.toml"], "cannot be read"),
        (["run", "x", "--set", "novalue"], "KEY=VALUE"),
        (["jobs", "show", "zzz"], "no job 'zzz'"),
        (["operations", "nosuch"], "no operation 'nosuch'"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_recorded(pitstop, database, tmp_path, arguments, said):
    """Each mistake gets one clear error and exit code 2; the database is as it was and no job is recorded."""
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at" * 20)
    (tmp_path / "empty.db").touch()
    before = database.read_bytes()
    answer = pitstop(*arguments)
    assert answer.code == 2
    assert said in answer.err
    assert "hunter22" not in answer.err
    assert answer.out == ""
    assert database.read_bytes() == before
    assert pitstop("jobs", "list", "--json").json["total"] == 0


def test_on_connect_that_fails_when_it_is_imported_is_refused_once(pitstop, database):
    """Whatever a module does when it is imported, each command says so before it looks at anything."""
    pitstop.package(
        "odd-modules",
        {},
        {
            "raising": "raise RuntimeError('no settings')",
            "leaving": "import os\nos._exit(3)",
            "exiting": "raise SystemExit(4)",
            "printing": "print('hello', flush=True)\ndef register(connection): pass",
        },
    )
    said = {
        "raising": "RuntimeError: no settings",
        "leaving": "ended the process (exited with code 3)",
        "exiting": "SystemExit: 4",
    }
    for module, text in said.items():
        for command in ("inspect", "plan", "maintain"):
            answer = pitstop(command, "app.db", "--on-connect", f"{module}:register")
            assert (answer.code, answer.out) == (2, ""), (module, command)
            assert answer.err.count(text) == 1
    assert pitstop("plan", "app.db", "--on-connect", "printing:register", "--json").json["databases"]
