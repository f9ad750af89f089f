"""What the site's pages get when it is built. MkDocs itself is not needed; .ci/run builds the whole site."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from command_pages import commands, markdown
from examples_page import anchor, examples, pointed
from life_diagram import WORDS, life_of_a_job
from mermaid_svg import drawn
from operation_tables import operations, parameter_table, threshold_table, thresholds
from promise_tables import class_of, promises

from pitstop.cli.app import BUILT_IN, app
from pitstop.jobs import TRANSITIONS

ROOT = Path(__file__).parents[2]


def test_life_of_a_job_has_an_edge_for_each_transition() -> None:
    """The diagram has the table's edges, the beginning and the ends, and no other."""
    found = set(re.findall(r"^  (\S+) --> (\S+?)(?::|$)", life_of_a_job(), re.MULTILINE))
    edges = {(str(a), str(b)) for a, followers in TRANSITIONS.items() for b in followers}
    assert found == edges | {("[*]", "pending")} | {(str(s), "[*]") for s in TRANSITIONS if s.terminal}


def test_life_of_a_job_changes_with_the_table() -> None:
    """Another move in `TRANSITIONS` is another edge, and the status that it leaves is no end any more."""
    table = {**{str(status): set(map(str, after)) for status, after in TRANSITIONS.items()}, "failed": {"pending"}}
    drawing = life_of_a_job(table, {**WORDS, ("failed", "pending"): "once more"})
    assert "  failed --> pending: once more\n" in drawing
    assert "failed --> [*]" in life_of_a_job()
    assert "failed --> [*]" not in drawing


def test_life_of_a_job_is_the_same_each_time() -> None:
    """The order is the table's, not that of a set."""
    table = {"a": frozenset({"c", "b"}), "b": frozenset(), "c": frozenset()}
    words = {("a", "b"): "x", ("a", "c"): "y"}
    assert re.findall(r"a --> (\w)", life_of_a_job(table, words)) == ["b", "c"]


def test_life_of_a_job_wants_words_for_each_edge() -> None:
    """A new move without words stops the build, and so do words for one that is gone."""
    with pytest.raises(ValueError, match="what leads from one to the other: a -> b"):
        life_of_a_job({"a": {"b"}, "b": set()}, {})
    with pytest.raises(ValueError, match=r"no such move; take it out of life_diagram\.WORDS: b -> a"):
        life_of_a_job({"a": {"b"}, "b": set()}, {("a", "b"): "x", ("b", "a"): "y"})


def test_life_of_a_job_is_where_the_page_asks_for_it() -> None:
    """The page says where the diagram goes, and tells the words on its edges."""
    page = (ROOT / "docs" / "explanation" / "life-of-a-job.md").read_text()
    assert page.count("<!-- site: life-of-a-job -->") == 1
    told = {word for words in WORDS.values() for word in words.split(", ")}
    assert [word for word in sorted(told) if word not in page.lower()] == []


def test_drawings_of_one_page_have_names_of_their_own() -> None:
    """Mermaid's name for its drawing, in its styles too, is replaced."""
    svg = drawn(
        "flowchart LR", "drawing-2", render=lambda source: f'<svg id="my-svg"><style>#my-svg p{{}}</style>{source}'
    )
    assert svg == '<figure class="drawing"><svg id="drawing-2"><style>#drawing-2 p{}</style>flowchart LR</figure>'


def test_commands_are_all_on_their_page() -> None:
    """Each command, each below a group and each of the plugin has a section with its options."""
    page = markdown(app, "pitstop")
    for words in ("pitstop", *(f"pitstop {name}" for name in BUILT_IN), "pitstop jobs purge", "pitstop maintain"):
        assert re.search(rf"^#+ {words} {{", page, re.MULTILINE), words
    assert "`--max-stall TIME`\n:   How long a writer may be kept waiting" in page
    assert page.count("```") % 2 == 0


def test_commands_help_becomes_markdown() -> None:
    """What click is told not to wrap stays as it is; what looks like a tag is shown; what is hidden is not."""

    @click.command(epilog="\b\n  as\n  it is")
    @click.option("--old", hidden=True, help="Not for you.")
    @click.argument("name")
    def greet(name: str, old: str) -> None:
        """Greet <somebody>,
        and wait.

        \b
        one
          two
        """

    page = markdown(greet, "greet")
    usage = "```text\ngreet [OPTIONS] NAME\n```"
    assert page.startswith(f"## greet {{ #greet }}\n\n{usage}\n\nGreet &lt;somebody&gt;, and wait.\n")
    assert "```text\none\n  two\n```" in page
    assert "```text\nas\nit is\n```" in page
    assert "--old" not in page
    assert "`NAME`" not in page


def test_commands_yields_what_a_user_types() -> None:
    """Groups come before what is below them."""
    group = click.Group(
        "g", commands={"b": click.Command("b"), "a": click.Group("a", commands={"c": click.Command("c")})}
    )
    assert [words for words, _ in commands(group, "g")] == ["g", "g a", "g a c", "g b"]


def test_examples_page_has_every_file_under_its_anchor() -> None:
    """Each link of the README leads to a heading of the page."""
    page = examples(ROOT)
    anchors = re.findall(r"\{ #([\w-]+) \}", page)
    assert re.findall(r"\]\(#([\w-]+)\)", page) == anchors, "in another order than the table"
    assert {anchor("script.py"), anchor("third-party-operation")} <= set(anchors)
    assert (ROOT / "examples" / "script.py").read_text().strip() in page
    assert "](../" not in page


