"""Operations without packaging: a worker type, three operations, and an action that plans them for several files.

    python examples/own_operations.py FILE [FILE ...]

Each operation is a function. Its keyword-only arguments are its parameters: checked against their types before anything
runs. The files are worked on side by side, the operations on one file in order, because they share a resource.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pitstop


class TextFiles(pitstop.OperationWorker):
    worker_type = "text_file"
    config_keys = ("operation", "parameters", "file")

    def resource(self, job: pitstop.Job) -> str:
        return f"file:{job.config['file']}"

    @contextmanager
    def target(self, job: pitstop.Job, context: pitstop.JobContext) -> Iterator[Path]:
        yield Path(job.config["file"])


def replace(file: Path, *, old: str, new: str, limit: int | None = None) -> pitstop.Result:
    """Replace a text, everywhere or in the first few places."""
    text = file.read_text()
    found = text.count(old) if limit is None else min(limit, text.count(old))
    file.write_text(text.replace(old, new, -1 if limit is None else limit))
    return pitstop.Result.changed(f"{found} replaced", found=found) if found else pitstop.Result.unchanged("not there")


def line_ends(file: Path, *, style: Literal["unix", "windows"] = "unix") -> None:
    """Write all ends of lines alike."""
    file.write_text(file.read_text(), newline={"unix": "\n", "windows": "\r\n"}[style])


def words(file: Path, *, most_common: int = 3) -> dict[str, Any]:
    """Count the words."""
    counted = Counter(file.read_text().split())
    return {"words": counted.total(), "most_common": dict(counted.most_common(most_common))}


def tidy(config: Mapping[str, Any]) -> pitstop.Plan:
    """Plan all three for each file."""
    parameters = {"replace": {"old": "\t", "new": "    "}, "line_ends": {}, "words": config.get("words", {})}
    return pitstop.Plan(
        parent=pitstop.Job(type="tidy", config=config),
        children=[
            pitstop.Job(
                type="text_file",
                name=f"{operation} {Path(file).name}",
                config={"operation": operation, "parameters": given, "file": file},
            )
            for file in config["files"]
            for operation, given in parameters.items()
        ],
    )


registry = pitstop.Registry()
registry.add_worker(TextFiles)
for function in (replace, line_ends, words):
    registry.add_operation("text_file", function.__name__, function)
registry.add_planner("tidy", tidy)

run = pitstop.run("tidy", {"files": sys.argv[1:]}, registry=registry, runner="thread", store="memory:")
print(f"{run.record.job.name}: {run.record.status}, {run.record.counts}")
for child in run.children:
    print(f"  {child.job.name}: {child.result.outcome}, {child.result.summary or dict(child.result.data)}")

try:
    pitstop.run("tidy", {"files": sys.argv[1:], "words": {"most_comon": 5}}, registry=registry, store="memory:")
except pitstop.InputError as error:
    print(f"refused whole, although the other jobs were right: {error}")
