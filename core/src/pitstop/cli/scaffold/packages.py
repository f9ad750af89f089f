"""A new operation's or worker's package: from the name that its author gives to the files. Imports no other plugin."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from attrs import frozen

import pitstop
from pitstop.cli.scaffold.names import Names, derive_names, refuse_taken
from pitstop.cli.scaffold.template import OperationTemplate, Template, write
from pitstop.contracts import Lookup
from pitstop.contracts.operation_worker import OperationWorker
from pitstop.errors import InvalidValueError
from pitstop.registry.catalog import OPERATIONS, TEMPLATES, WORKERS
from pitstop.registry.registry import Registry

_TEMPLATES = Path(__file__).parent / "templates"
_KIT = "pitstop[testing]"


@frozen(kw_only=True)
class Package:
    """A package that was written.

    Args:
        folder: where it is.
        files: its files, relative to the folder, sorted.
        names: what its parts are called.
    """

    folder: Path
    files: tuple[Path, ...]
    names: Names


def new_operation(
    name: str, worker_type: str, *, into: Path, distribution: str | None = None, registry: Registry | None = None
) -> Package:
    """Write the package of a new operation.

    Args:
        name: of the operation, such as "sqlite.prune".
        worker_type: whose operation it is; somebody installed must offer it.
        into: the folder in which the package gets a folder of its own.
        distribution: what the package is called; "pitstop-" and the name if not given.
        registry: knows what there is; a new one if not given.

    Raises:
        InputError: a name cannot be used or is taken, the worker type is unknown, the folder is there already, or it
            cannot be written.
        PluginError: the worker type's template cannot be loaded.
    """
    registry = registry or Registry()
    owners = _owners(registry, worker_type)
    _require_operations(registry, worker_type)
    derive_names("operation", name, distribution=distribution)  # before a plugin's template sees it
    template = _operation_template(registry, name, worker_type)
    names = derive_names("operation", template.name, distribution=distribution)
    refuse_taken(registry, OPERATIONS + worker_type, names)
    requires = (*(requirement(owner) for owner in owners[:1]), *template.requires)
    return _write_package(template, names, into, requires, worker_type=worker_type)


def new_worker(
    worker_type: str, *, into: Path, distribution: str | None = None, registry: Registry | None = None
) -> Package:
    """Write the package of a new worker. Arguments and errors as for `new_operation`."""
    registry = registry or Registry()
    names = derive_names("worker type", worker_type, distribution=distribution)
    refuse_taken(registry, WORKERS, names)
    template = Template(folder=_TEMPLATES / "worker", name=worker_type, test_requires=(_KIT,))
    return _write_package(template, names, into, (requirement("pitstop"),), worker_type=worker_type)


def _owners(registry: Registry, worker_type: str) -> list[str]:
    """Return the distributions that offer a worker type, or refuse one that nobody offers who may be used."""
    offers = [entry for entry in registry.entries(WORKERS) if entry.name == worker_type]
    if not offers:
        registry.entry(WORKERS, worker_type)  # raises
    return [entry.distribution for entry in offers if entry.distribution]


def _require_operations(registry: Registry, worker_type: str) -> None:
    """Refuse a worker that takes no operations: nothing would ever call the new one."""
    if worker_type in registry.names(TEMPLATES):
        return  # whoever ships a template for operations takes them
    worker = registry.worker(worker_type)
    if not isinstance(worker, OperationWorker) and not hasattr(worker, "lookup"):
        problem = "takes no operations, because it is no pitstop.OperationWorker; nothing would ever call one"
        raise InvalidValueError(where="pitstop new", name=f"the worker {worker_type!r}", problem=problem)


def _operation_template(registry: Lookup, name: str, worker_type: str) -> Template:
    """Return the template of whoever offers the worker type, or else the one that fits any."""
    if worker_type not in registry.names(TEMPLATES):
        return Template(folder=_TEMPLATES / "operation", name=name, test_requires=(_KIT,))
    offered: OperationTemplate = registry.load(TEMPLATES, worker_type)
    return offered(name)


def _write_package(
    template: Template, names: Names, into: Path, requires: tuple[str, ...], *, worker_type: str
) -> Package:
    variables = {
        "name": names.name,
        "short": names.short,
        "distribution": names.distribution,
        "module": names.module,
        "class_name": names.class_name,
        "worker_type": worker_type,
        "requires": _toml_texts(requires),
        "test_requires": _toml_texts(template.test_requires),
        **template.variables,
    }
    folder = into / names.distribution
    return Package(folder=folder, files=tuple(write(template.folder, variables, folder)), names=names)


def requirement(distribution: str) -> str:
    """Return what to depend on: an installed distribution, up to the next version that may break it.

    Before 1.0 that is the next minor version, afterwards the next major one (semver.org, 2.0.0).
    """
    version = pitstop.__version__ if distribution == "pitstop" else metadata.version(distribution)
    major, minor = ([*version.split("."), "0"])[:2]
    if not (major.isdecimal() and minor.isdecimal()):
        return distribution
    limit = f"{int(major) + 1}" if int(major) else f"0.{int(minor) + 1}"
    return f"{distribution}>={major}.{minor},<{limit}"


def _toml_texts(texts: tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
