"""What a head is trained on: embeddings of clips in which somebody acts, goals, and what is to be answered."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from vidworld.core.clip import ActingSource, Embeddings, Logged
from vidworld.core.errors import UserError
from vidworld.models.head import Answered, Goals
from vidworld.models.schema import DataConfig
from vidworld.training.data import ENCODED_CLIPS, MADE_CLIPS, acting_source, weights
from vidworld.video import real_environment

Examples = tuple[Embeddings, Goals, Answered]


def logged_sources(config: DataConfig) -> dict[str, tuple[ActingSource, int]]:
    """What a head learns of by the environment's name, and how many of the clips: environments, or real clips.

    Real clips that do not say where they were collected have no name (""). Raises UserError: there are no such clips.
    """
    if config.real is not None:
        from vidworld.video.real import RealClips

        return {real_environment(config.real) or "": (RealClips(config.real, "train", config.shape), config.clips)}
    shares = weights(config)
    whole = sum(shares.values())
    return {n: (acting_source(config, n), max(1, round(config.clips * s / whole))) for n, s in shares.items()}


def tells_actions(sources: Mapping[str, ActingSource]) -> bool:
    """Whether rewards are learned by what is done, since there are no goals. Raises UserError: in some there are."""
    acts = {name: source.logged([0]).goal.shape[1] == 0 for name, source in sources.items()}
    if len(set(acts.values())) > 1:
        without, goals = (", ".join(name for name, has in acts.items() if has is side) for side in (True, False))
        raise UserError(f"data.scenarios: {without} has no goals and {goals} has; train a head of each")
    return all(acts.values())


def examples_of(
    source: ActingSource,
    count: int,
    tokenizer: Any,
    jepa: Any,
    answers: Callable[[Logged], tuple[Goals, Answered]],
    accelerator: Accelerator,
) -> Examples:
    """Those of the first `count` clips, or of all where there are fewer; embeddings in bf16, which halves them."""
    parts: list[tuple[Tensor, ...]] = []
    numbers = range(min(count, len(source)))
    with tqdm(total=len(numbers), desc="examples", unit="clip", disable=None) as bar, torch.no_grad():
        for first in range(0, len(numbers), MADE_CLIPS):
            logged = source.logged(numbers[first : first + MADE_CLIPS])
            embeddings = []
            for frames in logged.clips.frames.split(ENCODED_CLIPS):
                with accelerator.autocast():
                    tokens = tokenizer.encode(frames.to(accelerator.device))
                    embedded = tokens if jepa is None else jepa.embeddings(tokens)
                embeddings.append(embedded.to("cpu", torch.bfloat16))
                bar.update(len(frames))
            parts.append((torch.cat(embeddings), *answers(logged)))
    embedded, goals, answered = (torch.cat(each) for each in zip(*parts, strict=True))
    return embedded, goals, answered
