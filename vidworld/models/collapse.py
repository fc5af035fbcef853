"""The alarm of a training that has collapsed: its embeddings no longer distinguish clips, or it predicts nothing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.errors import UserError

IN_A_ROW = 3
"""Logged steps that must all look collapsed: one alone may be an odd batch."""
CLIPS = 16
"""Clips whose embeddings are compared, always the same ones, however few a process works through at once."""


def std_across_clips(embeddings: Float[Tensor, "clip *place"]) -> float:
    """Standard deviation across clips at a fixed place, as the root mean square over places and channels.

    Across clips at one place, since embeddings that hold nothing but their place still differ from place to place.
    """
    return float(embeddings.float().var(dim=0).mean().sqrt())


class CollapseAlarm:
    """Called at every logged step; ends a run that has looked collapsed at several of them in a row."""

    def __init__(
        self,
        out: Path,
        warmup_steps: int,
        max_ratio: float,
        min_std: float = 0.0,
        embed: Callable[[], Tensor] | None = None,
    ) -> None:
        """Nothing is checked before twice `warmup_steps`.

        `max_ratio` is of the prediction loss over that of repeating the last embedding (`copy_last_ratio`), `min_std`
        of the embeddings that `embed` gives; without `embed` only the ratio is checked.
        """
        self.out, self.first_step = out, 2 * warmup_steps
        self.max_ratio, self.min_std, self.embed = max_ratio, min_std, embed
        self.alike = self.useless = 0

    @torch.no_grad()
    def __call__(self, step: int, logged: Mapping[str, float]) -> None:
        """Check a step. Raises UserError: it is the last of `IN_A_ROW` logged steps that looked collapsed."""
        if not logged or step < self.first_step:
            return
        ratio = logged["copy_last_ratio"]
        self.useless = self.useless + 1 if ratio > self.max_ratio else 0
        std = float("inf") if self.embed is None else std_across_clips(self.embed())
        self.alike = self.alike + 1 if std < self.min_std else 0
        where = f"at step {step} and the {IN_A_ROW - 1} logged steps before it"
        if self.alike >= IN_A_ROW:
            raise UserError(
                f"{self.out}: collapsed {where}: the standard deviation of embeddings across clips is {std:.3g}, under "
                f"{self.min_std:.3g}; another model.regulariser_weight, or family: regression, prevents it"
            )
        if self.useless >= IN_A_ROW:
            raise UserError(
                f"{self.out}: predicts nothing {where}: its loss is {ratio:.2f} times that of repeating the last "
                "embedding; a lower optimiser.lr may help"
            )
