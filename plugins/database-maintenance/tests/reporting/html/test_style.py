"""The style sheet of the page: every colour can be told from its ground, in both schemes."""

import re

import pytest

from pitstop_database_maintenance.reporting.html import page_maps
from pitstop_database_maintenance.reporting.html.page import read_style


def colours(scheme):
    """Return the colours of the style sheet for the light or the dark scheme."""
    sheet = read_style()
    light, dark = sheet.split("@media (prefers-color-scheme: dark)")[:2]
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light.partition("}")[0]))
    if scheme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark.partition("}")[0]))
    return found


def luminance(colour):
    """Return the relative luminance by https://www.w3.org/TR/WCAG21/#dfn-relative-luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_style_has_contrast_enough(scheme):
    """Letters have 4.5 to 1 and pictures 3 to 1, as WCAG 2.1 AA asks (1.4.3 and 1.4.11)."""
    of = colours(scheme)
    for ink in ("text", "quiet", "accent"):
        for ground in ("ground", "sheet"):
            assert contrast(of[ink], of[ground]) >= 4.5, (ink, ground)
    for kind in ("due", "look", "fine"):
        assert contrast(of[kind], of[f"{kind}-ground"]) >= 4.5, kind
    for fill in ("table", "index", "overflow", "other", "free"):
        assert contrast(of[fill], of["sheet"]) >= 3, fill


def test_style_has_dark_colours_for_all_light_ones():
    """No colour of the light scheme is left over in the dark one."""
    dark = read_style().split("@media (prefers-color-scheme: dark)")[1].partition("}")[0]
    assert set(re.findall(r"--([\w-]+):", dark)) == set(colours("light")) | {"mild"}


def test_style_names_every_kind_of_page():
    """Each kind of page on a map has a colour of its own."""
    for kind, _ in page_maps.KINDS:
        assert f".page-{kind} " in read_style()
