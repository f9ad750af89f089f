"""Child processes: what they say, how they die in words, and that nothing is left of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pitstop.children import DROP, ChildProcess, call, isolate, wait

PATIENCE = 30.0
ECHO = "import os\nwhile got := os.read(0, 65536): os.write(0, got)"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No child, no zombie and no descriptor is left by any test."""
    before = _list_possessions()
    yield
    assert _list_possessions() == before


def _list_possessions() -> tuple[list[str], list[str]]:
    """Return the descriptors and the children of this process, zombies included; a server of other tests is one."""
    children = [pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    return sorted(os.listdir("/proc/self/fd")), sorted(children)


def run(text: str, *arguments: str, **options: Any) -> ChildProcess:
    """Start a child that runs a text."""
    return ChildProcess(isolate("-c", text, *arguments), **options)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually_ends(pid: int) -> bool:
    """Return whether a process ends soon."""
    ends_at = time.monotonic() + PATIENCE
    while is_running(pid) and time.monotonic() < ends_at:
        time.sleep(0.01)
    return not is_running(pid)


def test_a_function_is_called_with_this_process_s_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It finds what this process finds, whatever the folders are called, and its standard input is empty."""
    folder = tmp_path / "a 'quoted'\nfolder"
    folder.mkdir()
    (folder / "of_a_test.py").write_text(
        "import sys\nfrom pitstop.children import Channel\n"
        "def main(word):\n"
        "    channel = Channel.to_parent()\n"
        "    for message in channel: channel.send({'echo': word + message['text'], 'input': sys.stdin.read()})\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    with ChildProcess(call("of_a_test:main", "it's \udc80")) as child:
        child.channel.send({"text": "\n"})
        assert child.receive(timeout=PATIENCE) == {"echo": "it's \udc80\n", "input": ""}
        child.let_go()
        assert child.is_gone or child._wait(PATIENCE)


def test_an_isolated_child_sees_the_standard_library_only() -> None:
    """Neither the folder that it starts in nor site-packages."""
    with run(
        "import os, sys\nos.write(0, b'{\"site\": %d, \"here\": %d}\\n' % ('site' in sys.modules, '' in sys.path))"
    ) as child:
        assert child.receive(timeout=PATIENCE) == {"site": 0, "here": 0}


def test_an_isolated_function_finds_its_own_package_too() -> None:
    """As this process found it."""
    with ChildProcess(call("pitstop.text:count_noun", "x", isolated=True)) as child:
        assert child.receive(timeout=PATIENCE) is None
        assert child.last_words().startswith("TypeError: count_noun() missing")


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ("", "exited with code 0"),
        ("raise SystemExit(3)", "exited with code 3"),
        ("import os; os.kill(os.getpid(), 11)", "was killed by signal 11 (SIGSEGV)"),
        (
            "import os; os.kill(os.getpid(), 9)",
            "was killed by signal 9 (SIGKILL), as the system does with one when memory runs out",
        ),
        (f"import os; os.kill(os.getpid(), {signal.SIGRTMIN + 2})", f"was killed by signal {signal.SIGRTMIN + 2}"),
        ("import os, time; os.write(0, b'a\\n'); time.sleep(99)", "sent what is no message and was killed"),
        ("import os, time; os.write(0, b'1\\n'); time.sleep(99)", "sent what is no message and was killed"),
        ("import os, time; os.close(0); time.sleep(99)", "closed its connection and was killed"),
    ],
)
def test_how_it_ended(text: str, ending: str) -> None:
    """In words that follow "the process"."""
    with run(text) as child:
        assert child.receive(timeout=PATIENCE) is None
        assert child.ending == ending
        assert child.is_gone


def test_what_it_sent_before_its_death_is_received() -> None:
    """Also when what it was sent is unread, which resets the connection."""
    with run("import os, sys; [os.write(0, b'{\"n\": %d}\\n' % n) for n in range(3)]; sys.exit(4)") as child:
        child.channel.post({"unread": True})
        found = [child.receive(timeout=PATIENCE) for _ in range(4)]
        assert found == [{"n": 0}, {"n": 1}, {"n": 2}, None]
        assert child.exit_code == 4


def test_death_is_noticed_though_a_grandchild_holds_the_connection() -> None:
    """What the child has started does not keep its parent waiting, and is ended with it."""
    text = (
        "import os, time\npid = os.fork()\nif pid: os.write(0, b'{\"pid\": %d}\\n' % pid); os._exit(5)\ntime.sleep(99)"
    )
    with run(text) as child:
        message = child.receive(timeout=PATIENCE)
        assert message is not None
        assert child.receive(timeout=PATIENCE) is None
        assert child.ending == "exited with code 5"
        assert eventually_ends(message["pid"])


def test_it_is_killed_with_its_group() -> None:
    """A process that it has started does not go on alone."""
    text = "import os, time\npid = os.fork()\nif pid: os.write(0, b'{\"pid\": %d}\\n' % pid)\ntime.sleep(99)"
    with run(text) as child:
        message = child.receive(timeout=PATIENCE)
        assert message is not None
        assert is_running(message["pid"])
    assert eventually_ends(message["pid"])
    assert child.exit_code == -signal.SIGKILL


def test_a_timeout_is_kept() -> None:
    """One that says nothing is waited for no longer."""
    with run("import time; time.sleep(99)") as child:
        began = time.monotonic()
        assert child.receive(timeout=0.1) is None
        assert child.receive(timeout=0) is None
        assert 0.1 <= time.monotonic() - began < PATIENCE
        assert child.ending == "is alive"
        assert not child.is_gone


def test_it_may_end_by_itself() -> None:
    """Whoever closes it with patience lets it do what it does last."""
    child = run("import os, sys; os.write(0, b'{}\\n'); os.read(0, 1); sys.exit(7)")
    assert child.receive(timeout=PATIENCE) == {}
    child.close(patience=PATIENCE)
    assert child.exit_code == 7


def test_what_is_posted_waits_for_nobody() -> None:
    """More than the connection holds goes both ways at once, and nobody waits for the other for ever."""
    texts = [f"{number}" * 100_000 for number in range(10)]
    with run(ECHO) as child:
        for text in texts:
            child.channel.post({"text": text})
        assert child.channel.unsent
        assert [child.receive(timeout=PATIENCE) for _ in texts] == [{"text": text} for text in texts]
        assert not child.channel.unsent


def test_many_are_waited_for_at_once() -> None:
    """Those are returned that have said something or are gone."""
    with run(ECHO) as first, run(ECHO) as second, run("import time; time.sleep(99)") as third:
        assert wait([first, second, third], timeout=0.05) == []
        second.channel.send({"to": 2})
        assert wait([first, second, third], timeout=PATIENCE) == [second]
        assert wait([first, second, third]) == [second], "what is not taken is still there"
        assert second.receive(timeout=0) == {"to": 2}
        third.kill()
        assert wait([first, second, third], timeout=PATIENCE) == [third]


def test_what_it_prints_is_kept_to_its_end() -> None:
    """However much it is; the child is not held up while it is waited for."""
    text = (
        "import os, sys\nsys.stdout.write('x' * 1_000_000 + 'last'); sys.stdout.flush()\n"
        "sys.stderr.write('y' * 1_000_000 + '\\nlast words\\n'); sys.stderr.flush()\n"
        "os.write(0, b'{}\\n'); os.read(0, 1)"
    )
    with run(text, stdout=-1) as child:
        assert child.receive(timeout=PATIENCE) == {}
        printed = child.take_stdout()
        assert printed.endswith("xxlast")
        assert len(printed) == 4096
        assert child.last_words() == "last words"
        assert child.take_stdout() == ""


def test_what_it_prints_may_be_dropped() -> None:
    """Then nothing of it is kept."""
    with run(
        "import os, sys; print('a'); sys.stderr.write('b'); sys.stderr.flush(); os.write(0, b'{}\\n')", stderr=DROP
    ) as child:
        assert child.receive(timeout=PATIENCE) == {}
        assert child.receive(timeout=PATIENCE) is None


@pytest.mark.parametrize("command", [[""], ["/nowhere/python"], ["a\0b"]])
def test_one_that_cannot_be_started_is_an_error(command: list[str]) -> None:
    """It names the program, and leaves nothing open."""
    with pytest.raises(OSError, match=r"no interpreter|/nowhere/python|embedded null byte"):
        ChildProcess(command)


def test_it_hears_no_signal_of_the_terminal() -> None:
    """Ctrl-C and a hang-up go to the parent's group, to which it does not belong."""
    with run('import os; os.write(0, b\'{"group": %d, "session": %d}\\n\' % (os.getpgrp(), os.getsid(0)))') as child:
        assert child.receive(timeout=PATIENCE) == {"group": child.pid, "session": child.pid}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_it_works_and_is_killed_where_the_parent_ignores_a_signal(number: signal.Signals) -> None:
    """As under nohup, or in the background of a shell."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with run("import os, time; os.write(0, os.read(0, 65536)); time.sleep(99)") as child:
            child.channel.send({"a": 1})
            assert child.receive(timeout=PATIENCE) == {"a": 1}
        assert child.exit_code == -signal.SIGKILL  # it does not end by itself when its connection is closed
    finally:
        signal.signal(number, before)


def test_a_descriptor_is_inherited_and_another_is_not() -> None:
    """Only what is named, and what is sent over the connection, is open in it."""
    reads, writes = os.pipe()
    text = "import os, sys; os.write(int(sys.argv[1]), b'%d' % len(os.listdir('/proc/self/fd')))"
    try:
        with run(text, str(writes), descriptors=[writes]) as child:
            assert child.receive(timeout=PATIENCE) is None
        # its three streams, what it was given, and the folder that it lists
        assert os.read(reads, 10) == b"5"
    finally:
        os.close(reads)
        os.close(writes)


def test_a_fork_of_the_parent_does_not_keep_it_from_noticing_the_parent_s_end() -> None:
    """Its connection is closed in the fork."""
    with run(ECHO) as child:
        pid = os.fork()
        if pid == 0:
            time.sleep(PATIENCE)
            os._exit(0)
        try:
            child.let_go()
            assert child._wait(PATIENCE / 2)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_it_is_noticed_where_the_system_notifies_of_no_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: it is asked from time to time."""
    monkeypatch.delattr(os, "pidfd_open")
    text = "import os, time\nif os.fork(): os._exit(6)\ntime.sleep(99)"
    with run(text) as child, run(ECHO) as other:
        assert child.receive(timeout=PATIENCE) is None
        assert child.ending == "exited with code 6"
        other.channel.send({"a": 1})
        assert other.receive(timeout=PATIENCE) == {"a": 1}
        assert not other.is_gone
