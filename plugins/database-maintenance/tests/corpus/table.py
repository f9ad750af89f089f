"""The results for people: what was broken, line by line, and the sums by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from corpus.trial import Verdict


def format_verdict(verdict: Verdict) -> list[str]:
    """Return a line for each promise that was broken, with the commands that broke it; none if it kept them all."""
    if verdict.skipped:
        return [f"{verdict.group}: {verdict.situation}: skipped, this machine lacks {verdict.skipped}"]
    same: dict[str, list[str]] = {}
    for command, every in verdict.broken.items():
        for broken in every:
            same.setdefault(broken, []).append(command)
    return [f"{verdict.group}: {verdict.situation}: [{'; '.join(each)}] {broken}" for broken, each in same.items()]


def format_sums(verdicts: Sequence[Verdict]) -> str:
    """Return a line for each kind, and one for all."""
    groups: dict[str, Counter[str]] = {}
    for verdict in verdicts:
        sums = groups.setdefault(verdict.group, Counter())
        sums["situations"] += 1
        sums["commands"] += len(verdict.commands)
        sums["broken"] += bool(verdict.broken)
        sums["skipped"] += bool(verdict.skipped)
        sums["seconds"] += round(verdict.seconds)
    columns = ("situations", "commands", "broken", "skipped", "seconds")
    lines = [f"{'kind':<28}" + "".join(f"{name:>12}" for name in columns)]
    total: Counter[str] = Counter()
    for group, sums in sorted(groups.items()):
        total.update(sums)
        lines.append(f"{group:<28}" + "".join(f"{sums[name]:>12}" for name in columns))
    lines.append(f"{'in all':<28}" + "".join(f"{total[name]:>12}" for name in columns))
    return "\n".join(lines)
