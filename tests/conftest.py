"""One thread a worker (pytest-xdist has one for each core), no network; tests/support and tests/golden are found."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent / "support"))

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from hypothesis import settings

from vidworld.core import registry

torch.set_num_threads(1)
# The same precision on every machine: `auto` finds no bf16. Accelerate keeps one precision a process, besides.
torch.cpu._is_avx512_bf16_supported = lambda: False
# No deadline: the first example of a test may have to import or compile something.
settings.register_profile("vidworld", deadline=None, print_blob=True)
settings.load_profile("vidworld")
# What other packages add here is theirs to test.
registry.metadata = SimpleNamespace(entry_points=lambda group: ())
