"""Every error that Pitstop raises. Owns their fields and their texts; nothing else decides on wording.

Each says what was asked, which distribution, version and `module:attribute` is at fault where there is one, the cause,
and the next step. The classes are declared like records, survive pickling, and cost no import: listing and help load
this module, so it must not load attrs (see docs/decisions/errors-without-attrs.md).
"""

from __future__ import annotations

from pitstop.errors.hints import ways_out
from pitstop.secrets.masking import mask, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, ClassVar, Literal, dataclass_transform
else:

    def dataclass_transform(**_: object):  # the type checker reads the real one
        """Leave the class as it is."""
        return lambda cls: cls


_REQUIRED: Any = object()


def first(*, kw_only: Literal[False]) -> Any:
    """Return what marks a required field that may also be given by position; only a class's first field can be."""
    assert kw_only is False
    return _REQUIRED


@dataclass_transform(kw_only_default=True, field_specifiers=(first,))
class PitstopError(Exception):
    """The base of all of Pitstop's errors. A subclass annotates its fields and returns its text from `text()`.

    Raises:
        TypeError: when it is made with a field missing or one that it does not have.
    """

    _fields: ClassVar[dict[str, Any]] = {}
    _by_position: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # not inspect.get_annotations: the import of inspect costs more than all of discovery
        annotations = cls.__dict__.get("__annotations__", {})  # noqa: RUF063
        own = {name: cls.__dict__.get(name, _REQUIRED) for name in annotations}
        cls._fields = {**cls._fields, **own}
        for name, default in own.items():
            if name in cls.__dict__ and default is _REQUIRED:
                cls._by_position = name
                delattr(cls, name)

    if not TYPE_CHECKING:

        def __init__(self, *by_position, **fields):
            if len(by_position) == 1 and self._by_position:
                fields = {self._by_position: by_position[0], **fields}
            elif by_position:
                raise TypeError(f"{type(self).__name__} takes its fields by keyword: {', '.join(self._fields)}")
            unknown = fields.keys() - self._fields.keys()
            missing = [n for n, d in self._fields.items() if d is _REQUIRED and n not in fields]
            if unknown or missing:
                raise TypeError(f"{type(self).__name__}: unknown {sorted(unknown)}, missing {missing}")
            super().__init__()
            self.__dict__.update({name: fields.get(name, default) for name, default in self._fields.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), {name: getattr(self, name) for name in self._fields})

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__reduce__()[1] == self.__reduce__()[1]

    def __hash__(self) -> int:
        return hash((type(self), str(self)))

    def __str__(self) -> str:
        return mask(self.text())

    def text(self) -> str:
        """Return the message, here the reason and the hint; `str()` of the error is this with secrets masked."""
        if "reason" not in self._fields:
            return type(self).__doc__ or type(self).__name__
        # an empty reason is told as it is: the suites find fault with it
        return "; ".join(filter(None, (str(getattr(self, name, "")) for name in ("reason", "hint"))))


def _rebuild(cls: type[PitstopError], fields: dict[str, Any]) -> PitstopError:
    return cls(**fields)


def remove_secrets(error: PitstopError, secrets: Iterable[tuple[str, str]]) -> PitstopError:
    """Return an error whose texts hold none of the given secrets: itself if they hold none.

    Args:
        error: as it was raised.
        secrets: as for `pitstop.secrets.masking.mask`.
    """
    secrets = tuple(secrets)

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return replace(value, secrets)
        return tuple(clean(entry) for entry in value) if isinstance(value, tuple) else value

    fields = {name: getattr(error, name) for name in error._fields}
    cleaned = {name: clean(value) for name, value in fields.items()}
    return error if cleaned == fields else _rebuild(type(error), cleaned)


class InputError(PitstopError, ValueError):
    """What the user gave is wrong; nothing has been started or changed. The command line exits with 2."""


class InvalidJobError(InputError):
    """A worker refuses a job.

    Fields: `reason`, a full sentence without a full stop; `hint`, the next step.
    """

    reason: str = first(kw_only=False)
    hint: str = ""


class InvalidPlanError(InputError):
    """Jobs of one submission are refused; none of them was created.

    Fields: `problems`, pairs of a job's name and why it is refused.
    """

    problems: tuple[tuple[str, str], ...]

    def text(self) -> str:
        """Return one line per refused job, without repeating a reason that several share."""
        named: dict[str, list[str]] = {}
        for name, reason in self.problems:
            named.setdefault(reason, []).append(name)
        return "\n".join(f"{', '.join(names)}: {reason}" for reason, names in named.items())


class UnknownNameError(InputError, LookupError):
    """A name that nobody offers.

    Fields: `kind`, such as "operation"; `name`; `known`, the names that exist; `owner`, such as "worker 'greeting'";
    `hint`, the next step when there is a better one than a similar name.
    """

    kind: str
    name: str
    known: tuple[str, ...] = ()
    owner: str = ""
    hint: str = ""

    def text(self) -> str:
        """Return what was asked, and the nearest name or all of them."""
        from pitstop.text import suggest

        of = f" for {self.owner}" if self.owner else ""
        next_step = self.hint or suggest(self.name, self.known) or f"there are: {', '.join(self.known) or 'none'}"
        return f"no {self.kind} {self.name!r}{of}; {next_step}"


