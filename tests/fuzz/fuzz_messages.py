"""Texts of users in log lines: nothing in them is filled in, and nothing is read of what is logged beside them."""

from __future__ import annotations

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.logs import JobLog
    from pitstop.secrets.masking import mask

CORPUS = (
    b"plain {} {name}\0\0",
    b"{0.__class__}{0.secret}\0\0",
    b"{name[secret]} {0[secret]} {name.secret!r:>5}\0\0",
    b"{{0.secret}} {{{0.secret}}}\0\0",
    b"{:{0.secret}} {0:{{{0.secret}}}} {:99999999999}\0\0",
    b"<red>{!x} {0!r} {unknown} { {0 {} {}</red>\0\0",
)


class Argument:
    """Has a secret, and notes whether anybody reaches for it."""

    reached = False

    @property
    def secret(self) -> str:
        """Note that it was read."""
        Argument.reached = True
        return "s3cret"

    def __getitem__(self, key: object) -> str:
        return self.secret

    def __str__(self) -> str:
        return "argument"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return "argument"


def TestOneInput(data: bytes) -> None:
    """Write any text as a message, as an argument and as a value."""
    Argument.reached = False
    text = Reader(data).text()
    log = JobLog(job_id="j", correlation_id="j")
    logger = log.logger.bind(argument=Argument(), text=text)
    logger.info(text)
    logger.info("{} {name} {}", text, Argument(), name=text)
    first, second = log.drain()
    assert first.message == mask(text), first.message
    assert second.message == mask(f"{text} {text} argument"), second.message
    assert not Argument.reached, first.message


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
