"""Lets the tests here import `tiny_models` of the adapters: pytest's importlib mode adds no folder by itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
