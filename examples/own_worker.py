"""A worker of your own: it reads the files of a folder, tells how far it is, and can be cancelled between two.

Run it with the folder that it is to read:

    python examples/own_worker.py FOLDER
"""

import sys
from hashlib import sha256
from pathlib import Path

import pitstop


class Checksums:
    worker_type = "checksums"

    def validate(self, job: pitstop.Job) -> None:
        folder = job.config.get("folder")
        if not isinstance(folder, str) or not Path(folder).is_dir():
            raise pitstop.InvalidJobError(reason=f"'folder' is {folder!r}", hint="name a folder that is there")

    def execute(self, job: pitstop.Job, context: pitstop.JobContext) -> pitstop.Result:
        files = sorted(path for path in Path(job.config["folder"]).iterdir() if path.is_file())
        sums = {}
        for done, path in enumerate(files, 1):
            context.check_cancelled()
            sums[path.name] = sha256(path.read_bytes()).hexdigest()
            context.logger.info("{} is {}", path.name, sums[path.name][:12])
            context.progress(done, len(files), "files", path.name)
        return pitstop.Result.unchanged(f"{len(sums)} files read", sums=sums)


registry = pitstop.Registry()
registry.add_worker(Checksums)

run = pitstop.run("checksums", {"folder": sys.argv[1]}, registry=registry, store="memory:")
print(f"{run.record.status}: {run.record.result.summary}, progress {run.record.progress.done:g}")
for line in run.lines:
    print(pitstop.logs.as_text(line))

try:
    pitstop.run("checksums", {"folder": "/no/such/folder"}, registry=registry, store="memory:")
except pitstop.InputError as error:
    print(f"refused, and nothing was recorded: {error}")
