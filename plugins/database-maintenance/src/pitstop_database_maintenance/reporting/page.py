"""The page as a whole: its head, its order, its end. One file that needs no network and no script."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Final

from pitstop_database_maintenance.reporting import past, present
from pitstop_database_maintenance.reporting.contents import Report
from pitstop_database_maintenance.reporting.findings import verdict
from pitstop_database_maintenance.reporting.html import Content, Markup, alone, element
from pitstop_database_maintenance.reporting.svg import patterns
from pitstop_database_maintenance.reporting.wording import count_text, moment, share_text, zone_text
from pitstop_database_maintenance.sizes import size_text
from pitstop_database_maintenance.urls import label

#: Whatever a name in a database may hold, the browser runs nothing and fetches nothing for this page.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(report: Report) -> str:
    """Return the report as one HTML document."""
    name = label(report.database)
    head = (
        alone("meta", charset="utf-8"),
        alone("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        alone("meta", name="viewport", content="width=device-width, initial-scale=1"),
        alone("meta", name="color-scheme", content="light dark"),
        alone("meta", name="generator", content=_generator()),
        element("title", f"{name}: database report"),
        element("style", Markup(style())),
    )
    sections = (
        present.what_was_found(report),
        present.what_is_due(report),
        past.page_maps(report),
        present.tables_and_indexes(report),
        past.predictions(report),
        past.past_runs(report),
        present.health_facts(report),
    )
    body = element("body", patterns(), _header(report, name), element("main", sections), _footer(report))
    return f"<!doctype html>\n{element('html', element('head', head), body, lang='en')}\n"


def style() -> str:
    """Return the style sheet."""
    return files("pitstop_database_maintenance.reporting").joinpath("style.css").read_text(encoding="utf-8")


def _header(report: Report, name: str) -> Markup:
    headline, sentence = verdict(report)
    return element(
        "header",
        element("p", element("bdi", report.inspection.path or report.database, class_="path"), class_="where"),
        element("h1", element("bdi", name)),
        element("p", headline, class_="headline"),
        element("p", sentence, class_="lead") if sentence else None,
        _figures(report),
    )


def _figures(report: Report) -> Content:
    """Return the few figures that everybody looks for first."""
    found = report.inspection
    if found.refused:
        return None
    waste = found.waste
    figures: list[tuple[str, Content, Content]] = [
        ("Size", size_text(found.size), f"{found.pages:,} pages"),
        (
            "Waste",
            "not known" if waste is None else share_text(waste.share.value),
            None if waste is None else size_text(waste.bytes),
        ),
        ("Log", size_text(found.log.bytes) if found.journal == "wal" else "none", f"{found.journal} mode"),
        _last_run(report),
    ]
    boxes = [
        element("div", element("dt", title), element("dd", value, element("small", more) if more else None))
        for title, value, more in figures
    ]
    return element("dl", boxes, class_="figures")


def _last_run(report: Report) -> tuple[str, Content, Content]:
    if not report.runs:
        return "Last run", "none known", None
    last = report.runs[0]
    return "Last run", moment(last.at), count_text(len(last.steps), "step")


def _footer(report: Report) -> Markup:
    return element(
        "footer",
        element("p", "Made on ", moment(report.made_at), f" ({zone_text(report.made_at)}) by {_generator()}."),
        element("p", "Sizes are decimal: 1 MB is 1,000,000 bytes. Nothing in this page is fetched from elsewhere."),
    )


def _generator() -> str:
    try:
        return f"pitstop-database-maintenance {version('pitstop-database-maintenance')}"
    except PackageNotFoundError:
        return "pitstop-database-maintenance"
