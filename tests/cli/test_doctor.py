"""`pitstop doctor`: it names whatever is broken, in any way, lives on, and is content with what costs nothing."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager

import pytest
from tests.broken import OPERATION, OPERATIONS, WAYS, WORKER_TYPE, Zoo

#: Enough for any import that ends, and short enough to wait for those that do not.
LIMIT = ("--timeout", "3s")


@pytest.fixture
def zoo(pitstop) -> Zoo:
    """An empty folder on the program's path, with the worker of its operations."""
    zoo = Zoo(pitstop.folder / "site")
    zoo.add_worker()
    pitstop.environment["PYTHONPATH"] = str(zoo.folder)
    return zoo


def problems_of(answer):
    """Return the problems of the zoo's distributions, and those alone."""
    return {problem["distribution"]: problem for problem in answer.json["problems"]}


def notes_of(answer, name):
    return [note["cause"] for note in answer.json["notes"] if note["distribution"] == name]


# -- what is broken


@pytest.mark.slow
def test_doctor_names_every_way_to_be_broken_and_blames_no_other(pitstop, zoo) -> None:
    """All at once: each is named once, with its target, cause and fix; the whole ones beside them work."""
    for name in WAYS:
        zoo.add_broken(name)
        zoo.add(f"{name}-whole")
    answer = pitstop("doctor", "--json", *LIMIT)
    assert answer.code == 1
    found = problems_of(answer)
    assert sorted(found) == sorted(WAYS)
    assert len(answer.json["problems"]) == len(WAYS)
    for name, way in WAYS.items():
        assert way.cause in found[name]["cause"], name
        assert way.hint in found[name]["hint"], name
        assert found[name]["where"], name
    works = {entry["name"]: entry["works"] for d in answer.json["distributions"] for entry in d["entries"]}
    assert all(works[f"{name}-whole"] for name in WAYS)
    assert {note["distribution"]: note["cause"] for note in answer.json["notes"]} == {}


def test_doctor_tells_a_person_target_cause_and_fix_at_the_end(pitstop, zoo) -> None:
    """The problems come after what works, in lines of 80 columns, and the verdict is the last line."""
    zoo.add("zz-whole")
    zoo.add_broken("bad-import")
    answer = pitstop("doctor", COLUMNS="80")
    assert answer.code == 1
    lines = answer.out.splitlines()
    start = lines.index("problem: bad-import 1.0, 'bad-import' in pitstop.operations.zoo")
    assert start > next(n for n, line in enumerate(lines) if line.startswith("zz-whole 1.0"))
    assert lines[start + 1 :] == [
        "  target: zoo_bad_import:run",
        "  cause:  ModuleNotFoundError: No module named 'nosuchmodule'",
        "  fix:    install the package that has the module 'nosuchmodule', or switch it",
        "          off: PITSTOP_BLOCK=bad-import",
        "",
        lines[-1],
    ]
    assert lines[-1].endswith("distributions: 1 problem")
    assert max(map(len, lines)) <= 80


def test_doctor_names_two_that_offer_one_name(pitstop, zoo) -> None:
    """A conflict names both, and is told when either of them is asked for."""
    for name in ("aaa", "bbb", "ccc"):
        zoo.add(name, entry="twice = {module}:run" if name != "ccc" else "{name} = {module}:run")
    (problem,) = pitstop("doctor", "--json").json["problems"]
    assert problem["distribution"] == "aaa, bbb"
    assert "name one, such as 'aaa/twice'" in problem["hint"]
    assert pitstop("doctor", "bbb").code == 1
    assert pitstop("doctor", "ccc").code == 0


