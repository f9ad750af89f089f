"""What `pitstop doctor` shows: to a person, in few lines, and to a program, everything."""

from __future__ import annotations

import json

from tests.broken import OPERATION, OPERATIONS

from .doctor_answers import problems_of


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