@pytest.mark.parametrize(
    ("page", "link", "led"),
    [
        ("guides/embedding.md", "../../examples/", "../examples.md"),
        ("guides/embedding.md", "../../examples/own_worker.py", "../examples.md#own-worker-py"),
        ("guides/hooks.md", "../../examples/third-party-operation", "../examples.md#third-party-operation"),
        ("guides/hooks.md", "operators.md#what-ran", "operators.md#what-ran"),
    ],
)
def test_links_to_examples_lead_to_their_page(page: str, link: str, led: str) -> None:
    """From wherever they come; other links stay."""
    assert pointed(f"see [`this`]({link}), and", page) == f"see [`this`]({led}), and"


def test_links_that_leave_the_site_are_refused() -> None:
    """What is beside docs/ is not on the site."""
    with pytest.raises(ValueError, match=r"operators\.md: \.\./CHANGELOG\.md is not on the site"):
        pointed("[changes](../CHANGELOG.md)", "operators.md")


class Base:
    """Comes from elsewhere."""

    def test_base(self) -> None:
        """It is told elsewhere."""


class Suite(Base):
    """What a thing promises. Say which:

    thing = Thing
    """

    def helper(self) -> None:
        """No test."""

    def test_ends(self) -> None:
        """It ends,
        with a | b.
        """


class Silent:
    """Has a test that says nothing."""

    def test_silent(self) -> None:
        pass


def test_promises_are_the_docstrings_of_tests() -> None:
    """A table for each class that has tests, with each test and all that its docstring says."""
    assert promises(f"{__name__}.Suite").split("\n\n") == [
        "**Suite.** What a thing promises. Say which",
        "| test | promise |\n|---|---|\n| `ends` | It ends, with a \\| b. |",
        "**Base.** Comes from elsewhere.",
        "| test | promise |\n|---|---|\n| `base` | It is told elsewhere. |",
    ]


def test_promises_leave_out_what_another_suite_has() -> None:
    """Each promise stands in one table."""
    assert "`base`" not in promises(f"{__name__}.Suite", f"{__name__}.Base")
    with pytest.raises(ValueError, match="has no test of its own"):
        promises(f"{__name__}.Base", f"{__name__}.Suite")


def test_promises_must_be_told() -> None:
    """A test without a docstring stops the build."""
    with pytest.raises(ValueError, match=r"Silent\.test_silent says nothing of what it promises"):
        promises(f"{__name__}.Silent")


@pytest.mark.parametrize("page", ["testing", "database-testing"])
def test_promises_of_each_suite_are_on_its_page(page: str) -> None:
    """Every test that a suite runs is in one of the tables of the reference."""
    texts = [(ROOT / "docs" / "reference" / f"{name}.md").read_text() for name in ("testing", "database-testing")]
    asked = [
        mark.split() for text in texts for mark in re.findall(r"^<!-- site: promises (.*) -->$", text, re.MULTILINE)
    ]
    told = "\n".join(promises(*names) for names in asked)
    own = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
    suites = [name for name in re.findall(r"^::: (\S+Contract)$", own, re.MULTILINE) if ".base." not in name]
    assert len(suites) >= 3
    for suite in suites:
        tests = [name.removeprefix("test_") for name in dir(class_of(suite)) if name.startswith("test_")]
        assert [name for name in tests if f"\n| `{name}` | " not in told] == [], suite


def test_parameters_of_each_operation_are_on_their_page() -> None:
    """With the default that the code has and what the docstring says, once."""
    table = parameter_table()
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| (.*?) \| .+ \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n") - 1
    assert [row[:2] for row in rows] == [
        (name, each.name) for name, operation in operations().items() for each in operation.parameters
    ]
    assert ("vacuum", "drop_lost_pages", "`false`") in rows
    assert ("backup", "to", "must be given") in rows
    assert ("backup", "keep", "") in rows


def test_thresholds_are_on_their_page_without_the_parameters() -> None:
    """Those of the assessments and of the policies; what the operation itself takes is in the other table."""
    table = threshold_table()
    assert re.findall(r"^\| `([\w.]+)` ", table, re.MULTILINE) == list(thresholds())
    assert "| `space.low` | `[]` | " in table
    assert "| `reindex.min_waste` | `0.5` | " in table
    assert "vacuum.allow_renumbering" not in table


def test_parameters_and_thresholds_are_where_the_page_asks_for_them() -> None:
    """Each is asked for once."""
    page = (ROOT / "docs" / "reference" / "sqlite-operations.md").read_text()
    assert re.findall(r"^<!-- site: (.*) -->$", page, re.MULTILINE) == ["parameters", "thresholds"]


def test_home_shows_what_the_readme_shows() -> None:
    """The same output of inspect, plan and maintain, which was measured once."""
    (block,) = re.findall(r"^```console\n\$ pitstop inspect .*?^```$", (ROOT / "README.md").read_text(), re.M | re.S)
    assert block in (ROOT / "docs" / "index.md").read_text()


def test_pages_are_called_what_the_navigation_calls_them() -> None:
    """Whoever follows a name arrives at a page of that name."""
    named = re.findall(r'^ *- "?(.+?)"?: (\S+\.md)$', (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert len(named) > 30
    for name, page in named:
        if page != "index.md":
            text = (ROOT / ("examples/README.md" if page == "examples.md" else f"docs/{page}")).read_text()
            assert text.startswith(f"# {name}\n"), page


def test_links_are_words() -> None:
    """The text of a link is no file name."""
    for page in (ROOT / "docs").rglob("*.md"):
        assert re.findall(r"\[[\w/.-]+\.md\]\([^)]*\)", page.read_text()) == [], page
