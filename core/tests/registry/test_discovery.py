"""What is found, what is passed over, and what is reported, without any plugin being imported."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, DistributionFinder

import pytest

from pitstop.registry.discovery import Discovery, Problem, discover


def offered(found: Discovery) -> list[tuple[str, str, str]]:
    return [(entry.distribution, entry.version, entry.name) for entry in found.entries]


def test_discover_reads_a_dist_info(site):
    """Name and version come from the folder's name, everything else from the declaration."""
    site.add("Acme_Freeze", "0.1", {"pitstop.workers": {"freezing": "acme.freeze:Worker"}})
    (entry,) = discover(site.path).entries
    assert entry.as_dict() == {
        "group": "pitstop.workers",
        "name": "freezing",
        "target": "acme.freeze:Worker",
        "distribution": "acme-freeze",
        "version": "0.1",
        "location": site.path[0],
    }
    assert entry.title == "acme-freeze 0.1 (acme.freeze:Worker)"


def test_discover_keeps_only_groups_that_begin_with_pitstop(site):
    """A group that nobody knows is kept, because plugins have plugins; console scripts and look-alikes are not."""
    site.add(
        "acme",
        groups={
            "console_scripts": {"pitstop.x": "a:b"},
            "pitstop": {"no": "a:b"},
            "pitstopper.workers": {"no": "a:b"},
            "pitstop.databases": {"postgresql": "a:B"},
            "pitstop.operations.demo": {"demo.run": "a:run"},
        },
    )
    assert [(e.group, e.name) for e in discover(site.path).entries] == [
        ("pitstop.databases", "postgresql"),
        ("pitstop.operations.demo", "demo.run"),
    ]


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("x = a.b:c.d", "a.b:c.d"),
        ("x=module", "module"),
        ("x = a : b ", "a:b"),
        ("x = a:b [extra, other]", "a:b"),
        ("x = grün:öffnen", "grün:öffnen"),
    ],
)
def test_discover_accepts_every_way_to_write_a_target(site, line, target):
    """A module or a module and an attribute, dotted or not, with spaces and extras as old tools wrote them."""
    site.add("acme", text=f"[pitstop.workers]\n{line}\n")
    found = discover(site.path)
    assert [(e.name, e.target) for e in found.entries] == [("x", target)]
    assert found.problems == []


def test_discover_reads_windows_lines_comments_and_a_byte_order_mark(site):
    """What an editor adds to the file does no harm."""
    site.add("acme", text=b"\xef\xbb\xbf[ pitstop.workers ]\r\n# one\r\n; two\r\n\r\nx = a:b\r\n")
    found = discover(site.path)
    assert [(e.group, e.name, e.target) for e in found.entries] == [("pitstop.workers", "x", "a:b")]
    assert found.problems == []


def test_discover_reads_a_long_file_to_its_end(site):
    """A file that does not fit into one read is read whole, whatever its length."""
    for length in (16384, 16385, 60000):
        text = "[pitstop.workers]\nfirst = a:b\n"
        text = text + "#" * (length - len(text) - 12) + "\nlast = a:b\n"
        assert len(text) == length
        site.add(f"acme-{length}", text=text)
    assert [e.name for e in discover(site.path).entries] == ["first"] * 3 + ["last"] * 3


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("no equals sign", "the line 'no equals sign' has no '='"),
        (" = a:b", "the line '= a:b' has no name"),
        ("x =", "'' is not 'module:attribute'"),
        ("x = a b", "'a b' is not 'module:attribute'"),
        ("x = a:", "'a:' is not 'module:attribute'"),
        ("x = :b", "':b' is not 'module:attribute'"),
        ("x = a:b:c", "'a:b:c' is not 'module:attribute'"),
        ("x = a..b:c", "'a..b:c' is not 'module:attribute'"),
        ("x = a:b()", "'a:b()' is not 'module:attribute'"),
        ("x = a:b [extra", "'a:b [extra' is not 'module:attribute'"),
        ("fine = other:thing", "the name is declared twice; a:b is used, other:thing is not"),
        ("[pitstop.hooks", "'[pitstop.hooks' is no group"),
        ("[pitstop.]", "'[pitstop.]' is no group"),
        ("[pitstop.a b]", "'[pitstop.a b]' is no group"),
        ("[pitstop.a\x1b[0m]", "'[pitstop.a\\x1b[0m]' is no group"),
        ("[other", "'[other' is no group"),
        ("[other] = a:b", "'[other] = a:b' is no group"),
        ("\x1b[2J = a:b", "the name '\\x1b[2J' holds what cannot be shown"),
    ],
)
def test_discover_reports_a_malformed_line_and_keeps_the_rest(site, line, cause):
    """One bad line costs only itself, and the report names who wrote it."""
    site.add("acme", "3", text=f"[pitstop.workers]\nfine = a:b\n{line}\n[pitstop.stores]\nalso = a:c\n")
    found = discover(site.path)
    assert [e.name for e in found.entries] == ["also", "fine"]
    (problem,) = found.problems
    assert (problem.distribution, problem.version) == ("acme", "3")
    assert problem.where.endswith("acme-3.dist-info/entry_points.txt")
    assert cause in problem.cause
    assert str(problem).startswith("acme 3 (")
    assert "PITSTOP_BLOCK=acme" in str(problem)


