"""Templates of log lines: a part of one may come from a user, and must read nothing of an argument but its text."""

from __future__ import annotations

from harness import Reader, fuzz, instrumented

with instrumented():
    from pitstop.logs import JobLog

CORPUS = (
    b"plain {} {name}\0\0",
    b"{0.__class__}{0.secret}\0\0",
    b"{name[secret]} {0[secret]} {name.secret!r:>5}\0\0",
    b"{{0.secret}} {{{0.secret}}}\0\0",
    b"{:{0.secret}} {0:{{{0.secret}}}} {:99999999999}\0\0",
    b"{!x} {0!r} {unknown} { {0 {} {}\0\0",
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
    """Write a line with any template and two arguments."""
    Argument.reached = False
    log = JobLog(job_id="j", correlation_id="j")
    log.logger.info(Reader(data).text(), Argument(), name=Argument())
    (line,) = log.drain()
    assert not Argument.reached, line.message
    assert "<class" not in line.message or b"<class" in data, line.message
    assert len(line.message) < 20_000


if __name__ == "__main__":
    fuzz(TestOneInput, CORPUS)
