"""Following a tutorial to the letter: files are written, commands are run, and what came is compared with the page.

What varies from one reader to the next need not be the same: figures with a unit, dates and times, spaces between
columns. `...` stands for anything within a line, and alone on a line for any number of lines. A job's id on the page
stands for the id that came in its place, from its first place on.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from attrs import Factory, frozen

BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'\btitle="([^"]+)"')
#: Longest time for one command, in seconds. Installing takes a while, the others fractions of a second.
PATIENCE = 300

#: Log lines that no terminal shows, and what pip says of itself and of where it looks.
_UNSHOWN = re.compile(r"\d\d:\d\d:\d\d\.\d+ INFO |WARNING: Location |\[notice\] |$")
_FIGURE = r"-?\d[\d.]*(?: ?(?:bytes|[kMGT]B|us|ms|s|min|h|%)(?![A-Za-z]))"
_ID = r"\b[0-9a-f]{16}\b"
_PARTS = re.compile(
    rf"(?P<id>{_ID})"
    r"|(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d+)?)?|\d\d:\d\d:\d\d(?:\.\d+)?)"
    rf"|(?P<figure>{_FIGURE})"
    r"|(?P<any>\.\.\.)"
    r"|(?P<space>[ \t]+)"
)


@frozen
class Step:
    """One thing that a reader does.

    Args:
        file: what is to be written, or "".
        command: what is to be typed, or "".
        text: the file's content, or the output that the page shows.
    """

    text: str
    file: str = ""
    command: str = ""


def steps(page: str) -> Iterator[Step]:
    """Yield what a tutorial tells its reader to do, in order."""
    for language, heading, text in BLOCK.findall(page):
        title = TITLE.search(heading)
        if title:
            yield Step(text, file=title[1])
        elif language == "console":
            yield from _commands(text)


def _commands(text: str) -> Iterator[Step]:
    begun, *rest = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not begun, f"a console block begins with a command: {begun!r}"
    for part in rest:
        line, _, output = part.partition("\n")
        yield Step(output, command=re.sub(r"\s+#.*", "", line))


@frozen
class Reader:
    """Does what a tutorial says, in a folder.

    Args:
        folder: where; empty at first.
        path: where programs are looked for first.
    """

    folder: Path
    path: Path
    _ids: dict[str, str] = Factory(dict)

    def follow(self, page: str) -> int:
        """Do every step of a page. Returns how many commands were run. Raises AssertionError if one goes otherwise."""
        ran = 0
        for step in steps(page):
            if step.file:
                file = self.folder / step.file
                assert file.parent.is_dir(), f"{step.file}: there is no such folder"
                file.write_text(step.text)
            else:
                self._run(step)
                ran += 1
        return ran

    def _run(self, step: Step) -> None:
        command = re.sub(_ID, lambda shown: self._ids.get(shown[0], shown[0]), step.command)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        # in a terminal, where a reader sits, no log line below a warning is shown
        came = done.stdout + "".join(line for line in done.stderr.splitlines(True) if not _UNSHOWN.match(line))
        problem = self.difference(step.text, came)
        assert not problem, f"$ {step.command}\n{problem}\n-- shown:\n{step.text}\n-- came:\n{came}"
        refused = re.search(r"^Error: ", step.text, re.MULTILINE) is not None
        assert (done.returncode != 0) == refused, f"$ {step.command} ended with {done.returncode}:\n{came}"

    def _environment(self) -> dict[str, str]:
        ours = ("PYTHON", "PITSTOP", "VIRTUAL_ENV", "PYTEST", "UV_")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
            "PATH": f"{self.path}:{os.environ['PATH']}",
            "XDG_STATE_HOME": str(self.folder / ".state"),
            "NO_COLOR": "1",
            "COLUMNS": "100",
        }

    def difference(self, shown: str, came: str) -> str:
        """Return what does not fit, or "" if what came is what is shown."""
        lines = [line.rstrip() for line in came.splitlines()]
        expected = [line.rstrip() for line in shown.splitlines()]
        while lines and not lines[-1]:
            lines.pop()
        while expected and not expected[-1]:
            expected.pop()
        return self._rest(expected, lines)

    def _rest(self, expected: list[str], lines: list[str]) -> str:
        position, skipping = 0, False
        for line in expected:
            if line.strip() == "...":
                skipping = True
                continue
            while position < len(lines):
                found = self._fits(line, lines[position])
                position += 1
                if found:
                    break
                if not skipping:
                    return f"this is not there: {line!r}; there is: {lines[position - 1]!r}"
            else:
                return f"this is not there: {line!r}"
            skipping = False
        if position < len(lines) and not skipping:
            return f"this is not shown: {lines[position]!r}"
        return ""

    def _fits(self, shown: str, came: str) -> bool:
        named: list[str] = []

        def part(found: re.Match[str]) -> str:
            match found.lastgroup:
                case "id" if found[0] in self._ids:
                    return re.escape(self._ids[found[0]])
                case "id":
                    named.append(found[0])
                    return f"({_ID})"
                case "time":
                    return re.sub(r"\d+", r"\\d+", found[0]).replace(".", r"\.")
                case "figure":
                    return f"(?:{_FIGURE})"
                case "any":
                    return ".*"
                case _:
                    return r"\s+"

        pattern, end = "", 0
        for found in _PARTS.finditer(shown):
            pattern += re.escape(shown[end : found.start()]) + part(found)
            end = found.end()
        fitting = re.fullmatch(pattern + re.escape(shown[end:]), came)
        if fitting:
            self._ids.update(zip(named, fitting.groups(), strict=True))
        return fitting is not None
