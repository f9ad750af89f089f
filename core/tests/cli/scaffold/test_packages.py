"""Writing the package of a new operation or worker: whole or not at all, and never over anything."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import pitstop
from pitstop.cli.scaffold.packages import new_operation, new_worker, requirement
from pitstop.cli.scaffold.template import Template, write
from pitstop.errors import BlockedError, InvalidValueError, UnknownNameError

GREETER = """
import pitstop
class Greeter(pitstop.OperationWorker):
    worker_type = "greeting"
"""


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


@pytest.fixture
def greeting(site):
    """A registry in which somebody offers the worker type `greeting`, with an operation."""
    groups = {"pitstop.workers": {"greeting": "greeter:Greeter"}, "pitstop.operations.greeting": {"hi": "greeter:hi"}}
    site.add("acme-greeting", "2.5", groups, modules={"greeter": GREETER})
    return site.registry()


def test_new_operation_writes_a_whole_package(greeting, into):
    """Project file with the entry point and what it needs, module, marker for type checkers, test, README."""
    package = new_operation("hello", "greeting", into=into, registry=greeting)
    assert package.folder == into / "pitstop-hello"
    assert [str(file) for file in package.files] == [
        "README.md",
        "pyproject.toml",
        "src/pitstop_hello/__init__.py",
        "src/pitstop_hello/py.typed",
        "tests/test_hello.py",
    ]
    assert [path.name for path in into.iterdir()] == ["pitstop-hello"]
    project = tomllib.loads((package.folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "pitstop-hello"
    assert project["dependencies"] == ["acme-greeting>=2.5,<3"]
    assert project["optional-dependencies"]["test"] == ["pitstop[testing]"]
    assert project["entry-points"] == {"pitstop.operations.greeting": {"hello": "pitstop_hello:hello"}}
    for file in package.files:
        assert "$" not in (package.folder / file).read_text()


def test_new_worker_writes_a_whole_package(site, into):
    """Its class has the type that it is registered under."""
    package = new_worker("web-page", into=into, distribution="acme-pages", registry=site.registry())
    project = tomllib.loads((package.folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"pitstop.workers": {"web-page": "acme_pages:WebPageWorker"}}
    assert project["dependencies"] == [requirement("pitstop")]
    assert 'worker_type = "web-page"' in (package.folder / "src/acme_pages/__init__.py").read_text()


def test_new_overwrites_nothing(site, into):
    """Neither a file nor a folder, not even an empty one or a link that leads nowhere."""
    (into / "pitstop-a").mkdir()
    (into / "pitstop-b").write_text("mine")
    (into / "pitstop-c").symlink_to(into / "nowhere")
    for name in "abc":
        with pytest.raises(InvalidValueError, match=f"pitstop-{name}: is there already, and nothing is overwritten"):
            new_worker(name, into=into, registry=site.registry())
    assert (into / "pitstop-b").read_text() == "mine"
    assert list((into / "pitstop-a").iterdir()) == []


def test_new_needs_a_folder_that_is_there(site, into):
    """A misspelt folder is not made."""
    with pytest.raises(InvalidValueError, match="missing: is no folder; make it first"):
        new_worker("x", into=into / "missing", registry=site.registry())


def test_new_refuses_an_operation_that_somebody_offers(greeting, into):
    """It names who."""
    with pytest.raises(InvalidValueError, match=r"an operation already: acme-greeting 2.5 \(greeter:hi\); choose"):
        new_operation("hi", "greeting", into=into, registry=greeting)
    with pytest.raises(InvalidValueError, match=r"a worker already: acme-greeting 2.5 \(greeter:Greeter\); choose"):
        new_worker("greeting", into=into, registry=greeting)
    assert list(into.iterdir()) == []


def test_new_refuses_a_name_of_a_distribution_that_is_switched_off(site, into):
    """Once it is switched on again the two would be in conflict."""
    site.add("off", "1", {"pitstop.workers": {"greeting": "off:x"}})
    with pytest.raises(InvalidValueError, match=r"a worker already: off 1 \(off:x\)"):
        new_worker("greeting", into=into, registry=site.registry(block=["off"]))


def test_new_refuses_an_installed_distribution(site, into):
    """Also one that has nothing to do with Pitstop: pip would replace it."""
    with pytest.raises(
        InvalidValueError, match=r"a distribution already: Click \d.*; choose another name with --distr"
    ):
        new_worker("x", into=into, distribution="Click", registry=site.registry())


def test_new_refuses_a_module_of_another_distribution(site, into):
    """The name of a module need not be that of its distribution."""
    with pytest.raises(
        InvalidValueError, match=r"a module already: attrs \d.*; choose another name with --distribution"
    ):
        new_worker("x", into=into, distribution="attr", registry=site.registry())


def test_new_operation_needs_its_worker(greeting, into):
    """A worker type that nobody offers is a misspelling, or a package that is not installed yet."""
    with pytest.raises(UnknownNameError, match="no worker 'greting'; did you mean 'greeting'"):
        new_operation("hello", "greting", into=into, registry=greeting)


PLAIN = """
class Plain:
    worker_type = "plain"
    def validate(self, job): ...
    def execute(self, job, context): ...
