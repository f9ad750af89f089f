"""The page as a whole: head, order of the sections, footer. One file that needs no network and no script."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Final

from pitstop.text import count_noun, local_time
from pitstop_database_maintenance.databases.urls import label, parse
from pitstop_database_maintenance.reporting.findings import write_verdict
from pitstop_database_maintenance.reporting.html import current_state, page_maps, past_runs
from pitstop_database_maintenance.reporting.html.charts import PATTERNS
from pitstop_database_maintenance.reporting.html.components import moment
from pitstop_database_maintenance.reporting.html.elements import Content, Markup, alone, element
from pitstop_database_maintenance.reporting.report_model import Report

#: Whatever a name in a database may hold, the browser runs nothing and fetches nothing for this page.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def make_page(report: Report) -> str:
    """Return the report as one HTML document."""
    name = label(report.database)
    named = {"viewport": "width=device-width, initial-scale=1", "color-scheme": "light dark", "generator": _generator()}
    head = (
        alone("meta", charset="utf-8"),
        alone("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        [alone("meta", name=key, content=content) for key, content in named.items()],
        element("title", f"{name}: database report"),
        element("style", Markup(read_style())),
    )
    sections = (
        current_state.show_findings(report),
        current_state.show_plan(report),
        page_maps.show_page_maps(report),
        current_state.show_space(report),
        past_runs.show_predictions(report),
        past_runs.show_runs(report),
        current_state.show_facts(report),
    )
    body = element("body", PATTERNS, _header(report, name), element("main", sections), _footer(report))
    return f"<!doctype html>\n{element('html', element('head', head), body, lang='en')}\n"


def read_style() -> str:
    """Return the style sheet."""
    return files("pitstop_database_maintenance.reporting.html").joinpath("style.css").read_text(encoding="utf-8")


def _header(report: Report, name: str) -> Markup:
    headline, sentence = write_verdict(report)
    return element(
        "header",
        element("p", element("bdi", parse(report.database).path or report.database, class_="path"), class_="where"),
        element("h1", element("bdi", name)),
        element("p", headline, class_="headline"),
        element("p", sentence, class_="lead") if sentence else None,
        _show_figures(report),
    )


def _show_figures(report: Report) -> Content:
    """Return the few figures that everybody looks for first."""
    if report.refused:
        return None
    boxes = [
        element("div", element("dt", title), element("dd", value, element("small", more) if more else None))
        for title, value, more in (*report.description.figures, _last_run(report))
    ]
    return element("dl", boxes, class_="figures")


def _last_run(report: Report) -> tuple[str, Content, Content]:
    if not report.past.runs:
        return "Last run", "none known", None
    last = report.past.runs[0]
    return "Last run", moment(last.at), count_noun(len(last.steps), "step")


def _footer(report: Report) -> Markup:
    return element(
        "footer",
        element("p", "Made on ", moment(report.made_at), f" ({_time_zone(report.made_at)}) by {_generator()}."),
        element("p", "Sizes are decimal: 1 MB is 1,000,000 bytes. Nothing in this page is fetched from elsewhere."),
    )


def _generator() -> str:
    try:
        return f"pitstop-database-maintenance {version('pitstop-database-maintenance')}"
    except PackageNotFoundError:
        return "pitstop-database-maintenance"


def _time_zone(at: float) -> str:
    """Return the local time zone's difference from UTC, such as "UTC+01:00"."""
    here = local_time(at)
    return f"UTC{here.isoformat()[-6:]}" if here.utcoffset() else "UTC"
