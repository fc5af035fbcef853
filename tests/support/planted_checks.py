"""Checks for eval/gpu_checks/isolation.py to run, each of which ends in another way."""

import os
import subprocess
import sys
import time

from gpu_checks.isolation import Failed, Finding, Skipped


def passes(setup, number=1.0):
    print("said by the check", os.environ.get("PLANTED"))
    return Finding("as it should", {"number": number})


def skips(setup):
    raise Skipped("not here")


def finds_a_fault(setup):
    raise Failed("too large", {"number": 3.0})


def raises(setup):
    raise ValueError("first line\nsecond line")


def exits(setup):
    sys.exit(3)


def crashes(setup):
    os.abort()


def hangs(setup):
    """With a process of its own, whose number is kept."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (setup.folder / "child").write_text(str(child.pid))
    time.sleep(600)
