"""The process that runs the cases: reads one number a line, answers one line of JSON. It may die; the host goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hostile.cases import Cases
from hostile.trial import WORKER_TYPE, before, run
from pitstop import Registry


def main(seed: int, folder: Path, deadline: float) -> None:
    """Answer until there is nothing more to read."""
    registry = Registry()
    worker = registry.worker(WORKER_TYPE)
    operations = [
        name.partition(".")[2] for name in registry.operation_names(WORKER_TYPE) if name.startswith("sqlite.")
    ]
    cases = Cases(seed, folder)
    _say({"operations": operations})
    for line in sys.stdin:
        number = int(line)
        image = cases.case(number)
        readable = before(image, folder)
        _say({"told": image.told, "structure": readable.structure})
        for operation in operations:
            _say({"begins": operation})
            ended = run(worker, operation, image, readable, folder, deadline=deadline)
            _say({"operation": operation, **vars(ended)})
        _say({"done": number})


def _say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
