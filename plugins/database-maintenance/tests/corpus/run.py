"""Runs situations side by side in processes of their own."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from corpus.commands import find_python, preload
from corpus.situation import Situation, load
from corpus.trial import Trial, Verdict

#: At least one of each kind, for the usual tests.
REPRESENTATIVE = frozenset(
    {
        "a shop in WAL mode",
        "names that need quotes",
        "create in lower case",
        "a NULL in a column that must have a value, from before it had to",
        "Django: JSON and its checks, names in quotes, a session table",
        "32 bytes reserved in each page",
        "FTS5 of a table whose rowids a rebuild would renumber",
        "texts with NUL, and that are no UTF-8",
        "a collation of the application in an index",
        "a crash in a checkpoint at 70% of its pages, with the log's index",
        "a backup that was put back, a newer log left beside it",
        "a log with a bad checksum in its middle",
        "a journal cut off in a page",
        "the log and its index removed under an application",
        "a link to a file that is gone",
        "a full disk",
        "a record whose header says 0x7f",
        "an index without some rows",
        "bytes that are as good as random, as SQLCipher writes them",
    }
)
#: What is asked of them there.
REPRESENTATIVE_COMMANDS = ("inspect", "maintain", "maintain --all", "compact")


def run_all(
    names: Sequence[str],
    commands: Sequence[str] | None = None,
    *,
    representative: bool = False,
    processes: int = 2,
    folder: Path | None = None,
) -> Iterator[Verdict]:
    """Run situations and yield what came of each, as they end.

    Args:
        names: which.
        commands: which; by default all that apply to a situation.
        representative: only the commands that the usual tests run.
        processes: how many run side by side.
        folder: where the files are made.
    """
    load()
    preload()
    gc.collect()
    gc.freeze()  # what is imported is shared by all forks
    chosen = commands if commands is not None else REPRESENTATIVE_COMMANDS if representative else None
    context = get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=None) as pool:
        running = [pool.submit(_run_one, name, chosen, folder) for name in names]
        for future in as_completed(running):
            yield future.result()


def _run_one(name: str, commands: Sequence[str] | None, folder: Path | None) -> Verdict:
    situation = load()[name]
    lacks = missing(situation)
    if lacks:
        return Verdict(name, situation.group, skipped=lacks)
    scratch = Path(tempfile.mkdtemp(prefix="corpus-", dir=folder))
    scratch.chmod(0o755)
    try:
        return Trial(situation, scratch).run(commands)
    except Exception as error:
        return Verdict(name, situation.group, broken={"made": [f"{type(error).__name__}: {error}"]})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def missing(situation: Situation) -> str:
    """Return what a situation needs and this machine does not have; "" if nothing."""
    if shutil.which("sqlite3") is None:
        return "the sqlite3 program"
    if situation.needs & {"root", "mount"} and os.geteuid() != 0:
        return "the rights of root"
    if situation.user is not None and not find_python(situation.user):
        return "a Python that another user may run"
    if "attributes" in situation.needs and not hasattr(os, "setxattr"):
        return "extended attributes"
    return ""