@pytest.mark.parametrize(
    ("group", "name", "source", "cause"),
    [
        ("pitstop.databases", "zoo", OPERATION, "it is of type function, not a subclass of Database"),
        ("pitstop.databases", "zoo", "class run: ...", "it is the class run, not a subclass of Database"),
        ("pitstop.assessments", "sqlite.vacuum", "run = 3\n", "it is of type int, which cannot be called"),
        (
            "pitstop.assessments",
            "sqlite.vacuum",
            "async def run(look): ...\n",
            "it is an 'async def', and nothing would await it; write a plain 'def' that calls asyncio.run()",
        ),
        (
            "pitstop.assessments",
            "sqlite.zoo",
            OPERATION,
            "no installed plugin offers the operation 'sqlite.zoo' that it assesses",
        ),
    ],
)
def test_doctor_asks_the_plugin_whose_group_it_is(pitstop, zoo, group, name, source, cause) -> None:
    """The core knows nothing of databases; what is no database is named all the same."""
    zoo.add("unfit", source, group=group, entry=f"{name} = {{module}}:run")
    assert problems_of(pitstop("doctor", "unfit", "--json"))["unfit"]["cause"] == cause
    assert pitstop("operations", "sqlite.vacuum").code == 0


@pytest.mark.parametrize(
    ("group", "source", "found"),
    [
        (
            "pitstop.workers",
            "class run:\n    worker_type = 'typo'\n    on_crahs = 'retry'\n"
            "    def validate(self, job): ...\n    def execute(self, job, context): ...\n",
            "it has 'on_crahs', which nothing reads; did you mean 'on_crash'?",
        ),
        (
            "pitstop.runners",
            "import pitstop\nclass run(pitstop.InlineRunner):\n    def chekc(self, job): ...\n",
            "it has 'chekc', which nothing reads; did you mean 'check'?",
        ),
    ],
)
def test_doctor_notes_a_misspelt_member(pitstop, zoo, group, source, found) -> None:
    """It works, and what its author wrote there is done by nobody."""
    zoo.add("typo", source, group=group, entry="typo = {module}:run")
    done = pitstop("doctor", "--json")
    assert (done.code, [note["cause"] for note in done.json["notes"]]) == (0, [found])


def test_doctor_names_a_command_that_a_built_in_one_hides(pitstop, zoo) -> None:
    """It works under its full name only."""
    source = "import click\n@click.command()\ndef run():\n    click.echo('mine')\n"
    zoo.add("hidden", source, group="pitstop.commands", entry="run = {module}:run\nother = {module}:run")
    (problem,) = pitstop("doctor", "--json").json["problems"]
    assert problem["name"] == "run"
    assert problem["cause"] == "'pitstop run' is the built-in command; this one is reached only as 'pitstop hidden/run'"
    assert pitstop("hidden/run").out == "mine\n"


def test_doctor_names_two_versions_in_one_folder(pitstop, zoo) -> None:
    """What is left of an older version is a problem: modules of both may lie there."""
    zoo.add("doubled")
    zoo.add("doubled", version="2.0")
    (problem,) = pitstop("doctor", "--json").json["problems"]
    assert (problem["distribution"], problem["version"]) == ("doubled", "2.0")
    assert "holds 2 distributions of this name" in problem["cause"]


def test_doctor_imports_the_module_that_kills_only_as_often_as_it_must(pitstop, zoo) -> None:
    """Ten entries of one module that ends its process: all are named, and it was imported twice at most."""
    mark = pitstop.folder / "imports"
    source = f"open({str(mark)!r}, 'a').write('x')\nimport os\nos._exit(5)\n"
    zoo.add("deadly", source, entry="\n".join(f"a{n} = {{module}}:run" for n in range(10)))
    answer = pitstop("doctor", "--json")
    assert [p["name"] for p in answer.json["problems"]] == sorted(f"a{n}" for n in range(10))
    assert {p["cause"] for p in answer.json["problems"]} == {"loading it ends its process, which exited with code 5"}
    assert len(mark.read_text()) <= 2


