"""What random jobs, trees, ends and questions look like, for the lives of jobs in `test_state_machine`."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from hypothesis import strategies as st

from pitstop.contracts import JobQuery
from pitstop.jobs import (
    Job,
    JobStatus,
    Tolerance,
)

from .model import LEASE, C, F, P, R, X


class Shape(NamedTuple):
    """A job to be submitted; `above` chooses which of its tree's parents so far it goes below."""

    above: int
    tolerance: Tolerance | None
    resource: str | None
    type: str
    max_attempts: int

    def job(self, job_id: str, parent: Job | None = None) -> Job:
        return Job(
            id=job_id,
            type=self.type,
            name=f"name of {job_id}",
            config={"for": job_id},
            parent_id=parent.id if parent else None,
            correlation_id=parent.correlation_id if parent else job_id,
            resource=self.resource,
            max_attempts=self.max_attempts,
            tolerance=self.tolerance,
        )


# From tables, so that a job costs Hypothesis one choice and not six.
RESOURCES, TYPES = (None, None, "x", "y"), ("again", "once")
TOLERANCES = [Tolerance(on_error=on_error, max_failures=n) for on_error in ("stop", "continue") for n in (0, 0, 1)]
LEAVES = [Shape(*values) for values in product(range(4), (None,), RESOURCES, TYPES, (3, 2, 1))]
PARENTS = [Shape(*values) for values in product(range(4), TOLERANCES, (None, "x"), ("once",), (1,))]
ROOT, INNER = Shape(0, TOLERANCES[0], None, "once", 1), Shape(0, TOLERANCES[-2], None, "once", 1)
LEAF, LOWER = Shape(0, None, None, "again", 3), Shape(1, None, None, "again", 3)
#: A root that stops, and branches that feel it: most of what is hard about parents can happen in this one.
FLEET = [ROOT, LEAF, INNER, LOWER, LOWER, LEAF]

leaves = st.integers(0, len(LEAVES) - 1).map(lambda number: LEAVES[number])
parents = st.integers(0, len(PARENTS) - 1).map(lambda number: PARENTS[number])
below = st.lists(leaves | leaves | parents, min_size=5, max_size=8) | st.lists(leaves | parents, max_size=8)
trees = st.builds(lambda root, below: [root, *below], parents, below) | st.just(FLEET)
forests = st.lists(trees | trees | leaves.map(lambda shape: [shape]), min_size=1, max_size=2)
who, pick = st.integers(0, 1), st.integers(0, 30)
kinds = st.sampled_from(["transient", "completed", "failed", "cancelled", "failed", "transient"])
ends = st.lists(kinds | st.sampled_from([None, "told", "overtaken", "killed"]), min_size=1, max_size=6) | st.just(
    [None] * 6
)
reasons = st.sampled_from(["why", "two\nlines", "long " * 50])
queries = st.builds(
    JobQuery,
    statuses=st.none() | st.none() | st.lists(st.sampled_from(list(JobStatus)), unique=True).map(tuple),
    types=st.none() | st.none() | st.sampled_from([("once",), ("once", "again"), ()]),
    resource=st.sampled_from(RESOURCES),
    roots=st.booleans(),
    leaves=st.booleans(),
    oldest_first=st.booleans(),
    limit=st.none() | st.integers(1, 4),
)


# Grouped, because all rules are equally frequent, and with a rule for each of these little would come to its own end.
beside = st.one_of(
    st.tuples(st.just("adopt"), st.lists(pick, min_size=1, max_size=3), who),
    st.tuples(
        st.just("purge"), st.sampled_from([-1.0, 0.0, LEASE]), st.sampled_from([[C, F, X], [F], [X, P, R], [C]]), who
    ),
    st.tuples(st.just("cancel"), pick, who, reasons),
    st.tuples(st.just("die"), who, st.booleans()),
    st.tuples(st.just("rest"), who),
    st.tuples(st.just("heartbeat"), who),
)
