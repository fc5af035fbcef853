"""Trained heads in planning: what reads rewards out of what is imagined, and the agent that was cloned from clips."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator
from vidworld.models.files import check_tokenizer, load_model, read_budget
from vidworld.models.head import GoalHead
from vidworld.planning.agents import Agent, Decision, Observed
from vidworld.planning.imagination import counted, encode_context
from vidworld.planning.planners import Blocks

OF_ANY_PLACE = ""
"""What the environment is called of clips that do not say theirs: their head is used wherever it is asked."""


def environments_of(folders: Iterable[Path]) -> list[str]:
    """Where these heads were trained. Raises UserError: a folder holds no finished model."""
    return [name for folder in folders for name in read_budget(folder).get("environments", ())]


def load_head(folder: Path, predicts: str, environment: str, evaluator: Evaluator) -> GoalHead | None:
    """The head of a run folder; None where it knows nothing of the environment.

    Raises UserError: it predicts something else, or from another tokenizer's tokens.
    """
    budget = read_budget(folder)
    if budget.get("predicts") != predicts:
        raise UserError(f"{folder}: predicts {budget.get('predicts')}, where a head is needed that predicts {predicts}")
    check_tokenizer(folder, evaluator.tokenizer.fingerprint())
    if not {environment, OF_ANY_PLACE} & set(budget["environments"]):
        return None
    head: GoalHead = load_model(GoalHead, folder).to(evaluator.accelerator.device)
    return head


@dataclass(frozen=True)
class ClonedAgent(Agent):
    """It does what was done in clips that looked so, for such a goal: behaviour cloning, which plans nothing."""

    name: str = "cloned"
    head: Any = field(kw_only=True)
    evaluator: Evaluator = field(kw_only=True)

    def decide(self, seen: Observed, before: Blocks | None, state: Any) -> Decision:
        """One action, held for all blocks until it looks again."""
        began = time.perf_counter()
        found: list[Tensor] = []
        flops = counted(lambda: found.append(self._action(seen))) / len(seen.frames)
        actions = found[0].clamp(-1, 1).double().cpu().expand(-1, self.protocol.execute_blocks, -1)
        return Decision(actions, flops=flops, seconds=time.perf_counter() - began)

    def _action(self, seen: Observed) -> Float[Tensor, "clip 1 action"]:
        context = encode_context(seen, self.evaluator, self.head.chunks)
        with self.evaluator.accelerator.autocast(), torch.no_grad():
            action: Tensor = self.head(context.tokens, seen.goal.target[:, None].float().to(context.tokens.device))
        return action
