"""Texts for a person to read, whatever they are about. Knows nothing of jobs, and imports nothing of Pitstop."""

from __future__ import annotations

from pitstop.text.counts import count_noun, share_text
from pitstop.text.sentences import capitalise, join_names, sentence
from pitstop.text.sizes import resize_text, size_text
from pitstop.text.suggestions import nearest, suggest
from pitstop.text.times import iso_text, local_time, moment_text, time_text

__all__ = [
    "capitalise",
    "count_noun",
    "iso_text",
    "join_names",
    "local_time",
    "moment_text",
    "nearest",
    "resize_text",
    "sentence",
    "share_text",
    "size_text",
    "suggest",
    "time_text",
]