def test_doctor_names_who_breaks_others(pitstop, zoo) -> None:
    """Plugins that another one breaks work alone: it is named, of those that were imported before, and no other."""
    for name in ("aaa-whole", "ccc-whole", "ddd-whole", "eee-whole"):
        zoo.add(name)
    zoo.add("bbb-breaks", "import colorsys\ndel colorsys.rgb_to_hsv\n" + OPERATION)
    for name in ("vvv-victim", "www-victim"):
        zoo.add(name, "from colorsys import rgb_to_hsv\n" + OPERATION)
    found = problems_of(pitstop("doctor", "--json"))
    assert sorted(found) == ["vvv-victim", "www-victim"]
    for victim in found.values():
        assert "it fails after bbb-breaks 1.0 has been imported, and not without it: ImportError" in victim["cause"]
        assert victim["hint"] == "tell the makers of bbb-breaks, or switch it off: PITSTOP_BLOCK=bbb-breaks"
    assert pitstop("doctor", "vvv-victim").code == 0


def test_doctor_tells_what_fails_beside_others_if_it_cannot_name_one(pitstop, zoo) -> None:
    """What fails once in a while is told, without a name."""
    mark = pitstop.folder / "imports"
    source = f"with open({str(mark)!r}, 'a+') as f:\n    f.write('x'); f.seek(0)\n    assert len(f.read()) > 1\n"
    for name in ("aaa-whole", "bbb-whole"):
        zoo.add(name)
    zoo.add("vvv-moody", source + OPERATION)
    problem = problems_of(pitstop("doctor", "--json"))["vvv-moody"]
    assert "it fails in a process that has imported other plugins, and not without them" in problem["cause"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("sys.path[:] = ['/opt/vendor']", "sys.path"),
        ("sys.path = ['/opt/vendor']", "sys.path"),
        ("sys.meta_path.clear()", "sys.meta_path"),
        ("sys.modules['json'] = None", "sys.modules['json']"),
        ("sys.modules['fractions'] = None", "sys.modules['fractions']"),
        ("def fail(*_, **__): raise ImportError('no')\nbuiltins.__import__ = fail", "builtins.__import__"),
        ("sys.stdout = None", "sys.stdout"),
        ("os.environ.pop('HOME', 0); os.environ['ZOO'] = '1'", "os.environ['HOME'], os.environ['ZOO']"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "the handler of SIGTERM"),
    ],
)
def test_doctor_undoes_and_tells_what_an_import_changes(pitstop, zoo, change, what) -> None:
    """It is a note of the plugin that did it; the next ones find what was there before."""
    zoo.add("bbb-changes", f"import builtins, os, signal, sys\n{OPERATION}{change}\n")
    zoo.add(
        "ddd-victim",
        "import fractions, json, os, signal, sys\nassert sys.stdout\nassert 'ZOO' not in os.environ\n"
        "assert signal.getsignal(signal.SIGTERM) != signal.SIG_IGN\n" + OPERATION,
    )
    answer = pitstop("doctor", "--json", HOME="/")
    assert answer.code == 0, answer.out
    assert notes_of(answer, "bbb-changes") == [f"its import changes {what}, for all that its process runs"]
    assert [note["distribution"] for note in answer.json["notes"]] == ["bbb-changes"]


def test_doctor_leaves_what_an_import_adds_to_the_path(pitstop, zoo) -> None:
    """A plugin that builds upon another one finds what that one brings along."""
    (zoo.folder / "vendored").mkdir()
    (zoo.folder / "vendored" / "zoo_brought.py").write_text("")
    zoo.add("bbb-adds", f"import sys\nsys.path.append({str(zoo.folder / 'vendored')!r})\n{OPERATION}")
    zoo.add("ddd-builds", "import zoo_bbb_adds, zoo_brought\n" + OPERATION)
    answer = pitstop("doctor", "--json")
    assert answer.code == 0, answer.out