"""


def test_new_operation_for_a_worker_that_takes_none(site, into):
    """Nothing would ever call it."""
    site.add("acme-plain", "1", {"pitstop.workers": {"plain": "acme_plain:Plain"}}, modules={"acme_plain": PLAIN})
    with pytest.raises(InvalidValueError, match="the worker 'plain': takes no operations"):
        new_operation("hello", "plain", into=into, registry=site.registry())
    assert list(into.iterdir()) == []


def test_new_operation_for_a_worker_that_is_switched_off(site, into):
    """It says by which rule."""
    site.add("off", "1", {"pitstop.workers": {"greeting": "off:x"}})
    with pytest.raises(BlockedError, match="switched off by Registry"):
        new_operation("hello", "greeting", into=into, registry=site.registry(block=["off"]))


TEMPLATE = """
from pathlib import Path
from pitstop.errors import InvalidValueError
from pitstop.cli.scaffold.template import Template
def template(name):
    if name == "never":
        raise InvalidValueError(where="acme", name=name, problem="never")
    return Template(folder=Path(__file__).parent / "files", name=f"acme.{name}", requires=("extra",),
                    variables={"who": "Acme"})
"""


def test_new_operation_uses_the_template_of_the_worker(site, into):
    """A plugin says what an operation of its worker looks like, what it is called, and what it needs."""
    groups = {"pitstop.workers": {"acme": "acme_worker:W"}, "pitstop.templates": {"acme": "acme_worker:template"}}
    site.add("acme", "2.5", groups, modules={"acme_worker": TEMPLATE})
    (site.folder / "files" / "$module").mkdir(parents=True)
    (site.folder / "files" / "$module" / "x.txt.tmpl").write_text("$name by $who needs $requires")
    package = new_operation("freeze", "acme", into=into, registry=site.registry())
    assert (
        package.folder / "pitstop_freeze" / "x.txt"
    ).read_text() == 'acme.freeze by Acme needs "acme>=2.5,<3", "extra"'
    with pytest.raises(InvalidValueError, match="acme: never: never"):
        new_operation("never", "acme", into=into, registry=site.registry())


def test_write_leaves_nothing_half_written(tmp_path, into):
    """A template that cannot be filled in, or a disk that cannot be written, leaves the folder as it was."""
    (tmp_path / "a").write_text("fine")
    (tmp_path / "b").write_text("$unknown")
    with pytest.raises(KeyError, match="unknown"):
        write(tmp_path, {}, into / "new")
    assert list(into.iterdir()) == []
    (tmp_path / "b").write_text("")
    with pytest.raises(InvalidValueError, match="cannot be written: File name too long"):
        write(tmp_path, {}, into / ("x" * 300))
    assert list(into.iterdir()) == []


def test_template_is_a_plain_record(tmp_path):
    """A plugin makes one of a folder and a name."""
    assert Template(folder=tmp_path, name="x") == Template(folder=tmp_path, name="x", requires=(), variables={})


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("0.1.0", "x>=0.1,<0.2"), ("2.5.1", "x>=2.5,<3"), ("1.0", "x>=1.0,<2"), ("7", "x>=7.0,<8"), ("odd", "x")],
)
def test_requirement_ends_before_what_may_break(monkeypatch, version, wanted):
    """Before 1.0 the next minor version may, afterwards the next major one."""
    monkeypatch.setattr("pitstop.cli.scaffold.packages.metadata.version", lambda name: version)
    assert requirement("x") == wanted


def test_requirement_on_pitstop_is_its_own_version():
    """Whatever is installed: this is the one that writes."""
    major, minor, *_ = pitstop.__version__.split(".")
    assert requirement("pitstop").startswith(f"pitstop>={major}.{minor},<")