class UnknownKeyError(InputError):
    """A key or parameter that is not taken.

    Fields: `where`, what was given the key, such as "freeze (acme-freeze 0.1)"; `kind`, "parameter" or "key"; `name`;
    `known`, what it takes.
    """

    where: str
    name: str
    known: tuple[str, ...] = ()
    kind: str = "key"

    def text(self) -> str:
        """Return what was given, what is close, and what is taken."""
        from pitstop.text import suggest

        meant = suggest(self.name, self.known)
        takes = f"it takes: {', '.join(self.known)}" if self.known else "it takes none"
        return f"{self.where} takes no {self.kind} {self.name!r}; " + (f"{meant} ({takes})" if meant else takes)


class InvalidValueError(InputError):
    """A value of the wrong type or shape.

    Fields: `where` and `name`, whose value it is; `problem`, what is wrong with it and what is expected.
    """

    where: str
    name: str
    problem: str

    def text(self) -> str:
        """Return whose value it is and what is wrong."""
        return f"{self.where}: {self.name}: {self.problem}"


class ConflictError(InputError):
    """One name is offered by several distributions.

    Fields: `kind`, `name`, and `offers`, texts such as "aaa-plug 1 (aaa:run)".
    """

    kind: str
    name: str
    offers: tuple[str, ...]

    def text(self) -> str:
        """Return all that offer the name, and how to choose."""
        first = self.offers[0].split(" ", 1)[0]
        return (
            f"{self.kind} {self.name!r} is offered by {len(self.offers)} distributions: {', '.join(self.offers)}. "
            f"Name one, such as '{first}/{self.name}', or block one"
        )


class BlockedError(InputError, LookupError):
    """A name whose only distributions are blocked, or not allowed.

    Fields: `kind`, `name`, `offers` as in `ConflictError`, and `rule`, such as "PITSTOP_BLOCK=bad-plug".
    """

    kind: str
    name: str
    offers: tuple[str, ...]
    rule: str

    def text(self) -> str:
        """Return who offers it and by which rule it is off."""
        return f"{self.kind} {self.name!r} comes from {', '.join(self.offers)}, which is switched off by {self.rule}"


class PluginError(PitstopError, RuntimeError):
    """A plugin cannot be loaded, or what it offers is not what its group asks for.

    Fields: `kind` and `name`, what was asked; `distribution`, `version` and `target`, who is at fault ("" for what was
    added by hand); `cause`; `once_loaded`, whether it was loaded, and is at fault since; `hint`, the next step; if it
    is not given, to reinstall it.
    """

    kind: str
    name: str
    distribution: str
    version: str
    target: str
    cause: str
    once_loaded: bool = False
    hint: str = ""

    def text(self) -> str:
        """Return who is at fault, the cause, and how to go on without it."""
        fault = "is at fault" if self.once_loaded else "could not be loaded"
        if not self.distribution:
            return f"{self.kind or 'plugin'} {self.name!r}, added by hand ({self.target}), {fault}: {self.cause}"
        others = f" Other {self.kind}s still work." if self.kind else ""
        where = "in" if self.once_loaded else "from"
        return (
            f"{self.name!r} {fault} {where} {self.distribution} {self.version} ({self.target}): {self.cause}.{others} "
            f"{self.step[:1].upper()}{self.step[1:]}"
        )

    @property
    def step(self) -> str:
        """The next step; "" for what was added by hand."""
        return self.hint or ways_out(f"reinstall {self.distribution}", self.distribution)


class StoreError(PitstopError, RuntimeError):
    """The job store cannot be used.

    Fields: `url`, the store; `problem`; `hint`, the next step; `lasting`, whether the same call can never succeed, such
    as one with a value that is too big; `passing`, whether it may work later although nobody sees to the store: it is
    locked, or its disk is full.
    """

    url: str
    problem: str
    hint: str = ""
    lasting: bool = False
    passing: bool = False

    def text(self) -> str:
        """Return which store, what is wrong, and what to do."""
        return f"job store {self.url}: {self.problem}" + (f"; {self.hint}" if self.hint else "")


class UnreadableRecordError(StoreError):
    """One record of the job store cannot be read: somebody else wrote into its file, or it is damaged.

    Fields: as `StoreError`; `id`, whose record it is; `seq`, its place in the order of creation; `flaw`, what of it
    cannot be read, such as "config is no JSON object".
    """

    id: str = ""
    seq: int = 0
    flaw: str = ""


class UnknownJobError(InputError, LookupError):
    """No job has this id.

    Fields: `id`, as it was given; `matches`, the ids that begin with it when it is ambiguous.
    """

    id: str
    matches: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the id, and what it could have meant."""
        if self.matches:
            return f"job id {self.id!r} is ambiguous: {', '.join(self.matches)}"
        return f"no job {self.id!r} in this store; 'pitstop jobs list' shows those there are"


class TransitionError(PitstopError, RuntimeError):
    """A status cannot follow another one.

    Fields: `id` of the job, `current` status and the one `asked` for.
    """

    id: str
    current: str
    asked: str

    def text(self) -> str:
        """Return what was asked of which job."""
        return f"job {self.id} is {self.current}; it cannot become {self.asked}"


class JobCancelledError(PitstopError):
    """Raised inside a job that has been told to stop; workers let it pass.

    Fields: `reason`, why the job is to stop.
    """

    reason: str = first(kw_only=False)


class DeadlineExceededError(JobCancelledError, TimeoutError):
    """Raised inside a job whose deadline has passed."""


class TransientError(PitstopError):
    """A failure that may be gone at the next attempt: the job is tried again, while attempts remain.

    Fields: `reason`, what went wrong.
    """

    reason: str = first(kw_only=False)


class OperationError(PitstopError, RuntimeError):
    """An operation failed, and says why in words for the operator.

    Fields: `reason`; `hint`, the next step.
    """

    reason: str = first(kw_only=False)
    hint: str = ""