def test_doctor_undoes_what_imports_change_for_the_next(pitstop, zoo) -> None:
    """Filters that make errors of warnings, and another working folder, are not the next one's fault."""
    zoo.add("aaa-strict", "import warnings\nwarnings.simplefilter('error')\n" + OPERATION)
    zoo.add("bbb-moves", "import os\nos.chdir('/')\n" + OPERATION)
    zoo.add("ddd-warns", "import warnings, os\nwarnings.warn('old')\nassert os.getcwd() != '/'\n" + OPERATION)
    answer = pitstop("doctor", "--json")
    assert answer.code == 0, answer.out
    assert notes_of(answer, "bbb-moves") == ["it changes the working folder of the process that imports it"]
    assert len([d for d in answer.json["distributions"] for e in d["entries"] if "zoo_" in e["target"]]) == 4


def test_doctor_gives_no_answer_of_a_copy_to_another_plugin(pitstop, zoo) -> None:
    """A module that forks and lets both go on: what the copy says would be taken for the answer of the next one."""
    forks = "import os\nFIRST = os.getpid()\ncopy = os.fork()\nif copy:\n    os.waitpid(copy, 0)\n"
    zoo.add("aaa-forks", forks + OPERATION)
    ends = "import os, zoo_aaa_forks\nif os.getpid() != zoo_aaa_forks.FIRST: os._exit(0)\n"
    zoo.add("bbb-ends-copy", ends + OPERATION)
    zoo.add_broken("sys-exit")
    assert list(problems_of(pitstop("doctor", "--json"))) == ["sys-exit"]


def test_doctor_leaves_nothing_behind_that_a_plugin_has_started(pitstop, zoo) -> None:
    """A process that an import has started, and that holds all pipes open, neither keeps doctor nor outlives it."""
    mark = pitstop.folder / "pid"
    source = (
        "import os, signal\nchild = os.fork()\n"
        f"if child == 0:\n    open({str(mark)!r}, 'w').write(str(os.getpid()))\n    signal.pause()\n"
        f"while not os.path.exists({str(mark)!r}) or not open({str(mark)!r}).read(): pass\nos._exit(4)\n"
    )
    zoo.add("breeder", source)
    answer = pitstop("doctor", "--json")
    assert "which exited with code 4" in problems_of(answer)["breeder"]["cause"]
    with pytest.raises(ProcessLookupError, match="No such process"):
        _until_gone(int(mark.read_text()))


def _until_gone(pid: int) -> None:
    """Ask for a process until it is not there, a moment at most; whoever inherits it may take one to bury it."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                raise ProcessLookupError("No such process")


# -- what is none


def test_doctor_notes_what_an_import_does_beside(pitstop, zoo) -> None:
    """Printing and threads are notes, and what is printed does not stand in the JSON."""
    zoo.add("loud", "print('hello' * 100_000)\n" + OPERATION)
    zoo.add("quiet")
    zoo.add("threaded", "import threading\nthreading.Thread(target=threading.Event().wait).start()\n" + OPERATION)
    answer = pitstop("doctor", "--json")
    assert answer.code == 0
    assert answer.json["ok"] is True
    assert notes_of(answer, "loud") == [
        "it prints when it is imported, which would stand in the output of every command"
    ]
    assert notes_of(answer, "threaded") == ["it starts a thread when it is imported, in every process that uses it"]
    assert notes_of(answer, "quiet") == []


@contextmanager
def unreadable(path):
    """Take everybody's rights to a file or folder, and give them back."""
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(0o755)


