"""Lets the tests here import `samples` and `my_world`: pytest's importlib mode adds no folder by itself."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "adapters")]
