"""The diagram of a job's statuses, drawn from `pitstop.jobs.TRANSITIONS`. Owns the words on its edges, no more.

Which edges there are is the table's to say: one that has no words here, or words for an edge that is not there any
more, stops the build.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

#: What leads from one status to another, in the words of docs/explanation/life-of-a-job.md.
WORDS = {
    ("pending", "running"): "claim",
    ("pending", "cancelled"): "cancel",
    ("running", "completed"): "result",
    ("running", "failed"): "error, deadline, lost",
    ("running", "cancelled"): "cancel",
    ("running", "pending"): "retry, rescue",
}


def life_of_a_job(
    transitions: Mapping[str, Iterable[str]] | None = None, words: Mapping[tuple[str, str], str] | None = None
) -> str:
    """Return the state diagram as mermaid.

    Args:
        transitions: status -> which may follow it; `TRANSITIONS` if not given. A job begins in the first of them.
        words: what leads from one to the other; `WORDS` if not given.

    Raises:
        ValueError: the words do not fit the table.
    """
    if transitions is None:
        from pitstop.jobs import TRANSITIONS

        transitions = TRANSITIONS
    words = WORDS if words is None else words
    names = [str(status) for status in transitions]
    # in the order of the table, so that two builds draw the same
    edges = [
        (str(status), name)
        for status, followers in transitions.items()
        for name in names
        if name in {str(follower) for follower in followers}
    ]
    if missing := [f"{a} -> {b}" for a, b in edges if (a, b) not in words]:
        raise ValueError(f"say in {__name__}.WORDS what leads from one to the other: {', '.join(missing)}")
    if surplus := [f"{a} -> {b}" for a, b in words if (a, b) not in edges]:
        raise ValueError(f"TRANSITIONS has no such move; take it out of {__name__}.WORDS: {', '.join(surplus)}")
    begun = {a for a, _ in edges}
    lines = [f"  [*] --> {names[0]}: submit"]
    lines += [f"  {a} --> {b}: {words[a, b]}" for a, b in edges]
    lines += [f"  {name} --> [*]" for name in names if name not in begun]
    return "\n".join(["stateDiagram-v2", *lines, ""])