def test_doctor_is_content_with_damage_that_costs_nothing(pitstop, zoo) -> None:
    """Damaged metadata of others, debris, dangling links and missing METADATA leave the exit code at 0."""
    other = zoo.folder / "other-1.0.dist-info"
    other.mkdir()
    (other / "entry_points.txt").write_bytes(b"[console_scripts]\nno equals\n\xff\xfe = x\n[unclosed\n")
    (zoo.folder / "link-1.0.dist-info").symlink_to(zoo.folder / "nowhere")
    (zoo.folder / "empty-1.0.dist-info").mkdir()
    (zoo.folder / "empty-1.0.dist-info" / "entry_points.txt").symlink_to(zoo.folder / "nowhere")
    pipe = zoo.folder / "pipe-1.0.dist-info"
    pipe.mkdir()
    os.mkfifo(pipe / "entry_points.txt")
    zoo.add("~alf-installed")
    zoo.add("bare", metadata=None)
    folder = zoo.folder / "strange-1.0.dist-info" / "entry_points.txt"
    folder.mkdir(parents=True)
    answer = pitstop("doctor", "--json")
    assert answer.json["problems"] == []
    assert answer.code == 0
    causes = [note["cause"] for note in answer.json["notes"]]
    assert "it was left over by an installation that failed" in causes
    assert notes_of(answer, "bare") == ["what it requires cannot be told: it has no METADATA"]
    assert any("IsADirectoryError" in cause for cause in causes)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_doctor_is_content_with_folders_that_may_not_be_read(pitstop, zoo) -> None:
    """A folder of the path, or one distribution's, that this user may not read is a note."""
    zoo.add("closed")
    with unreadable(zoo.folder / "closed-1.0.dist-info"):
        assert pitstop("doctor").code == 0


def test_doctor_does_not_look_at_what_is_switched_off(pitstop, zoo) -> None:
    """A blocked plugin is no problem, and neither are operations whose worker it had."""
    zoo.add("whole")
    zoo.add_broken("hangs")
    answer = pitstop("doctor", "--json", PITSTOP_BLOCK="hangs,zoo-keeper")
    assert answer.code == 0
    blocked = {d["distribution"]: d["blocked_by"] for d in answer.json["distributions"] if d["blocked_by"]}
    assert blocked == {"hangs": "PITSTOP_BLOCK=hangs", "zoo-keeper": "PITSTOP_BLOCK=zoo-keeper"}
    assert notes_of(answer, "whole") == [f"the worker type {WORKER_TYPE!r} is switched off by PITSTOP_BLOCK=zoo-keeper"]
    assert "switched off by PITSTOP_BLOCK=hangs: hangs 1.0" in pitstop("doctor", PITSTOP_BLOCK="hangs").out


def test_doctor_minds_a_slip_of_the_pen_in_a_list_and_not_what_is_gone(pitstop, zoo) -> None:
    """A name that is near an installed one would switch off nothing; one of nothing that is installed does no harm."""
    zoo.add("acme-freeze")
    assert pitstop("doctor", PITSTOP_BLOCK="acme-freze").code == 1
    answer = pitstop("doctor", "--json", PITSTOP_BLOCK="quite-other")
    assert answer.code == 0
    assert "no installed distribution 'quite-other'" in answer.json["notes"][0]["cause"]


@pytest.mark.parametrize(
    ("metadata", "fits"),
    [
        ("", True),
        ("Requires-Dist: pitstop\n", True),
        ("Requires-Dist: pitstop-postgresql>=7\n", True),
        ("Requires-Dist: pitstop>=0.1,<0.2\nRequires-Python: >=3.11\n", True),
        ("Requires-Dist: Pitstop[extra] (>=0.1)\n", True),
        ('Requires-Dist: pitstop>=2; extra == "new"\n', True),
        ("Requires-Dist: pitstop>=2\n", False),
        ("Requires-Dist: attrs\nRequires-Dist: PITSTOP<0.1\n", False),
        ('Requires-Dist: pitstop>=2; python_version >= "3"\n', False),
        ("Requires-Python: >=4\n", False),
        ("Requires-Python: whatever\n", True),
        ("Requires-Dist: pitstop>=>=2\n", True),
    ],
)
def test_doctor_compares_what_is_required_with_what_is_installed(pitstop, zoo, metadata, fits) -> None:
    """A version of Pitstop or Python that does not fit is a problem; no dependency, and an unreadable one, is none."""
    zoo.add("needy", metadata=metadata)
    answer = pitstop("doctor", "needy", "--json")
    assert answer.code == (0 if fits else 1)
    assert [p["cause"].partition(" ")[0] for p in answer.json["problems"]] == ([] if fits else ["it"])


