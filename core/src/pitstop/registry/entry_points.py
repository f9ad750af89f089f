"""What a distribution declares: `EntryPoint`, `Problem`, and how an `entry_points.txt` is read. Opens no file.

Every command pays for this module, so it imports nothing at run time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, dataclass_transform
else:
    from pitstop.errors import dataclass_transform

#: Only groups that begin with this are Pitstop's; a plugin may have second-level groups of its own below it.
PREFIX = "pitstop."
#: How much something matters: it keeps a thing from being used, or it is only worth knowing.
PROBLEM, NOTE = "problem", "note"
#: How much of an exception's text is told, in characters.
_LONG = 500


@dataclass_transform(kw_only_default=True)
class _Record:
    """A plain record: what a subclass annotates are its fields, in their order. Costs no import, as attrs does."""

    _fields: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        # not inspect.get_annotations: the import of inspect costs more than all of discovery
        cls._fields = tuple(cls.__annotations__)

    if not TYPE_CHECKING:

        def __init__(self, **fields):
            self.__dict__.update(fields)

    def as_dict(self) -> dict[str, str]:
        """Return the fields and their values, for JSON."""
        return {name: getattr(self, name) for name in self._fields}

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in self._fields])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._values() == self._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


class EntryPoint(_Record):
    """One thing that a distribution offers; nothing of it has been imported.

    Args:
        group: the entry-point group, such as "pitstop.workers".
        name: the name within the group.
        target: where it is, "module:attribute" or "module".
        distribution: who offers it, such as "acme-freeze"; lower case, with hyphens; "" when it was added by hand.
        version: of the distribution; "" if it says none.
        location: the entry of `sys.path` where the distribution was found, or the finder that knows it.
    """

    group: str
    name: str
    target: str
    distribution: str = ""
    version: str = ""
    location: str = ""

    if not TYPE_CHECKING:  # there may be thousands of them, and this takes half the time

        def __init__(self, group, name, target, distribution="", version="", location=""):
            self.group, self.name, self.target = group, name, target
            self.distribution, self.version, self.location = distribution, version, location

    __eq__ = _Record.__eq__

    def __hash__(self) -> int:
        # an entry is looked up for every job: what nearly always tells two of them apart is enough
        return hash((self.group, self.name, self.distribution))

    @property
    def origin(self) -> str:
        """Who offers it, such as "acme-freeze 0.1"; "" when it was added by hand."""
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def title(self) -> str:
        """Who offers it and where it is, such as "acme-freeze 0.1 (acme_freeze:freeze)"."""
        return f"{self.origin or 'this program'} ({self.target})"

    def describe(self) -> dict[str, str]:
        """Return it as JSON for those who ask what there is: without the place where it was found."""
        return {name: getattr(self, name) for name in self._fields if name != "location"}

    def problem(self, cause: str, hint: str, severity: str = PROBLEM) -> Problem:
        """Return a problem of this entry."""
        return Problem(
            distribution=self.distribution,
            version=self.version,
            where=self.target,
            group=self.group,
            name=self.name,
            cause=cause,
            hint=hint,
            severity=severity,
        )


class Problem(_Record):
    """Something that is wrong with what is installed. It costs only the thing that it names.

    Args:
        distribution: whose fault it is; "" if no distribution is known.
        version: of the distribution.
        group: the entry-point group that it concerns; "" if it concerns the whole distribution.
        name: the name within the group; "" if there is none.
        where: the file, folder or "module:attribute" at fault.
        cause: what is wrong.
        hint: the next step.
        severity: `PROBLEM`, or `NOTE` for what costs nothing that could be used.
    """

    # in sorting order
    distribution: str = ""
    version: str = ""
    group: str = ""
    name: str = ""
    where: str = ""
    cause: str
    hint: str
    severity: str = PROBLEM

    def __str__(self) -> str:
        who = f"{self.distribution} {self.version}".rstrip()
        where = f"({self.where})" if who and self.where else self.where
        subject = ", ".join(part for part in (f"{who} {where}".strip(), self.what) if part)
        return f"{subject}: {self.cause}; {self.hint}"

    @property
    def what(self) -> str:
        """The name and group that it concerns, such as "'freeze' in pitstop.workers"; "" for a whole distribution."""
        return f"{self.name!r} in {self.group}" if self.name else self.group

    def __lt__(self, other: Problem) -> bool:
        return self._values() < other._values()


class Distribution(_Record):
    """An installed distribution that declares something for Pitstop, or tries to.

    Args:
        name: such as "acme-freeze"; lower case, with hyphens.
        version, location: as in `EntryPoint`.
        where: its `entry_points.txt`, for messages.
        headers: what its metadata say, as pairs of key and value, where they do not lie beside that file.
    """

    name: str
    version: str
    location: str
    where: str
    headers: tuple[tuple[str, str], ...] | None = None

    @property
    def title(self) -> str:
        """Its name and version."""
        return f"{self.name} {self.version}".rstrip()

    def problem(
        self, cause: str, *, group: str = "", name: str = "", hint: str = "", severity: str = PROBLEM
    ) -> Problem:
        """Return a problem of this distribution. Without a `hint`, the next step is to tell its makers."""
        from pitstop.errors.hints import tell_makers

        return Problem(
            distribution=self.name,
            version=self.version,
            where=self.where,
            group=group,
            name=name,
            cause=cause,
            hint=hint or tell_makers(self.name),
            severity=severity,
        )


def normalise(name: str) -> str:
    """Return a distribution's name in the one form in which names are compared: "Acme_Freeze" is "acme-freeze"."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def describe_error(error: BaseException, *, whole: bool = False) -> str:
    """Return an exception's type and text, such as "ModuleNotFoundError: No module named 'x'"; never raises.

    Args:
        error: the exception.
        whole: whether all of a long text is told, for who knows a job's secrets and masks them in what is returned. If
            not, it is its beginning, with secrets masked: half of one could not be found afterwards.
    """
    kind = type(error).__name__
    try:
        text = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as failure:
        # also SystemExit: a text that cannot be had must not end a host either
        return f"{kind} (its text cannot be had: {type(failure).__name__})"
    if len(text) > _LONG and not whole:
        from pitstop.secrets.masking import mask

        text = mask(text)
        if len(text) > _LONG:
            text = f"{text[:_LONG]}... ({len(text) - _LONG:,} more characters)"
    return f"{kind}: {text}" if text else kind


