"""Sources of plugins that the tests of the registry install."""

from __future__ import annotations

from pitstop.contracts.hooks import hookimpl
from pitstop.registry.catalog import OPERATIONS

HOOK = "import pitstop; pitstop_job_created = pitstop.hookimpl(lambda record: None)\n"
WORKER = """
class Worker:
    worker_type = "greeting"
    made = 0
    def __init__(self): type(self).made += 1
    def validate(self, job): ...
    def execute(self, job, context): ...
"""
RUN = "def run(target, *, times: int = 1): 'Run it.'"


class Greeter:
    worker_type = "greeting"

    def validate(self, job):
        """Accept it."""

    def execute(self, job, context):
        """Do nothing."""


def add_operation(site, distribution, name="optimize", source=RUN, version="1"):
    module = distribution.replace("-", "_")
    site.add(distribution, version, {OPERATIONS + "demo": {name: f"{module}:run"}}, modules={module: source})


class Watcher:
    @hookimpl
    def pitstop_job_created(self, record):
        pass
