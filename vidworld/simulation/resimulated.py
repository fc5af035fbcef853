"""The true conditional distribution of the future of a clip's context: the same scene, its chance drawn again."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.simulation import SCENARIOS
from vidworld.simulation.chance import Chance, Happening
from vidworld.simulation.simulated import SimulatedClips
from vidworld.simulation.stage import sample_scenes


class TrueFutures(NamedTuple):
    """What may come of each clip, frames that were seen included: these are the same in all samples."""

    position: Float[Tensor, "clip sample time object 2"]
    brightness: Float[Tensor, "clip sample time cell"] | None  # of the panel's cells, where there is one


def true_futures(source: SimulatedClips, indices: Sequence[int], count: int, seen_frames: int) -> TrueFutures:
    """`count` futures of each of these clips, given its first frames; all the same where nothing is left to chance.

    A kick that has come in the frames that were seen is the clip's own in all of them.
    """
    drawn_by, shape = SCENARIOS[source.scenario], source.shape
    (scenes,) = sample_scenes(drawn_by, source.stream, indices, shape, source.split, source.device)
    scenes, each = scenes.at(torch.arange(len(indices)).repeat_interleave(count)), (len(indices), count)
    again, chance = source.again._replace(seen_frames=seen_frames), drawn_by.chance or Chance()
    happening = Happening.of(chance, source.stream, indices, source.device, again, count)
    position = happening.motion(scenes, shape).position.unflatten(0, each)
    brightness = happening.brightness(shape.num_frames).unflatten(0, each) if chance.panel else None
    return TrueFutures(position, brightness)