def test_discover_reads_the_file_as_lines_not_as_whatever_else_ends_one(site):
    """A form feed or a Unicode separator within a line does not begin another one."""
    site.add("acme", text="[pitstop.workers]\nx = a:b\n# note\u2028[pitstop.stores]\x0c\ny = a:b\n")
    assert [(e.group, e.name) for e in discover(site.path).entries] == [
        ("pitstop.workers", "x"),
        ("pitstop.workers", "y"),
    ]


def test_discover_reports_bytes_that_are_no_utf8_in_our_groups_only(site):
    """Undecodable bytes in somebody else's group are nobody's business here; in ours they cost one line."""
    other = b"[console_scripts]\ncaf\xe9 = a:b\n[caf\xe9]\n"
    site.add("acme", text=other + b"[pitstop.workers]\nx = a:b\ncaf\xe9 = a:b\n[pitstop.caf\xe9]\nlost = a:b\n")
    found = discover(site.path)
    assert [e.name for e in found.entries] == ["x"]
    assert sorted(problem.cause for problem in found.problems) == [
        "the group [pitstop.caf\\xe9] is not UTF-8; it is left out",
        "the line caf\\xe9 = a:b is not UTF-8",
    ]
    assert "\\xe9" in str(found.problems[-1])


def test_discover_is_not_concerned_by_garbage_elsewhere(site):
    """A broken file of an unrelated distribution, or a broken group of a related one, is not reported."""
    site.add("unrelated", text=b"\xff\xfe\x00[[[\nno equals\n= = =\n[console_scripts\n")
    site.add("half", text="garbage\n[console_scripts]\nno equals\n[other\n[pitstop.workers]\nx = a:b\n")
    found = discover(site.path)
    assert offered(found) == [("half", "1.0", "x")]
    assert found.problems == []
    assert list(found.distributions) == ["half"]


@pytest.mark.parametrize(
    ("folder", "name", "version"),
    [
        ("acme_freeze-0.1.egg-info", "acme-freeze", "0.1"),
        ("acme_freeze-0.1-py3.11.egg-info", "acme-freeze", "0.1"),
        ("acme_freeze-0.1-py3.11-linux-x86_64.egg-info", "acme-freeze", "0.1"),
        ("acme_freeze.egg-info", "acme-freeze", "7"),
        ("acme_freeze.dist-info", "acme-freeze", "7"),
        ("Acme.Freeze-0.1.dist-info", "acme-freeze", "0.1"),
    ],
)
def test_discover_reads_the_names_that_tools_give_folders(site, folder, name, version):
    """Old and new metadata folders are understood; where the name tells no version the metadata does."""
    site.add("Acme_Freeze", "7", {"pitstop.workers": {"x": "a:b"}}, folder=folder)
    assert offered(discover(site.path)) == [(name, version, "x")]


