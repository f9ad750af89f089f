"""`pitstop run` with definitions, and with workers that print."""


def test_run_reads_a_definition(pitstop, database, tmp_path):
    """A definition of pitstop.toml runs by its name; --set changes it for once."""
    (tmp_path / "pitstop.toml").write_text(
        '[jobs.nightly]\naction = "database_maintenance"\ntimeout = "5m"\n'
        '[jobs.nightly.config]\ndatabase = "app.db"\noperations = ["analyze"]\nparameters.analyze.limit = 100\n'
    )
    document = pitstop("run", "nightly", "--json").json
    assert document["job"]["name"] == "nightly"
    assert document["jobs"][1]["config"]["parameters"] == {"limit": 100}
    assert document["jobs"][1]["timeout"] == 300
    changed = pitstop("run", "nightly", "--set", "parameters.analyze.limit=7", "--json").json
    assert changed["jobs"][1]["config"]["parameters"] == {"limit": 7}


def test_run_refuses_an_unknown_key_of_a_definition(pitstop, tmp_path):
    """A misspelt key is told with the nearest one and the file it stands in."""
    (tmp_path / "pitstop.toml").write_text('[jobs.nightly]\naction = "database_maintenance"\ntimout = 3\n')
    answer = pitstop("run", "nightly")
    assert answer.code == 2
    assert "did you mean 'timeout'?" in answer.err
    assert "pitstop.toml [jobs.nightly]" in answer.err


def test_what_a_plugin_prints_does_not_spoil_the_document(pitstop):
    """With --json stdout holds one document, whatever a worker prints."""
    pitstop.package(
        "chatter",
        {"pitstop.workers": {"chatter": "chatter:Chatter"}},
        {
            "chatter": (
                "class Chatter:\n    worker_type = 'chatter'\n    def validate(self, job): pass\n"
                "    def execute(self, job, context): print('chatter')\n"
            )
        },
    )
    answer = pitstop("run", "chatter", "--json")
    assert answer.json["job"]["status"] == "completed"
    assert "chatter\n" in answer.err
