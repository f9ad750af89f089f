"""What help and listings say of plugins that are not imported: read from their sources, whatever these look like."""

import zipfile

import pytest

from pitstop.cli import source
from pitstop.registry.entry_points import EntryPoint

LOUD = "raise SystemExit('imported')\n"


@pytest.fixture(autouse=True)
def forgetful():
    """Sources that are read anew by each test."""
    source._read.cache_clear()
    source._find_spec.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path, in which nothing can be imported without an end of the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def told(target: str) -> str:
    return source.summary(target, 80)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ('@click.command()\ndef tidy():\n    """Tidy up. And more."""\n', "Tidy up."),
        ("@click.command(short_help='Tidy it.')\ndef tidy():\n    '''Tidy up.'''\n", "Tidy it."),
        (
            "@click.command(\n    help=TEXT,\n)\n@click.option('-x', help='No')\ndef tidy(x): pass\nTEXT = 'Tidy.'\n",
            "Tidy.",
        ),
        ("tidy = click.Group('tidy', help='Tidy up.')\n", "Tidy up."),
        ("if True:\n    @click.command()\n    def tidy():\n        'Tidy up.'\n", "Tidy up."),
        ("try:\n    import nothing\nexcept ImportError:\n    pass\nelse:\n    def tidy(): 'Tidy up.'\n", "Tidy up."),
        ("def tidy(): 'Once.'\ndef tidy(): 'Tidy up.'\n", "Tidy up."),
        ("TEMPLATE = '''\ndef tidy(): 'Not this.'\n'''\ndef tidy():\n    'Tidy up.'\n", "Tidy up."),
        ("def tidy():\n    'Tidy \x1b[31m up.'\n", "Tidy \\x1b[31m up."),
        ("def tidy():\n    '\\d is no escape.'\n", "\\d is no escape."),
        ("def tidy(): pass\n", ""),
        ("from elsewhere import tidy\n", ""),
        ("tidy = make()\n", ""),
        ("help = help\ntidy = click.Command('tidy', help=help)\n", ""),
        ("def tidy(:\n", ""),
        ("\0", ""),
        ("tidy = " + "(" * 5000 + ")" * 5000 + "\n", ""),
        ("", ""),
    ],
)
def test_source_tells_what_a_command_does(site, text, summary):
    """As click would show it; "" where the source does not say it in a literal, or is none."""
    (site / "tidy_up.py").write_text(f"import click\n{text}{LOUD}")
    assert told("tidy_up:tidy") == summary


def test_source_is_followed_through_packages(site):
    """A name that a package only passes on is found where it is defined; none of its modules is imported."""
    (site / "outer" / "inner").mkdir(parents=True)
    (site / "outer" / "__init__.py").write_text(LOUD + "from .inner import tidy as tidy_up\n")
    (site / "outer" / "inner" / "__init__.py").write_text(LOUD + "from .commands import tidy\n")
    (site / "outer" / "inner" / "commands.py").write_text(LOUD + "def tidy(): 'Tidy up.'\n")
    assert told("outer:tidy_up") == told("outer.inner.commands:tidy") == "Tidy up."


def test_source_in_circles_ends(site):
    """Imports that lead round in a circle tell nothing."""
    (site / "here.py").write_text("from there import tidy\n")
    (site / "there.py").write_text("from here import tidy\n")
    assert told("here:tidy") == ""


def test_source_in_another_encoding_or_a_zip_file(site, monkeypatch):
    """Read as Python would read it."""
    (site / "latin.py").write_bytes("# coding: latin-1\ndef tidy(): 'Räumt auf.'\n".encode("latin-1"))
    (site / "odd.py").write_bytes(b"def tidy(): 'R\xe4umt auf.'\n")
    with zipfile.ZipFile(site / "packed.zip", "w") as packed:
        packed.writestr("within.py", LOUD + "def tidy(): 'Tidy up.'\n")
    monkeypatch.syspath_prepend(str(site / "packed.zip"))
    assert told("latin:tidy") == "Räumt auf."
    assert told("odd:tidy") == ""
    assert told("within:tidy") == "Tidy up."


@pytest.mark.parametrize("target", ["nowhere:tidy", "nowhere.at.all:tidy", "sys:exit", "math:sin", "xml", "json:"])
def test_source_that_is_not_there_tells_nothing(target):
    """A module that is gone, compiled, or no command."""
    assert told(target) == ""


def test_source_of_a_stranger_s_finder_that_raises(monkeypatch):
    """What is in the way of an import is no reason to show no help."""

    class Finder:
        def find_spec(self, name, path, target=None):
            raise RuntimeError(name)

    monkeypatch.setattr("sys.meta_path", [Finder()])
    assert told("anything:tidy") == ""


def entries(count: int) -> list[EntryPoint]:
    return [
        EntryPoint(group="pitstop.commands", name=f"tidy{n}", target="tidy_up:tidy", distribution="acme", version="1")
        for n in range(count)
    ]


def test_describe_falls_back_to_who_offers_it(site):
    """Of what its source does not tell, and of very many, it is told where they come from."""
    assert source.describe(entries(1), 80) == [("tidy0", "from acme 1")]
    (site / "tidy_up.py").write_text("def tidy(): 'Tidy up.'\n")
    source._read.cache_clear()
    source._find_spec.cache_clear()
    assert source.describe(entries(2), 80) == [("tidy0", "Tidy up."), ("tidy1", "Tidy up.")]
    assert set(dict(source.describe(entries(1000), 80)).values()) == {"from acme 1"}


def test_help_says_what_commands_of_plugins_do(pitstop):
    """In one line each, without importing them; two of one name are told by what picks one of them."""
    text = LOUD + "import click\n@click.command()\ndef tidy():\n    'Tidy up.'\n"
    pitstop.package("acme-one", {"pitstop.commands": {"tidy": "acme_one:tidy"}}, {"acme_one": text})
    pitstop.package("acme-two", {"pitstop.commands": {"tidy": "acme_two:tidy"}}, {"acme_two": LOUD})
    answer = pitstop("--help", COLUMNS="80")
    assert answer.code == 0
    assert "  acme-one/tidy  Tidy up.\n" in answer.out
    assert "  acme-two/tidy  from acme-two 1.0\n" in answer.out
    assert "  maintain       Do what pays, and say what came of it.\n" in answer.out
    assert max(map(len, answer.out.splitlines())) <= 80
