"""Lets the tests here import `samples` and `my_world`: pytest's importlib mode adds no folder. The scoring script."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path += [str(Path(__file__).parent), str(ROOT / "tests" / "adapters")]


@pytest.fixture
def score(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Runs eval/score_benchmark.py in this process; its exit code."""

    def run(*arguments: object) -> object:
        monkeypatch.setattr(sys, "argv", ["eval/score_benchmark.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(ROOT / "eval" / "score_benchmark.py"), run_name="__main__")
        return ended.value.code

    return run