def parse_entry_points(data: bytes, distribution: Distribution) -> tuple[list[EntryPoint], list[Problem]]:
    """Read the text of one `entry_points.txt`.

    Args:
        data: the file's bytes.
        distribution: whose file it is.

    Returns:
        The entries of the groups that begin with "pitstop.", and what is wrong within those groups. What is in
        other groups is passed over, however broken it is.
    """
    entries: dict[tuple[str, str], EntryPoint] = {}
    problems: list[Problem] = []
    group = ""
    # bytes that are no UTF-8 matter only in our own groups: see _line_flaw
    for raw in data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").split("\n"):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            ours, group = bool(group), line.strip("[]").strip()
            if not group.startswith(PREFIX):
                group = ""
                if ours and line[-1] != "]":
                    problems.append(distribution.problem(_header_flaw(line, PREFIX)))
            elif cause := _header_flaw(line, group):
                problems.append(distribution.problem(cause))
                group = ""
        elif group:
            name, _, value = line.partition("=")
            name, target = name.strip(), value.partition("[")[0].strip()
            cause = _line_flaw(line, name, value.strip(), target)
            if not cause and (group, name) in entries:
                cause = f"the name is declared twice; {entries[group, name].target} is used, {target} is not"
            if cause:
                problems.append(distribution.problem(cause, group=group, name=_show(name)))
                continue
            entries[group, name] = EntryPoint(
                group=group,
                name=name,
                target="".join(target.split()),
                distribution=distribution.name,
                version=distribution.version,
                location=distribution.location,
            )
    return list(entries.values()), problems


def _header_flaw(line: str, group: str) -> str:
    if _is_undecodable(line):
        return f"the group {_show(line)} is not UTF-8; it is left out"
    one_word = len(group.split()) == 1 and group.isprintable()
    if line[-1] != "]" or group == PREFIX or not one_word or "]" in group or "[" in group:
        return f"{line!r} is no group; expected a line such as [pitstop.workers]. It is left out"
    return ""


def _line_flaw(line: str, name: str, value: str, target: str) -> str:
    if _is_undecodable(line):
        return f"the line {_show(line)} is not UTF-8"
    if "=" not in line:
        return f"the line {line!r} has no '='; expected 'name = module:attribute'"
    if not name:
        return f"the line {line!r} has no name; expected 'name = module:attribute'"
    if not name.isprintable():
        return f"the name {name!r} holds what cannot be shown"
    if not _is_target(target) or ("[" in value and value[-1] != "]"):
        return f"{value!r} is not 'module:attribute'"
    return ""


def _is_target(target: str) -> bool:
    module, colon, attribute = target.partition(":")
    if not _is_dotted(module.strip()):
        return False
    return not colon or _is_dotted(attribute.strip())


def _is_dotted(text: str) -> bool:
    # most are one word; and a list, because a generator is slower
    return text.isidentifier() or all([part.isidentifier() for part in text.split(".")])  # noqa: C419


def _is_undecodable(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


def _show(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