def test_discover_reads_an_egg_on_the_path(site):
    """An unpacked egg is an entry of the path itself, and its metadata has no name of its own."""
    site.add("acme", "2", {"pitstop.workers": {"x": "a:b"}}, folder="acme-2-py3.11.egg/EGG-INFO")
    assert discover(site.path).entries == []
    assert offered(discover([f"{site.path[0]}/acme-2-py3.11.egg"])) == [("acme", "2", "x")]


def test_discover_passes_over_a_file_called_egg_info(site):
    """Very old tools wrote a file where a folder is expected."""
    (site.folder / "old-1.0.egg-info").write_text("Name: old\n# pitstop.workers\n")
    assert discover(site.path).problems == []


def test_discover_takes_the_first_distribution_on_the_path(site, tmp_path):
    """What Python would import is what counts, also when the later one is newer, and when the first offers nothing."""
    second = type(site)(tmp_path / "second")
    site.add("acme", "1", {"pitstop.workers": {"old": "a:b"}})
    site.add("silent", "1")
    second.add("Acme", "2", {"pitstop.workers": {"new": "a:b"}})
    second.add("silent", "2", {"pitstop.workers": {"unheard": "a:b"}})
    second.add("other", "5", {"pitstop.workers": {"other": "a:b"}})
    found = discover([*site.path, *second.path, *site.path])
    assert offered(found) == [("acme", "1", "old"), ("other", "5", "other")]
    assert found.problems == []


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.9", "1.10"),
        ("1.0rc1", "1.0"),
        ("1.0.dev3", "1.0a1"),
        ("1.0a2", "1.0b1"),
        ("1.0", "1.0.post1"),
        ("1.0.post1", "1.0.1"),
        ("9.0", "1!0.1"),
        ("2.0", "2.0+local"),
        ("1.0b9", "1.0b10"),
    ],
)
def test_discover_takes_the_highest_version_left_in_one_folder(site, lower, higher):
    """An installation that failed may leave two; which one counts does not depend on the order of the folder."""
    for version in (higher, lower):
        site.add("acme", version, {"pitstop.workers": {version: "a:b"}})
    found = discover(site.path)
    assert offered(found) == [("acme", higher, higher)]
    (problem,) = found.problems
    folders = ", ".join(sorted(f"acme-{version}.dist-info" for version in (lower, higher)))
    assert f"holds 2 distributions of this name: {folders}" in problem.cause
    assert problem.cause.endswith(f"version {higher} is used")


def test_discover_does_not_count_a_folder_without_metadata(site):
    """A left-over folder with a higher version but without metadata is not an installed distribution."""
    site.add("acme", "1.0", {"pitstop.workers": {"x": "a:b"}})
    (site.folder / "acme-2.0.dist-info").mkdir()
    assert offered(discover(site.path)) == [("acme", "1.0", "x")]


def test_discover_offers_nothing_if_the_highest_version_offers_nothing(site):
    """What a newer version no longer declares is not taken from the older one beside it."""
    site.add("acme", "1.0", {"pitstop.workers": {"x": "a:b"}})
    site.add("acme", "2.0")
    found = discover(site.path)
    assert found.entries == []
    assert "version 2.0 is used" in found.problems[0].cause


def test_discover_passes_over_what_pip_left_half_removed(site):
    """A folder that pip had renamed before it failed offers nothing, and is reported."""
    site.add("acme", "1.0", {"pitstop.workers": {"x": "a:b"}})
    site.add("~cme", "0.9", {"pitstop.workers": {"x": "a:b"}})
    found = discover(site.path)
    assert offered(found) == [("acme", "1.0", "x")]
    assert "left over" in str(found.problems[0])