# -- what it shows


def test_doctor_json_has_the_shape_that_is_promised(pitstop, zoo) -> None:
    """Every key is there, whatever was found."""
    zoo.add("whole", metadata="Requires-Dist: pitstop>=0.1\nRequires-Python: >=3.11\n")
    zoo.add_broken("sys-exit")
    answer = pitstop("doctor", "whole", "sys-exit", "--json").json
    assert list(answer) == ["pitstop", "python", "ok", "checked", "distributions", "problems", "notes"]
    assert (answer["ok"], answer["checked"]) == (False, 2)
    broken, whole = answer["distributions"]
    assert whole == {
        "distribution": "whole",
        "version": "1.0",
        "location": str(zoo.folder),
        "blocked_by": None,
        "requires_pitstop": ">=0.1",
        "requires_python": ">=3.11",
        "import_ms": whole["entries"][0]["import_ms"],
        "entries": [
            {
                "group": OPERATIONS,
                "name": "whole",
                "target": "zoo_whole:run",
                "import_ms": whole["entries"][0]["import_ms"],
                "works": True,
            }
        ],
    }
    assert broken["entries"][0]["import_ms"] is None
    assert broken["entries"][0]["works"] is False
    assert answer["problems"] == [
        {
            "distribution": "sys-exit",
            "version": "1.0",
            "group": OPERATIONS,
            "name": "sys-exit",
            "where": "zoo_sys_exit:run",
            "cause": "SystemExit: 3",
            "hint": "reinstall or upgrade sys-exit, tell its makers, or switch it off: PITSTOP_BLOCK=sys-exit",
            "severity": "problem",
        }
    ]


def test_doctor_measures_imports_in_the_child(pitstop, zoo) -> None:
    """The time of a module counts all that it imports first; a second entry of it takes next to nothing."""
    zoo.add("slow", f"import time\ntime.sleep(0.05)\n{OPERATION}", entry="a = {module}:run\nb = {module}:run")
    (slow,) = pitstop("doctor", "slow", "--json").json["distributions"]
    first, second = slow["entries"]
    assert first["import_ms"] >= 50
    assert second["import_ms"] < 50
    assert slow["import_ms"] == round(first["import_ms"] + second["import_ms"], 1)


def test_doctor_is_brief_with_many_and_verbose_when_asked(pitstop, zoo) -> None:
    """Of more than twenty only the slowest are listed; --verbose lists each with its entries."""
    for number in range(30):
        zoo.add(f"plug-{number:02}")
    brief = pitstop("doctor")
    assert "... and 28 that work and took less time to import; --verbose lists them all" in brief.out
    assert sum("plug-" in line for line in brief.out.splitlines()) <= 5
    verbose = pitstop("doctor", "--verbose").out
    assert all(f"operations.zoo: plug-{number:02} (zoo_plug_{number:02}:run)" in verbose for number in range(30))


def test_doctor_lists_those_with_problems_first_of_many(pitstop, zoo) -> None:
    """However many they are, and however quick."""
    for number in range(30):
        zoo.add(f"plug-{number:02}", "1 +\n" if number % 4 == 1 else OPERATION)
    listed = [line for line in pitstop("doctor").out.splitlines() if "has problems" in line]
    assert [line.split()[0] for line in listed] == [f"plug-{number:02}" for number in range(1, 30, 4)]


def test_doctor_leaves_out_a_column_that_has_no_room(pitstop, zoo) -> None:
    """In a narrow terminal no column of dots is shown."""
    zoo.add("a-plugin-with-a-rather-long-name-that-needs-much-room")
    narrow, wide = pitstop("doctor", COLUMNS="60").out, pitstop("doctor", COLUMNS="120").out
    assert "OFFERS" in wide
    assert "1 operation" in wide
    assert "OFFERS" not in narrow
    assert "..." not in narrow


