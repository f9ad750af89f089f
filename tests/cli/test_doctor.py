"""`pitstop doctor` names whatever is broken, in any way, and blames no other."""

from __future__ import annotations

import os

import pytest
from tests.broken import OPERATION, WAYS

from .doctor_answers import notes_of, problems_of

#: Enough for any import that ends, and short enough to wait for those that do not.
LIMIT = ("--timeout", "3s")


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


def test_doctor_asks_the_plugin_whose_group_it_is(pitstop, zoo) -> None:
    """The core knows nothing of databases; what is no database is named all the same."""
    nobody = "async def run(look): ...\n"
    unfit = {
        "function": ("databases", "zoo", OPERATION, "it is of type function, not a subclass of Database"),
        "class": ("databases", "park", "class run: ...", "it is the class run, not a subclass of Database"),
        "number": ("assessments", "sqlite.vacuum", "run = 3\n", "it is of type int, which cannot be called"),
        "async": (
            *("assessments", "sqlite.analyze", nobody),
            "it is an 'async def', and nothing would await it; write a plain 'def' that calls asyncio.run()",
        ),
        "unasked": (
            *("assessments", "sqlite.zoo", OPERATION),
            "no installed plugin offers the operation 'sqlite.zoo' that it assesses",
        ),
    }
    for name, (group, entry, source, _) in unfit.items():
        zoo.add(name, source, group=f"pitstop.{group}", entry=f"{entry} = {{module}}:run")
    found = problems_of(pitstop("doctor", *unfit, "--json"))
    assert {name: found[name]["cause"] for name in unfit} == {name: cause for name, (*_, cause) in unfit.items()}
    assert pitstop("operations", "sqlite.vacuum").code == 0


def test_doctor_notes_a_misspelt_member(pitstop, zoo) -> None:
    """It works, and what its author wrote there is done by nobody."""
    worker = (
        "class run:\n    worker_type = 'typo'\n    on_crahs = 'retry'\n"
        "    def validate(self, job): ...\n    def execute(self, job, context): ...\n"
    )
    runner = "import pitstop\nclass run(pitstop.InlineRunner):\n    def chekc(self, job): ...\n"
    for kind, source in (("worker", worker), ("runner", runner)):
        zoo.add(f"bad-{kind}", source, group=f"pitstop.{kind}s", entry="typo = {module}:run")
    done = pitstop("doctor", "--json")
    assert done.code == 0
    assert {note["distribution"]: note["cause"] for note in done.json["notes"]} == {
        "bad-worker": "it has 'on_crahs', which nothing reads; did you mean 'on_crash'?",
        "bad-runner": "it has 'chekc', which nothing reads; did you mean 'check'?",
    }


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


def test_doctor_compares_what_is_required_with_what_is_installed(pitstop, zoo) -> None:
    """A version of Pitstop or Python that does not fit is a problem; no dependency, and an unreadable one, is none."""
    fit = [
        "",
        "Requires-Dist: pitstop\n",
        "Requires-Dist: pitstop-postgresql>=7\n",
        "Requires-Dist: pitstop>=0.1,<0.2\nRequires-Python: >=3.11\n",
        "Requires-Dist: Pitstop[extra] (>=0.1)\n",
        'Requires-Dist: pitstop>=2; extra == "new"\n',
        "Requires-Python: whatever\n",
        "Requires-Dist: pitstop>=>=2\n",
    ]
    unfit = [
        "Requires-Dist: pitstop>=2\n",
        "Requires-Dist: attrs\nRequires-Dist: PITSTOP<0.1\n",
        'Requires-Dist: pitstop>=2; python_version >= "3"\n',
        "Requires-Python: >=4\n",
    ]
    for number, metadata in enumerate([*fit, *unfit]):
        zoo.add(f"needy-{number}", metadata=metadata)
    found = problems_of(pitstop("doctor", "--json"))
    assert set(found) == {f"needy-{number}" for number in range(len(fit), len(fit) + len(unfit))}
    assert {problem["cause"].partition(" ")[0] for problem in found.values()} == {"it"}
    assert pitstop("doctor", "needy-0").code == 0
    assert pitstop("doctor", f"needy-{len(fit)}").code == 1


def test_doctor_tells_how_metadata_are_damaged(pitstop, zoo) -> None:
    """It is a note: the plugins work."""
    damages = {
        "gone": (lambda file: None, "it has no METADATA"),
        "folder": (lambda file: file.mkdir(), "its METADATA is no file"),
        "pipe": (os.mkfifo, "its METADATA is no file"),
        "bytes": (lambda file: file.write_bytes(bytes(range(256))), "its METADATA says no name; it is damaged"),
        "empty": (lambda file: file.write_bytes(b""), "its METADATA says no name; it is damaged"),
    }
    for name, (damage, _) in damages.items():
        damage(zoo.add(name, metadata=None) / "METADATA")
    answer = pitstop("doctor", *damages, "--json")
    assert answer.code == 0
    for name, (_, cause) in damages.items():
        assert notes_of(answer, name) == [f"what it requires cannot be told: {cause}"]


def test_doctor_tells_of_declarations_that_cannot_be_read(pitstop, zoo) -> None:
    """Whose they are is told by the name of the folder."""
    kinds = ("utf-16-le", "utf-16-be", "pipe")
    for kind in kinds:
        file = zoo.add(f"damaged-{kind}") / "entry_points.txt"
        text = file.read_text()
        file.unlink()
        if kind == "pipe":
            os.mkfifo(file)
        else:
            file.write_bytes(f"\ufeff{text}".encode(kind))
    answer = pitstop("doctor", "--json")
    for kind in kinds:
        (note,) = notes_of(answer, f"damaged-{kind}")
        assert note.startswith("it cannot be read: it is ")


def test_doctor_tells_when_no_process_can_be_started(pitstop, zoo) -> None:
    """A Python that cannot even start is not a plugin's fault."""
    source = "import os, sys\nif 'pitstop.registry.doctor.child' in str(sys.orig_argv): os._exit(6)\n"
    (zoo.folder / "sitecustomize.py").write_text(source)
    answer = pitstop("doctor")
    assert answer.code == 2
    assert "no process could be started to import plugins in: the process exited with code 6, " in answer.err
