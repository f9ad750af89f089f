"""`Template`: a folder of files with `$names` in them, and how a package is written from it. Chooses no name.

The files are read with `string.Template`: `$name` or `${name}` is replaced, in texts and in paths, and `.tmpl` is taken
off the end of each name. A name that nobody gives is an error.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template as Text

from attrs import Factory, frozen

from pitstop.errors import InvalidValueError
from pitstop.files.disk_space import require_room

_SUFFIX = ".tmpl"


@frozen(kw_only=True)
class Template:
    """What a package is written from. A plugin offers one for the operations of its worker type.

    Args:
        folder: where the files are.
        name: under which the operation is to be registered, such as "sqlite.prune" for what the user calls "prune".
        requires: what the package depends on, as pip takes it, beside the distribution of the worker type.
        test_requires: what its tests need beside that.
        variables: further `$names` of its files. These there are always: `name`, `short`, `distribution`, `module`,
            `worker_type`, `requires`, `test_requires`; for a worker also `class_name`.
    """

    folder: Path
    name: str
    requires: tuple[str, ...] = ()
    test_requires: tuple[str, ...] = ()
    variables: Mapping[str, str] = Factory(dict)


#: What is in the group `pitstop.templates` under a worker type: gets the name of a new operation as the user wrote
#: it, and returns its template. It raises an `InputError` for a name that no operation of that worker can have.
OperationTemplate = Callable[[str], Template]


def write(folder: Path, variables: Mapping[str, str], target: Path) -> list[Path]:
    """Write a package: whole, or not at all.

    Args:
        folder: the template's.
        variables: what each `$name` stands for.
        target: the folder to make; its parent must be there.

    Returns:
        The files, relative to `target`, sorted.

    Raises:
        InvalidValueError: there is something at `target` already, no folder to make it in, or it cannot be written.
        OSError: there is no room for it.
    """
    if os.path.lexists(target):
        raise _folder_error(
            target, "is there already, and nothing is overwritten; move it away, or choose --into FOLDER"
        )
    if not target.parent.is_dir():
        raise _folder_error(target.parent, "is no folder; make it first")
    texts = _render(folder, variables)
    try:
        with tempfile.TemporaryDirectory(prefix=".pitstop-", dir=target.parent) as draft:
            _write_files(texts, Path(draft) / target.name)
            (Path(draft) / target.name).rename(target)
    except OSError as error:
        require_room(error, str(target))
        raise _folder_error(target, f"cannot be written: {error.strerror or error}") from error
    return sorted(texts)


def _render(folder: Path, variables: Mapping[str, str]) -> dict[Path, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    texts = {}
    for file in files:
        path = Text(str(file.relative_to(folder))).substitute(variables)
        texts[Path(path.removesuffix(_SUFFIX))] = Text(file.read_text(encoding="utf-8")).substitute(variables)
    return texts


def _write_files(texts: Mapping[Path, str], folder: Path) -> None:
    for path, text in texts.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _folder_error(path: Path, problem: str) -> InvalidValueError:
    return InvalidValueError(where="pitstop new", name=str(path), problem=problem)
