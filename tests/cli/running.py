"""Programs that go on while a test looks at them, and waiting for what they do."""

from pathlib import Path

from pitstop.testing.fakes.waiting import eventually

#: Seconds after which something that has not happened never will; a busy machine takes long to start a process.
PATIENCE = 120


def slow_worker(pitstop):
    """Install a worker whose jobs say that they run, and then wait until they are told to stop."""
    pitstop.package(
        "slow-plug",
        {"pitstop.workers": {"slow": "slow_plug:Slow"}},
        {
            "slow_plug": (
                "import threading, pathlib\n"
                "class Slow:\n"
                "    worker_type = 'slow'\n"
                "    def validate(self, job): pass\n"
                "    def execute(self, job, context):\n"
                "        told = threading.Event()\n"
                "        with context.on_cancel(told.set):\n"
                "            pathlib.Path(job.config['flag']).write_text('runs')\n"
                "            told.wait(50)\n"
                "        context.check_cancelled()\n"
            )
        },
    )


def wait_for(path: Path) -> None:
    """Wait until a process makes a file."""
    eventually(path.exists, f"{path} appears", patience=PATIENCE)


def read_from(path: Path) -> str:
    """Wait until a process has written something into a file, and return it."""
    eventually(lambda: path.exists() and path.read_text(), f"something stands in {path}", patience=PATIENCE)
    return path.read_text()


def is_running(pid: int) -> bool:
    """Return whether a process goes on; one that has ended and was not buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
