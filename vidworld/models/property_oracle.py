"""The ceiling of hidden properties: a physicist who sees the context's pixels and keeps what they reveal.

It knows that of three discs in a row the one at rest has another mass, or that all bounce alike by a restitution, each
with the distribution that clips are drawn from. What the context has shown leaves a posterior over a grid of these;
futures are drawn from it. Before the reveal it is the whole range, after it a point or nearly.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.models.tokenizers import Tokenizer
from vidworld.models.world_model import Encoded, Rollout, tokens_of_future
from vidworld.simulation.discs import Scenes, simulate
from vidworld.simulation.properties import HIDDEN_DISC, Property, with_property
from vidworld.simulation.seen_discs import see
from vidworld.simulation.simulated import render_discs

FREE_FRAMES = 4  # of every clip, before anything meets
PROPERTIES_TRIED = 61  # of each property
UNSURE = 0.01  # units that a place simulated from what is seen may lie beside the one that is seen
_KINDS: tuple[Property, ...] = ("mass", "restitution")


class PropertyOracle:
    """Rolls out clips of hidden properties; it has no surprise."""

    name = "oracle"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        raise NotImplementedError("the oracle of hidden properties only rolls out")

    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        num_frames = horizon * self.tokenizer.patch_size[0]
        futures = [
            tokens_of_future(self.tokenizer, context, frames)
            for frames in self.futures(context.clips, num_frames, samples, seeds)
        ]
        stacked = torch.stack(futures, dim=1)
        return Rollout(stacked, stacked)

    def futures(self, context: Clips, num_frames: int, samples: int, seeds: Sequence[int]) -> list[Tensor]:
        """Frames (clip, num_frames, 3, height, width) of each sample."""
        frames = context.frames.cpu()
        height, width = frames.shape[-2:]
        shown = frames.shape[1]
        scenes, places = first_state(frames, context.fps)
        setting = ClipShape(num_frames=num_frames, fps=context.fps, height_px=height, width_px=width)
        tried = hypotheses(scenes)
        times_s = torch.arange(shown + num_frames, dtype=torch.float64) / context.fps
        motion = simulate(tried, times_s).position.unflatten(
            0, (len(frames), -1)
        )  # (clip, hypothesis, time, object, 2)
        off = (motion[:, :, :shown] - places[:, None]).square().sum((2, 3, 4))
        likely = (-off / (2 * UNSURE**2)).softmax(dim=1).cumsum(dim=1)
        drawn = torch.stack([torch.rand(samples, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        chosen = torch.searchsorted(likely, drawn.double()).clamp(max=likely.shape[1] - 1)
        rows = torch.arange(len(frames))
        looks = (scenes.radius, scenes.color, scenes.present, scenes.screens, scenes.blocks, setting)
        return [render_discs(motion[rows, each, shown:].contiguous(), *looks) for each in chosen.unbind(1)]


def first_state(frames: Tensor, fps: float) -> tuple[Scenes, Float[Tensor, "clip time object 2"]]:
    """The discs' state at the first frame, by lines through the free frames; and where they are seen in all frames.

    The disc that rests is `HIDDEN_DISC`.
    """
    seen = see(frames, fps)
    time = torch.arange(FREE_FRAMES, dtype=torch.float64) / fps
    centred = time - time.mean()
    early = seen.place[:, :FREE_FRAMES]
    velocity = (early * centred[:, None, None]).sum(1) / centred.square().sum()
    slowest = velocity.norm(dim=-1).argmin(dim=1)
    others = torch.arange(velocity.shape[1]).expand(len(slowest), -1)
    order = (others != slowest[:, None]).to(torch.int64).argsort(dim=1, stable=True)  # the one at rest first
    order = order[:, [1, 0, *range(2, order.shape[1])]]  # and then where it belongs
    rows = torch.arange(len(order))[:, None]
    velocity, color, present = (each[rows, order] for each in (velocity, seen.color, seen.present))
    places = seen.place.transpose(1, 2)[rows, order].transpose(1, 2)
    velocity = velocity.clone()
    velocity[:, HIDDEN_DISC] = 0.0
    position = places[:, :FREE_FRAMES].mean(1) - velocity * time.mean()
    radius = (seen.area[:, :FREE_FRAMES].mean(1)[rows, order] / torch.pi).sqrt()
    nothing = position.new_zeros(len(position), 0, 4)
    ones = position.new_ones(len(position))
    mass = radius.mean(1, keepdim=True).square().expand_as(radius)
    scenes = Scenes(
        position=position, velocity=velocity, radius=radius, mass=mass, present=present, color=color,
        gravity=0 * ones, restitution=ones, walls=nothing[..., :3], screens=nothing, blocks=nothing,
    )  # fmt: skip
    return scenes, places


def hypotheses(scenes: Scenes) -> Scenes:
    """Each scene with every property of the grid, clip after clip: masses first, then restitutions."""
    count = len(scenes.radius)
    whole = replace(scenes, mass=scenes.mass.clone())
    repeated = whole.at(torch.arange(count).repeat_interleave(PROPERTIES_TRIED))
    share = torch.linspace(0, 1, PROPERTIES_TRIED, dtype=torch.float64).repeat(count)
    inside = torch.zeros(len(share), dtype=torch.bool)
    kinds = [with_property(repeated, what, share, inside) for what in _KINDS]
    fields = {
        name: torch.stack([vars(each)[name].unflatten(0, (count, PROPERTIES_TRIED)) for each in kinds], dim=1).flatten(
            0, 2
        )
        for name in vars(scenes)
    }
    return Scenes(**fields)
