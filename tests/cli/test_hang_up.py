"""The terminal goes, or a service manager hangs up: what runs is cancelled, and the record says so."""

import fcntl
import os
import signal
import subprocess
import termios
import threading
from contextlib import suppress

from .running import PATIENCE, slow_worker, wait_for


def drain(terminal):
    """Read what a program shows, so that it never waits for the terminal."""
    with suppress(OSError):
        while os.read(terminal, 4096):
            pass


def test_terminal_that_is_closed_cancels_cleanly(pitstop, tmp_path):
    """Nothing can be shown any more, and the job is cancelled all the same, as if somebody had asked for it."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    ours, theirs = os.openpty()
    process = pitstop.start_with(
        *("run", "slow", "--set", f"flag={flag}"),
        env={**pitstop.environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    copy = os.dup(ours)
    reader = threading.Thread(target=drain, args=(copy,), daemon=True)
    reader.start()
    wait_for(flag)
    # one reader is in the middle of a read, which keeps the terminal: take it away as the kernel does
    os.kill(process.pid, signal.SIGHUP)
    os.close(ours)
    os.close(copy)
    assert process.wait(PATIENCE) == 130
    (job,) = pitstop("jobs", "list", "--json").json["jobs"]
    assert job["status"] == "cancelled"
    assert "SIGHUP" in job["error"]["message"]


def test_hang_up_behind_another_signal_is_no_second_wish(pitstop, tmp_path):
    """systemd sends SIGTERM and SIGHUP together, and a closed terminal more than one: the job still ends in order."""
    slow_worker(pitstop)
    for number, signals in enumerate([(signal.SIGTERM, signal.SIGHUP), (signal.SIGHUP, signal.SIGHUP)]):
        flag = tmp_path / f"flag{number}"
        process = pitstop.start("run", "slow", "--set", f"flag={flag}")
        wait_for(flag)
        for each in signals:
            process.send_signal(each)
        _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, "left at once" in err) == (130, False), err
        assert pitstop("jobs", "list", "--json").json["jobs"][0]["status"] == "cancelled"


def test_nohup_is_respected(pitstop, tmp_path):
    """Who started the program so that no hang-up ends it gets what they asked for."""
    slow_worker(pitstop)
    flag = tmp_path / "flag"
    process = pitstop.start_with(
        *("run", "slow", "--set", f"flag={flag}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for(flag)
    process.send_signal(signal.SIGHUP)
    assert pitstop("jobs", "list", "--json").json["jobs"][0]["status"] == "running"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert "interrupted by SIGTERM" in out, err
