"""Scripts that another script runs: what they failed with, and that they end with it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidworld.core.errors import UserError
from vidworld.evaluation.commands import run_command


def test_a_script_that_fails_is_said_with_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint('error: no such thing', file=sys.stderr)\nsys.exit(2)")
    command = [sys.executable, str(script)]
    assert run_command(command, lambda: None, may_fail=True) == "no such thing"
    with pytest.raises(UserError, match="no such thing"):
        run_command(command, lambda: None)
    script.write_text("raise ValueError('odd')")
    with pytest.raises(UserError, match="odd"):
        run_command(command, lambda: None, may_fail=True)
    for wish in (signal.SIGTERM, signal.SIGUSR1):
        script.write_text(f"import os\nos.kill(os.getpid(), {wish.value})")
        with pytest.raises(SystemExit, match="75"):
            run_command(command, lambda: None)


@pytest.mark.parametrize(
    ("number", "words"),
    [(signal.SIGKILL, "killed by SIGKILL, often for lack of memory"), (signal.SIGSEGV, "killed by SIGSEGV")],
)
def test_a_script_that_was_killed_is_no_wish_to_stop(number: signal.Signals, words: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, sys\nprint('so far', file=sys.stderr, flush=True)\nos.kill(os.getpid(), {number.value})"
    )
    with pytest.raises(UserError, match=rf"so far\n{words}"):
        run_command([sys.executable, str(script)], lambda: None)


def test_sigterm_ends_the_script_and_what_it_started(tmp_path: Path) -> None:
    """As accelerate's launcher, which waits for the training and passes no signal on."""
    script, launcher, noted = tmp_path / "script.py", tmp_path / "launcher.py", tmp_path / "pid"
    script.write_text(
        f"import os, pathlib, time\npathlib.Path({str(noted)!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    launcher.write_text(f"import subprocess, sys\nsubprocess.run([sys.executable, {str(script)!r}])")
    code = "import sys; from vidworld.evaluation.commands import run_command; run_command(sys.argv[1:], lambda: None)"
    process = subprocess.Popen([sys.executable, "-c", code, sys.executable, str(launcher)])
    end = time.monotonic() + 60
    while not (noted.exists() and noted.read_text()):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75
    status = Path(f"/proc/{noted.read_text()}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"