def test_discover_sorts_whatever_order_the_folder_lists(site, monkeypatch):
    """Two orders of one folder give one answer."""
    for name in ("zeta", "alpha", "midway"):
        site.add(name, groups={"pitstop.workers": {f"{name}-1": "a:b", "same": "a:b"}}, text=None)
        site.add(f"{name}-bad", text="[pitstop.workers]\nbad\n")
    listed = os.listdir
    answers = []
    for descending in (False, True):
        monkeypatch.setattr("os.listdir", lambda place, d=descending: sorted(listed(place), reverse=d))
        found = discover(site.path)
        answers.append((found.entries, found.problems, list(found.distributions)))
    assert answers[0] == answers[1]
    assert [(e.name, e.distribution) for e in answers[0][0]] == [
        ("alpha-1", "alpha"),
        ("midway-1", "midway"),
        ("same", "alpha"),
        ("same", "midway"),
        ("same", "zeta"),
        ("zeta-1", "zeta"),
    ]
    assert [problem.distribution for problem in answers[0][1]] == ["alpha-bad", "midway-bad", "zeta-bad"]


def test_discover_reports_a_file_that_cannot_be_read(site):
    """An unreadable declaration is the problem of its distribution, and of no other."""
    info = site.add("acme", "1.0")
    (info / "entry_points.txt").symlink_to("entry_points.txt")
    (site.add("folder", "1.0") / "entry_points.txt").mkdir()
    site.add("fine", groups={"pitstop.workers": {"x": "a:b"}})
    found = discover(site.path)
    assert offered(found) == [("fine", "1.0", "x")]
    assert [problem.distribution for problem in found.problems] == ["acme", "folder"]
    assert "OSError" in found.problems[0].cause
    assert "IsADirectoryError" in found.problems[1].cause


def test_discover_reports_a_folder_that_cannot_be_listed(site, tmp_path):
    """A folder of the path that cannot be opened does not hide the others."""
    (tmp_path / "loop").symlink_to("loop")
    site.add("fine", groups={"pitstop.workers": {"x": "a:b"}})
    found = discover([str(tmp_path / "loop"), *site.path])
    assert offered(found) == [("fine", "1.0", "x")]
    assert found.problems[0].where == str(tmp_path / "loop")


def test_discover_passes_over_what_is_not_there(site, tmp_path):
    """The path of every Python names places that do not exist."""
    found = discover([str(tmp_path / "python311.zip"), str(tmp_path / "nowhere" / "deep")])
    assert (found.entries, found.problems) == ([], [])


def test_discover_reads_the_working_directory_for_an_empty_entry(site, monkeypatch):
    """The empty text on the path means wherever the process is."""
    site.add("acme", groups={"pitstop.workers": {"x": "a:b"}})
    monkeypatch.chdir(site.folder)
    assert offered(discover([""])) == [("acme", "1.0", "x")]


def test_discover_takes_the_path_of_the_process_by_default(site, monkeypatch):
    """Without an argument it is sys.path, of which only texts count, as for an import."""
    site.add("acme", groups={"pitstop.workers": {"x": "a:b"}})
    monkeypatch.setattr(sys, "path", [*site.path, 987654, None])
    found = discover()
    assert offered(found) == [("acme", "1.0", "x")]
    assert found.problems == []


def test_discover_reads_a_zip_file(site):
    """A wheel on the path is read, and its name and version come from its metadata."""
    wheel = site.add_zip("Acme_Zipped", "4.2", {"pitstop.workers": {"x": "a:b"}})
    (entry,) = discover([wheel]).entries
    assert (entry.distribution, entry.version, entry.location) == ("acme-zipped", "4.2", wheel)


def test_discover_passes_over_a_file_that_is_no_zip(site):
    """Any file may stand on the path."""
    (site.folder / "notes.txt").write_text("pitstop.")
    found = discover([str(site.folder / "notes.txt")])
    assert (found.entries, found.problems) == ([], [])


def test_discover_reports_undecodable_bytes_in_a_zip_file(site):
    """The fallback is as forgiving as the reading of folders."""
    wheel = site.add_zip("acme", "1", {"pitstop.workers": {"x": "a:b"}})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("late-1.dist-info/METADATA", "Name: late\nVersion: 1\n")
        archive.writestr("late-1.dist-info/entry_points.txt", b"[pitstop.workers]\ny = a:b\nz\xe9 = a:b\n")
    found = discover([wheel])
    assert offered(found) == [("acme", "1", "x"), ("late", "1", "y")]
    assert "is not UTF-8" in found.problems[0].cause


