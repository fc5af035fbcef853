"""Runs a script of train/ or eval/ as its user would, in this process."""

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str, *arguments: object) -> object:
    """The exit code."""
    before = sys.argv
    sys.argv = [script, *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / script), run_name="__main__")
    finally:
        sys.argv = before
    return ended.value.code
