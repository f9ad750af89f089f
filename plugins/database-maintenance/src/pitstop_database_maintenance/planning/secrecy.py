"""What a request and its databases hold of secrets, and keeping it out of all that a command says. Knows no kind.

A URL is planned with as it was typed, and looked at with each `${NAME}` filled in. What a kind of database then says of
it, in an inspection, in a reason or in an error, may repeat either.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeVar

import attrs

from pitstop.errors import PitstopError, remove_secrets
from pitstop.jobs.variables import expand
from pitstop.secrets.masking import replace
from pitstop.secrets.places import Secrets, find_secrets
from pitstop_database_maintenance.databases.assessment import Assessment
from pitstop_database_maintenance.databases.urls import shown_url
from pitstop_database_maintenance.planning.decisions import Decision
from pitstop_database_maintenance.planning.plan import DatabasePlan, MaintenanceRequest, PlannedStep

_Record = TypeVar("_Record", Assessment, DatabasePlan, Decision, PlannedStep)


def collect_secrets(urls: Iterable[str], request: MaintenanceRequest) -> Secrets:
    """Return what is to be masked in all that is said of databases; the longest first.

    Args:
        urls: paths or URLs, as they were given.
        request: with parameters, thresholds and options.
    """
    config = _config(urls, request)
    return expand(config, _Set()).secrets if config else ()


def literal_secrets(urls: Iterable[str], request: MaintenanceRequest) -> list[str]:
    """Return where passwords are in clear, in words: the URLs, without them, and what of the request."""
    found = [f"the URL {shown_url(url)}" for url in urls if shown_url(url) != url]
    for name, value in _config((), request).items():
        for key, entry in value.items():
            found += [f"{name} of {key}"] if find_secrets({key: entry}) else []
    return found


def replace_in(value: Any, secrets: Secrets) -> Any:
    """Return a copy of a JSON value or of a record of such, its keys aside, without the given secrets."""
    if not secrets or isinstance(value, Enum):
        return value
    if attrs.has(type(value)):
        fields = [field.name for field in attrs.fields(type(value))]
        return attrs.evolve(value, **{name: replace_in(getattr(value, name), secrets) for name in fields})
    if isinstance(value, str):
        return replace(value, secrets)
    if isinstance(value, Mapping):
        return {key: replace_in(entry, secrets) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        make = getattr(type(value), "_make", type(value))  # of named tuples
        return make(replace_in(entry, secrets) for entry in value)
    return value


def mask_plan(plan: DatabasePlan, secrets: Secrets) -> DatabasePlan:
    """Return a plan whose sentences hold none of the given secrets. What it is run with is left as it was given."""
    if not secrets:
        return plan
    steps = tuple(
        attrs.evolve(
            _mask_texts(step, secrets, "why"),
            decision=_mask_texts(step.decision, secrets, "detail", "left_because"),
            assessment=step.assessment and _mask_texts(step.assessment, secrets, "reason", "rule", "source"),
        )
        for step in plan.steps
    )
    masked = _mask_texts(plan, secrets, "refused", "barred")
    return attrs.evolve(masked, steps=steps, notes=replace_in(plan.notes, secrets))


def _mask_texts(record: _Record, secrets: Secrets, *names: str) -> _Record:
    masked: dict[str, Any] = {name: replace(getattr(record, name), secrets) for name in names}
    return attrs.evolve(record, **masked)


@contextmanager
def hide_secrets(secrets: Secrets) -> Iterator[None]:
    """Have what is raised within the block say none of the given secrets."""
    try:
        yield
    except PitstopError as error:
        masked = remove_secrets(error, secrets)
        if masked is error:
            raise
        raise masked from None
    except Exception as error:
        # a fault of somebody's code; its traceback is for who asks for it
        error.args = replace_in(error.args, secrets)
        raise


def _config(urls: Iterable[str], request: MaintenanceRequest) -> dict[str, Any]:
    # most databases are files, whose paths are no secrets
    config: dict[str, Any] = {
        "databases": {str(place): url for place, url in enumerate(urls) if "${" in url or shown_url(url) != url},
        "parameters": request.parameters,
        "thresholds": request.thresholds,
        "options": request.options,
    }
    return {name: value for name, value in config.items() if value}


class _Set(dict[str, str]):
    """The environment, in which a variable that is not set is empty: whoever runs the job says that it is missing."""

    def get(self, name: str, default: Any = None) -> Any:
        return os.environ.get(name, "")