class Packed(Distribution):
    def __init__(self, name: str, text: str) -> None:
        self.name_, self.text = name, text

    def read_text(self, filename):
        if self.name_ == "broken":
            raise SystemExit("cannot say")
        return self.text if filename == "entry_points.txt" else f"Name: {self.name_}\nVersion: 8\n"

    def locate_file(self, path):
        raise NotImplementedError


class Finder(DistributionFinder):
    def __init__(self, *found: Distribution) -> None:
        self.found = found

    def find_spec(self, *_):
        return None

    def find_distributions(self, context=None):
        yield from self.found


def test_discover_asks_a_foreign_finder(site, monkeypatch):
    """What a frozen application's finder knows is found, after what stands on the path."""
    site.add("acme", "1", {"pitstop.workers": {"x": "a:b"}})
    text = "[pitstop.workers]\ny = a:b\n"
    finder = Finder(Packed("Acme", text), Packed("frozen", text), Packed("plain", ""))
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    found = discover(site.path)
    assert offered(found) == [("acme", "1", "x"), ("frozen", "8", "y")]
    assert found.entries[1].location == f"{Finder.__module__}.Finder"


def test_discover_reports_a_foreign_finder_that_fails(site, monkeypatch):
    """A finder that raises, or one distribution of it that does, costs nothing else."""
    site.add("acme", "1", {"pitstop.workers": {"x": "a:b"}})

    class Failing(Finder):
        def find_distributions(self, context=None):
            raise RuntimeError("no answer")

    text = "[pitstop.workers]\ny = a:b\n"
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Failing(), Finder(Packed("broken", ""), Packed("b", text))])
    found = discover(site.path)
    assert offered(found) == [("acme", "1", "x"), ("b", "8", "y")]
    assert [problem.cause for problem in found.problems] == [
        "it does not tell what is installed: SystemExit: cannot say",
        "it does not tell what is installed: RuntimeError: no answer",
    ]
    assert "Failing" in found.problems[1].where


def test_discover_lets_an_interrupt_of_a_foreign_finder_pass(site, monkeypatch):
    """Ctrl-C ends the process even while a stranger's code runs."""

    class Interrupted(Finder):
        def find_distributions(self, context=None):
            raise KeyboardInterrupt("now")

    monkeypatch.setattr(sys, "meta_path", [Interrupted()])
    with pytest.raises(KeyboardInterrupt, match="now"):
        discover(site.path)


def test_problem_shows_only_what_it_has(site):
    """A problem of a folder names no distribution and no group."""
    full = Problem(distribution="a", version="1", where="m:f", group="pitstop.x", name="n", cause="bad", hint="mend it")
    assert str(full) == "a 1 (m:f), 'n' in pitstop.x: bad; mend it"
    assert str(Problem(where="/folder", cause="bad", hint="mend it")) == "/folder: bad; mend it"
    assert eval(repr(full)) == full
    assert full != Problem(where="/folder", cause="bad", hint="mend it")
    assert len({full, full}) == 1


def test_discovery_imports_nothing_that_costs(site):
    """Listing in a fresh process leaves out every heavy module, those of the plugins and even `typing`."""
    site.add(
        "acme", groups={"pitstop.workers": {"x": "acme_listed:Worker"}}, modules={"acme_listed": "raise ValueError"}
    )
    site.add("damaged", text="[pitstop.workers]\nbad\n")
    code = f"""
import sys
sys.path.insert(0, {site.path[0]!r})
before = set(sys.modules)
from pitstop.registry.registry import Registry
registry = Registry()
assert any(entry.distribution == "acme" for entry in registry.entries())
assert any(problem.distribution == "damaged" for problem in registry.problems)
registry.names("pitstop.workers"), registry.blocked
print(*sorted(set(sys.modules) - before), sep="\\n")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in result.stdout.split() if not name.startswith("pitstop")} <= {"__future__"}
