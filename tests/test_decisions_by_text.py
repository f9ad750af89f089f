"""No decision is taken by what a sentence says: words are for people, and programs go by codes.

What SQLite says only in words comes from outside: it is read in the modules below, and nowhere else.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for package in ("core/src", "plugins/database-maintenance/src")
    for path in (ROOT / package).rglob("*.py")
    if "testing" not in path.parts and "scaffold" not in path.parts
)
#: These read what SQLite, Python's sqlite3 or SQL says.
READERS = {
    "surveyor/schema/sqlite_texts.py",
    "connection/check_answers.py",
    "stores/sqlite/errors.py",
}
#: What holds a sentence for people.
SENTENCES = {"why", "reason", "summary", "hint", "message", "detail"}
MATCHERS = {"startswith", "endswith", "removeprefix", "removesuffix", "find", "index", "count", "partition"}


def is_sentence(node: ast.expr) -> bool:
    """Whether something is a text of several words, or a field that holds one."""
    if isinstance(node, ast.Constant):
        words = node.value.split() if isinstance(node.value, str) else []
        return len(words) > 1 and all(word[0].islower() for word in words)
    return isinstance(node, ast.Attribute) and node.attr in SENTENCES


def parts(node: ast.expr) -> list[ast.expr]:
    """What is compared: each item of a tuple or list."""
    return node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]


def is_decision(node: ast.AST) -> bool:
    """Whether a sentence is compared, searched or taken apart. Whether there is one at all may be asked."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
        sides = [part for side in (node.left, *node.comparators) for part in parts(side)]
        empty = any(isinstance(side, ast.Constant) and not side.value for side in sides)
        return not empty and any(map(is_sentence, sides))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MATCHERS:
        return is_sentence(node.func.value) or any(map(is_sentence, node.args))
    return False


def decisions_by_text(tree: ast.Module) -> list[int]:
    """Return the lines in which something is decided by a sentence."""
    return [node.lineno for node in ast.walk(tree) if is_decision(node)]


def test_no_sentence_is_compared():
    """Not with another, and not for what is in it."""
    assert len(SOURCES) > 100
    others = [path for path in SOURCES if not path.as_posix().endswith(tuple(READERS))]
    found = {str(path.relative_to(ROOT)): decisions_by_text(ast.parse(path.read_text())) for path in others}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "step.why == wrong",
        "'which does not fit into the' in text",
        "error.reason.startswith(name)",
        "text.endswith('is not there')",
        "broken != 'sent what is no message'",
    ],
)
def test_such_a_decision_is_found(source):
    """So that this test tests something."""
    assert decisions_by_text(ast.parse(source)) == [1]