def test_doctor_tells_once_what_fails_for_one_reason(pitstop, zoo) -> None:
    """Many entries of one module that raises are one thing to mend; programs are told of each."""
    zoo.add("many", "raise OSError('no')\n", entry="\n".join(f"a{n:03} = {{module}}:run" for n in range(400)))
    answer = pitstop("doctor")
    assert f"problem: many 1.0, 'a000' in {OPERATIONS} and 399 more\n" in answer.out
    assert answer.out.count("OSError: no") == 1
    assert "400 problems" in answer.out
    assert len(pitstop("doctor", "--json").json["problems"]) == 400


def test_doctor_refuses_a_distribution_that_offers_nothing(pitstop, zoo) -> None:
    """A misspelt name gets a suggestion, and nothing is imported."""
    answer = pitstop("doctor", "zoo-keper")
    assert answer.code == 2
    assert "no distribution 'zoo-keper' for Pitstop; did you mean 'zoo-keeper'?" in answer.err


def test_doctor_masks_what_an_exception_tells(pitstop, zoo) -> None:
    """A password in a plugin's error is in neither form of the answer, and no escape reaches the terminal."""
    zoo.add("leaky", "raise ValueError('postgresql://me:hunter2@host/x \\x1b[2J')\n")
    for arguments in ([], ["--json"]):
        out = pitstop("doctor", *arguments).out
        assert "ValueError" in out
        assert "hunter2" not in out
        assert "\x1b" not in out
    json.loads(pitstop("doctor", "--json").out)


def test_doctor_cuts_a_long_text_and_masks_what_is_cut(pitstop, zoo) -> None:
    """The beginning is enough, and half a password is none to be shown."""
    zoo.add("wordy", "raise ValueError('x' * 470 + ' postgresql://me:' + 'hunter2' * 9 + '@host/x ' + 'y' * 100_000)\n")
    cause = problems_of(pitstop("doctor", "--json"))["wordy"]["cause"]
    assert len(cause) < 600
    assert cause.endswith("more characters)")
    assert "hunter2" not in cause


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda file: None, "it has no METADATA"),
        (lambda file: file.mkdir(), "its METADATA is no file"),
        (os.mkfifo, "its METADATA is no file"),
        (lambda file: file.write_bytes(bytes(range(256))), "its METADATA says no name; it is damaged"),
        (lambda file: file.write_bytes(b""), "its METADATA says no name; it is damaged"),
    ],
)
def test_doctor_tells_how_metadata_are_damaged(pitstop, zoo, damage, cause) -> None:
    """It is a note: the plugin works."""
    damage(zoo.add("damaged", metadata=None) / "METADATA")
    answer = pitstop("doctor", "damaged", "--json")
    assert answer.code == 0
    assert notes_of(answer, "damaged") == [f"what it requires cannot be told: {cause}"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "pipe"])
def test_doctor_tells_of_declarations_that_cannot_be_read(pitstop, zoo, encoding) -> None:
    """Whose they are is told by the name of the folder."""
    file = zoo.add("damaged") / "entry_points.txt"
    text = file.read_text()
    file.unlink()
    if encoding == "pipe":
        os.mkfifo(file)
    else:
        file.write_bytes(f"\ufeff{text}".encode(encoding))
    (note,) = notes_of(pitstop("doctor", "--json"), "damaged")
    assert note.startswith("it cannot be read: it is ")


def test_doctor_tells_when_no_process_can_be_started(pitstop, zoo) -> None:
    """A Python that cannot even start is not a plugin's fault."""
    source = "import os, sys\nif 'pitstop.registry.doctor.child' in str(sys.orig_argv): os._exit(6)\n"
    (zoo.folder / "sitecustomize.py").write_text(source)
    answer = pitstop("doctor")
    assert answer.code == 2
    assert "no process could be started to import plugins in: the process exited with code 6, " in answer.err
