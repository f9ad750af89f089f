"""What plugins do when `pitstop doctor` imports them: it lives on, undoes it, and says whose it is."""

from __future__ import annotations

import pytest
from tests.broken import OPERATION

from pitstop.testing.fakes.waiting import eventually

from .doctor_answers import notes_of, problems_of
from .running import is_running


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
    eventually(lambda: not is_running(int(mark.read_text())), "the process has ended")


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


def test_doctor_measures_imports_in_the_child(pitstop, zoo) -> None:
    """The time of a module counts all that it imports first; a second entry of it takes next to nothing."""
    zoo.add("slow", f"import time\ntime.sleep(0.05)\n{OPERATION}", entry="a = {module}:run\nb = {module}:run")
    (slow,) = pitstop("doctor", "slow", "--json").json["distributions"]
    first, second = slow["entries"]
    assert first["import_ms"] >= 50
    assert second["import_ms"] < 50
    assert slow["import_ms"] == round(first["import_ms"] + second["import_ms"], 1)
