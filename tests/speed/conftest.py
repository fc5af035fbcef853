"""Lets the tests here import `speed` of eval/, as its scripts do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "eval"))
