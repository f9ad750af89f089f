"""All that is held against a run, each broken promise in one line."""

from __future__ import annotations

from corpus.case import Case
from corpus.claims import judge_deeds, judge_words
from corpus.exit_codes import judge_exit
from corpus.preservation import judge_bytes, judge_content, judge_files


def judge(case: Case) -> list[str]:
    """Return the promises that a run broke; none if it kept them all."""
    judges = (judge_exit, judge_files, judge_bytes, judge_content, judge_words, judge_deeds)
    return [broken for each in judges for broken in each(case)]
