"""What a stranger wrote into a database, or a plugin into its messages, commands no terminal."""

import subprocess
import sys

from .running import PATIENCE

TELLER = """
import pitstop

BAD = "clear\\x1b[2J\\x1b]0;title\\x07\\rback\\x9b31m"

class Teller:
    worker_type = "teller"
    def validate(self, job): pass
    def execute(self, job, context):
        context.logger.warning(BAD)
        context.progress(1, 2, BAD, BAD)
        if job.config["fail"]:
            raise pitstop.OperationError(reason=BAD)
        return pitstop.Result.changed(BAD, warnings=[BAD], note=BAD)
"""


def test_no_control_character_is_printed(pitstop):
    """Names, summaries, warnings, errors, log lines and tracebacks are shown with them written out."""
    pitstop.package("teller", {"pitstop.workers": {"teller": "teller:Teller"}}, {"teller": TELLER})
    for fail in ("true", "false"):
        run = pitstop("run", "teller", "--set", f"fail={fail}")
        root = pitstop("jobs", "list", "--json").json["jobs"][0]["id"]
        answers = [
            run,
            *(pitstop("jobs", *words) for words in (("list",), ("show", root), ("logs", root), ("history", root))),
        ]
        assert all(r"\x1b[2J" in answer.out + answer.err for answer in answers[:4])
        for answer in answers:
            shown = answer.out + answer.err
            assert [letter for letter in shown if letter in "\x1b\x07\r\x9b"] == []


def test_an_error_that_is_not_of_the_output_is_not_called_one(pitstop):
    """The working folder is gone: that is what is said, and the code is that of wrong input."""
    gone = pitstop.folder / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from pitstop.cli import main; main(['inspect', 'app.db'])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=gone, env=pitstop.environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert "working folder" in done.stderr
    assert "output" not in done.stderr
