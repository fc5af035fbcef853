"""Losses that are no number or leap out of the row: their updates are skipped, counted, and in the end too many."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from statistics import median
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from vidworld.core.records import prepare_folder, write_json, writing
from vidworld.models.schema import SpikeConfig


class Spikes:
    """The losses of the last steps, of which a new one is judged."""

    def __init__(self, config: SpikeConfig) -> None:
        self.config = config
        self.recent: deque[float | None] = deque(maxlen=config.window)
        """None for a step that was skipped."""
        self.skipped = 0
        """Over the whole run."""

    def is_one(self, loss: float, gradient_norm: float) -> bool:
        """Whether this step's update is to be skipped; the step is remembered."""
        usual = [value for value in self.recent if value is not None]
        known = len(self.recent) == self.config.window and bool(usual)
        leaps = known and loss > self.config.ratio * median(usual) > 0
        spike = leaps or not math.isfinite(loss) or not math.isfinite(gradient_norm)
        self.recent.append(None if spike else loss)
        self.skipped += spike
        return spike

    @property
    def too_many(self) -> bool:
        """Whether the run is to be given up."""
        return sum(value is None for value in self.recent) >= self.config.most

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"recent": list(self.recent), "skipped": self.skipped}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets what `state` gave."""
        self.recent = deque(state["recent"], maxlen=self.config.window)
        self.skipped = state["skipped"]


def keep_batch(folder: Path, step: int, process: int, batch: object, told: dict[str, float]) -> Path:
    """Writes a step's batch for replay: its tensors by name, and beside them what they led to.

    The batch belongs to the weights of the last checkpoint, which lie at most `save_every` steps before it.
    """
    path = prepare_folder(folder / "spikes") / f"step_{step:08d}_process_{process}.safetensors"
    tensors = {name: value.detach().contiguous().cpu().clone() for name, value in _tensors(batch)}
    with writing(path):
        save_file(tensors, str(path))
    write_json(path.with_suffix(".json"), {"step": step, "process": process, **told})
    return path


def _tensors(value: object, name: str = "") -> Iterable[tuple[str, Tensor]]:
    """The tensors in a tensor, a sequence or a dataclass, named by where they stand."""
    if isinstance(value, Tensor):
        yield name or "batch", value
    elif isinstance(value, Sequence):
        for number, inner in enumerate(value):
            yield from _tensors(inner, f"{name}.{number}".lstrip("."))
    elif is_dataclass(value):
        for field in fields(value):
            yield from _tensors(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
