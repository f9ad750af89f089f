"""Saved plans: written for their owner and without a password, and read back as the input that they are by then."""

from __future__ import annotations

import copy
import json
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

import pitstop
from pitstop.errors import InputError, InvalidValueError
from pitstop.text.escaping import one_line
from pitstop_database_maintenance.planning.plan import MaintenancePlan, MaintenanceRequest
from pitstop_database_maintenance.planning.plan_config import job_config
from pitstop_database_maintenance.planning.plan_file import check_target, read_plan, write_plan
from pitstop_database_maintenance.planning.planner import plan_databases
from pitstop_database_maintenance.reporting.text.plan import format_plan

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8) | st.just("9" * 300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def saved(tmp_path: Path, lookup: Any, bloated: Path) -> Path:
    """A plan for one database, in a file."""
    request = MaintenanceRequest(parameters={"analyze": {"limit": 1000}})
    plan = MaintenancePlan.of((plan for plan, _ in plan_databases([str(bloated)], request, lookup=lookup)), request)
    path = tmp_path / "night.json"
    write_plan(str(path), plan)
    return path


def use(plan: MaintenancePlan) -> None:
    """Do all that is done with a plan before its jobs are checked."""
    assert MaintenancePlan.from_document(json.loads(json.dumps(plan.to_document()))) == plan
    for line in format_plan(plan, 80):
        assert unstyle(line) == one_line(unstyle(line), at_most=100_000)
    json.dumps(job_config(plan), allow_nan=False)
    json.dumps(plan.shown_document(), allow_nan=False)


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all values of a document."""
    found = [way] if way else []
    if isinstance(value, dict):
        found += [place for key in value for place in places(value[key], (*way, key))]
    if isinstance(value, list):
        found += [place for key in range(len(value)) for place in places(value[key], (*way, key))]
    return found


def test_a_plan_is_for_its_owner_and_comes_back_as_it_was(saved: Path) -> None:
    """Nobody else may read it, and nothing of it is lost."""
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    plan = read_plan(str(saved))
    assert plan.request.parameters == {"analyze": {"limit": 1000}}
    use(plan)


@given(data=st.data())
def test_a_forged_plan_is_a_plan_or_refused(saved: Path, data: st.DataObject) -> None:
    """Any value in any place: it is told what is wrong with it, or it is one that can be shown and made into jobs."""
    document = json.loads(saved.read_text())
    place = data.draw(st.sampled_from(places(document)))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = data.draw(JSON)
    forged = saved.with_name("forged.json")
    forged.write_text(json.dumps(document))
    said = ""
    try:
        use(read_plan(str(forged)))
    except InputError as error:  # or such as a database that no URL can mean
        said = str(error)
    assert "\n" not in said
    assert len(said) < 3000


@pytest.mark.parametrize("name", ["\x1f", "\U00018cd6", "vac\nuum"])
@pytest.mark.parametrize("run", [True, False])
def test_a_forged_operation_commands_no_terminal(saved: Path, name: str, run: bool) -> None:
    """Whatever its name is, among what is planned and among what is not."""
    document = json.loads(saved.read_text())
    document["databases"][0]["steps"][0] |= {"operation": name, "run": run}
    forged = saved.with_name("forged.json")
    forged.write_text(json.dumps(document))
    use(read_plan(str(forged)))


def test_damaged_plans_are_plans_or_refused(saved: Path) -> None:
    """A hundred copies with bytes changed, cut or doubled."""
    data, chance = saved.read_bytes(), random.Random(5)
    refused = 0
    for number in range(100):
        mutant, at = bytearray(data), chance.randrange(len(data))
        if number % 3 == 0:
            mutant[at] = chance.randrange(256)
        elif number % 3 == 1:
            del mutant[at:]
        else:
            mutant[at:at] = mutant[at : at + 400]
        path = saved.with_name("mutant.json")
        path.write_bytes(mutant)
        try:
            use(read_plan(str(path)))
        except InputError:
            refused += 1
    assert refused > 60


def forge(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return changed


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: data.replace(b'"version"', b'"version": 1, "version"', 1), "'version' is there twice"),
        (lambda data: data.replace(b'"made_at": ', b'"made_at": NaN, "x": ', 1), "NaN is no number"),
        (lambda data: data.replace(b'"made_at": ', b'"made_at": 1e999, "x": ', 1), "the number 1e999 is larger"),
        (lambda data: data.replace(b'"made_at": ', b'"made_at": ' + b"9" * 9000 + b', "x": ', 1), "is larger than any"),
        (lambda data: b"[" * 100_000, "nested too deeply"),
        (lambda data: b'{"a":' * 100_000, "nested too deeply"),
        (lambda data: data[:-40], "is no JSON"),
        (lambda data: b"\xff\xfe" + data, "is no JSON"),
        (lambda data: b"", "is no JSON"),
        (forge(lambda d: d.update(kind="another")), "the document is no plan"),
        (forge(lambda d: d.update(version=99)), "expected 1, got 99"),
        (forge(lambda d: d["databases"][0].update(bytes="many")), "bytes"),
        (forge(lambda d: d["databases"][0]["steps"][0].update(surprise=1)), "surprise"),
        (forge(lambda d: d["request"].update(max_stall="a while")), "max_stall"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_sentence(saved: Path, change: Callable[[bytes], bytes], why: str) -> None:
    """Before any database is looked at, and with the place that is wrong."""
    path = saved.with_name("wrong.json")
    path.write_bytes(change(saved.read_bytes()))
    with pytest.raises(InvalidValueError) as caught:
        read_plan(str(path))
    assert why in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_plan_is_not_written_over_or_beside_anything(saved: Path, bloated: Path) -> None:
    """Not over a file, through a link, as a file of the database's, or into a folder that is not there."""
    link = saved.with_name("link.json")
    link.symlink_to(saved.with_name("nowhere.json"))
    for path, why in (
        (saved, "is there already"),
        (link, "is there already"),
        (Path(f"{bloated}-journal"), "will not do: a SQLite database beside it"),
        (Path(f"{bloated}-wal"), "will not do: a SQLite database beside it"),
        (saved.parent / "nofolder" / "x.json", "there is no folder .*; make it, or name another"),
    ):
        with pytest.raises(InvalidValueError, match=why):
            check_target(str(path), [str(bloated)], MaintenanceRequest(), lookup=pitstop.Registry())
    assert not saved.with_name("nowhere.json").exists()
    assert not Path(f"{bloated}-journal").exists()


def test_a_plan_is_not_saved_where_this_user_can_make_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said before any database is inspected, and not when the plan is to be written."""
    monkeypatch.setattr(os, "access", lambda path, _: path != str(tmp_path))
    with pytest.raises(InvalidValueError, match="no file can be made in"):
        check_target(str(tmp_path / "x.json"), [], MaintenanceRequest(), lookup=pitstop.Registry())


@pytest.mark.parametrize(
    ("urls", "request_", "where"),
    [
        (["leak://u:hunter2@h/d"], MaintenanceRequest(), r"the URL leak://u:\*\*\*@h/d"),
        (["leak://u:pa/ss@h/d"], MaintenanceRequest(), r"the URL leak://u:\*\*\*@h/d"),
        (["leak://h/d?password=hunter2"], MaintenanceRequest(), r"the URL leak://h/d\?password=\*\*\*"),
        (["a.db"], MaintenanceRequest(parameters={"slow": {"password": "hunter2"}}), "parameters of slow"),
        (["a.db"], MaintenanceRequest(options={"passphrase": "hunter2"}), "options of passphrase"),
        (["a.db"], MaintenanceRequest(thresholds={"slow": {"url": "x://u:hunter2@h"}}), "thresholds of slow"),
    ],
)
def test_a_plan_with_a_password_in_clear_is_refused(
    tmp_path: Path, urls: list[str], request_: MaintenanceRequest, where: str
) -> None:
    """It would lie there for whoever gets hold of the file; the same from the environment is taken."""
    with pytest.raises(InvalidValueError, match=where) as caught:
        check_target(str(tmp_path / "new.json"), urls, request_, lookup=pitstop.Registry())
    assert "hunter2" not in str(caught.value)
    assert "${NAME}" in str(caught.value)
    referred = json.loads(
        json.dumps([urls, copy.copy(request_.parameters)]).replace("hunter2", "${DB}").replace("pa/ss", "${DB}")
    )
    check_target(
        str(tmp_path / "new.json"), referred[0], MaintenanceRequest(parameters=referred[1]), lookup=pitstop.Registry()
    )


OTHER = 12345


def _open_folder(plan: Path) -> Path:
    plan.parent.chmod(0o777)
    return plan


def _of_another(plan: Path) -> Path:
    os.chown(plan, OTHER, OTHER)
    return plan


def _for_everybody(plan: Path) -> Path:
    plan.chmod(0o666)
    return plan


def _for_a_group(plan: Path) -> Path:
    os.chown(plan, 0, OTHER)
    plan.chmod(0o660)
    return plan


def _behind_a_link(plan: Path) -> Path:
    plan.parent.chmod(0o777)
    link = plan.parents[1] / "link.json"
    link.symlink_to(plan)
    return link


def _behind_the_link_of_another(plan: Path) -> Path:
    link = plan.with_name("link.json")
    link.symlink_to(plan)
    os.lchown(link, OTHER, OTHER)
    plan.parent.chmod(0o1777)
    return link


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another user")
@pytest.mark.parametrize(
    "expose",
    [_open_folder, _of_another, _for_everybody, _for_a_group, _behind_a_link, _behind_the_link_of_another],
)
def test_a_plan_that_somebody_else_may_have_written_is_not_run(
    saved: Path, tmp_path: Path, expose: Callable[[Path], Path]
) -> None:
    """Whoever writes a plan says what is done in the user's name; and one that lies safely is taken."""
    plan = tmp_path / "plans" / "night.json"
    plan.parent.mkdir()
    plan.write_bytes(saved.read_bytes())
    plan.chmod(0o600)
    read_plan(str(plan))
    with pytest.raises(InvalidValueError, match=r"may be somebody else's by now: .*copy it to a folder of your own"):
        read_plan(str(expose(plan)))


def test_a_path_is_no_secret(tmp_path: Path) -> None:
    """A folder may be called as it likes."""
    check_target(
        str(tmp_path / "new.json"),
        ["/data/password=hunter2/u:pw@x/a.db", "sqlite:////token=abcd/a.db"],
        MaintenanceRequest(),
        lookup=pitstop.Registry(),
    )


def test_nothing_is_left_of_a_plan_that_cannot_be_written(saved: Path) -> None:
    """A full disk leaves no half of a plan, which would be in the way of the next try."""
    plan = read_plan(str(saved))
    with pytest.raises(InvalidValueError, match="cannot be written"):
        write_plan("/dev/full/x.json", plan)
    before = set(os.listdir(saved.parent))
    with pytest.raises(InvalidValueError, match="cannot be written"):
        write_plan(str(saved), plan)
    assert set(os.listdir(saved.parent)) == before
