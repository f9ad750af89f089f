"""`--set KEY=VALUE`: an `InputError`, or that key has the value and no other has changed."""

from __future__ import annotations

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.cli.options import assign
    from pitstop.errors import InputError
    from pitstop.jobs import Job

CORPUS = (
    b"a=1\0\0",
    b"a.b.c=[1, 'x', {y = 2}]\0\0a.b=5\0\0a.b.c=1\0\0",
    b"a=1\nkept = 2\0\0",
    b"a=1979-05-27\0\0b=[1979-05-27]\0\0c=nan\0\0",
    b"a..b=1\0\0=1\0\0a\0\0",
    b"a=" + b"[" * 3000 + b"\0\0",
    b"a=" + b"9" * 5000 + b"\0\0",
    b"password=\xf0\x9f\x98\x80\xed\xa0\x80\0\0",
)


def TestOneInput(data: bytes) -> None:
    """Assign up to three, one after the other."""
    reader, config = Reader(data), {"kept": "as it is"}
    for _ in range(3):
        assignment = reader.text()
        try:
            changed = assign(config, (assignment,))
        except InputError as error:
            str(error)
            continue
        key = assignment.partition("=")[0].strip().split(".")
        before = {name: value for name, value in config.items() if name != key[0]}
        assert before == {name: value for name, value in changed.items() if name != key[0]}
        value = changed
        for part in key:
            value = value[part]
        config = changed
    try:
        Job(type="t", config=config)
    except InputError as error:
        str(error)


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
