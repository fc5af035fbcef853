"""Ceilings: a perfect physicist who sees the pixels of a context alone, and draws where these leave the future open.

It knows the simulator's laws and what scenarios draw from, no state and no name of a clip. What it cannot know it takes
from its true conditional distribution: of a disc that has not touched the floor yet, any restitution that such discs
have. Where the context decides, all of its samples are one.

Of hidden properties it knows that of three discs in a row the one at rest has another mass, or that all bounce alike by
a restitution, each with the distribution that clips are drawn from. What the context has shown leaves a posterior over
a grid of these; futures are drawn from it. Before the reveal it is the whole range, after it a point or nearly.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vidworld.core.clip import Clips, Frames
from vidworld.core.clip_shape import ClipShape
from vidworld.models.tokenizers import Tokenizer
from vidworld.models.world_model import Encoded, Rollout, tokens_of_future
from vidworld.simulation.discs import Scenes, discs_alone, simulate
from vidworld.simulation.inference import Posterior, infer
from vidworld.simulation.properties import HIDDEN_DISC, Property, with_property
from vidworld.simulation.seen_discs import see
from vidworld.simulation.simulated import render_discs
from vidworld.simulation.stage import PALETTE, joined

DECIDED = 0.02  # units: standard deviation of places, over frames and discs, up to which a context decides its future
FUTURES = 8  # futures that tell whether it does, and that surprise is a mean over where it does not
FREE_FRAMES = 4  # of every clip, before anything meets
PROPERTIES_TRIED = 61  # of each property
UNSURE = 0.01  # units that a place simulated from what is seen may lie beside the one that is seen
_KINDS: tuple[Property, ...] = ("mass", "restitution")


class Oracle:
    """A `WorldModel`; its surprise is the distance of the frames from those that it predicts from the context."""

    name = "oracle"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        futures = self.futures(context.clips, horizon * self.tokenizer.patch_size[0], samples, seeds)
        tokens = [tokens_of_future(self.tokenizer, context, futures[0])]
        for future in futures[1:]:
            tokens.append(tokens[0] if future is futures[0] else tokens_of_future(self.tokenizer, context, future))
        stacked = torch.stack(tokens, dim=1)
        return Rollout(stacked, stacked)

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        """The mean squared error of each chunk's frames, over the futures that the context leaves open."""
        chunk, true = self.tokenizer.patch_size[0], seen.clips.frames
        start = context_length * chunk
        futures = self.futures(seen.chunks(0, context_length).clips, true.shape[1] - start, FUTURES, seeds)
        distinct = futures if futures[-1] is not futures[0] else futures[:1]
        wrong = [(future.float() - true[:, start:].float()).square().mean(dim=(2, 3, 4)) for future in distinct]
        by_frame: Tensor = torch.stack(wrong).mean(dim=0)
        return by_frame.unfold(1, chunk, chunk).mean(dim=2) / 255**2

    def futures(self, context: Clips, num_frames: int, samples: int, seeds: Sequence[int]) -> list[Frames]:
        """The frames after the context, sample by sample; where every clip is decided all samples are one object."""
        frames = context.frames.cpu()
        height, width = frames.shape[-2:]
        setting = ClipShape(num_frames=num_frames, fps=context.fps, height_px=height, width_px=width)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            scenes = infer(frames, context.fps)
            places, decided = draw_futures(scenes, num_frames, samples, seeds)
            first, undecided = _rendered(scenes, places[:, 0], setting), (~decided).nonzero()[:, 0]
            if len(undecided) == 0:
                return [first] * samples
            futures, open_ones = [first], scenes.at(undecided)
            for sample in range(1, samples):
                future = first.clone()
                future[undecided] = _rendered(open_ones, places[undecided, sample], setting)
                futures.append(future)
        return futures


def draw_futures(
    scenes: Posterior, num_frames: int, samples: int, seeds: Sequence[int]
) -> tuple[Float[Tensor, "clip sample time object 2"], Bool[Tensor, " clip"]]:
    """Where the discs are after the context, sample by sample, and of which clips the context decides it.

    All samples of a decided clip are its middle future.
    """
    clips, size = len(seeds), scenes.theta.shape[1]
    level, noise = (torch.stack(each) for each in zip(*(_drawn(seed, samples, size) for seed in seeds), strict=True))
    places = scenes.positions(scenes.draw(noise, level), num_frames)
    # What is decided must not depend on a clip's own luck: the same draws for all, restitutions evenly apart.
    even = ((torch.arange(FUTURES, dtype=level.dtype) + 0.5) / FUTURES).expand(clips, -1)
    tried = scenes.positions(scenes.draw(_drawn(0, FUTURES, size)[1].expand(clips, -1, -1), even), num_frames)
    deviation, present = tried.var(dim=1).sum(dim=-1).sqrt(), scenes.seen.present[:, None]  # (clip, time, object)
    spread = (deviation * present).sum(dim=(1, 2)) / (present.sum(dim=(1, 2)) * num_frames).clamp(min=1)
    decided = spread <= DECIDED
    middle = scenes.draw(torch.zeros_like(noise[:, :1]), torch.full_like(level[:, :1], 0.5))
    likely = scenes.positions(middle, num_frames)
    return torch.where(decided.reshape(-1, 1, 1, 1, 1), likely, places), decided


def _drawn(seed: int, count: int, size: int) -> tuple[Float[Tensor, " k"], Float[Tensor, "k parameter"]]:
    """Levels and normal noise of a seed: as many for each clip as the palette has discs, whatever is in its batch."""
    generator = torch.Generator().manual_seed(seed)
    level = torch.rand(count, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, 5 * len(PALETTE) + 1, generator=generator, dtype=torch.float64)
    return level, noise[:, :size]


def _rendered(scenes: Posterior, position: Float[Tensor, "clip time object 2"], setting: ClipShape) -> Frames:
    seen = scenes.seen
    radius = scenes.theta[:, :-1].unflatten(1, (-1, 5))[..., 4]
    return render_discs(position, radius, seen.color, seen.present, seen.screens, seen.blocks, setting)


class PropertyOracle(Oracle):
    """Rolls out clips of hidden properties; it has no surprise."""

    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        raise NotImplementedError("the oracle of hidden properties only rolls out")

    def futures(self, context: Clips, num_frames: int, samples: int, seeds: Sequence[int]) -> list[Tensor]:
        """Frames (clip, num_frames, 3, height, width) of each sample."""
        frames = context.frames.cpu()
        shown, _, height, width = frames.shape[1:]
        scenes, places = first_state(frames, context.fps)
        setting = ClipShape(num_frames=num_frames, fps=context.fps, height_px=height, width_px=width)
        times_s = torch.arange(shown + num_frames, dtype=torch.float64) / context.fps
        # (clip, hypothesis, time, object, 2)
        motion = simulate(hypotheses(scenes), times_s).position.unflatten(0, (len(frames), -1))
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
    mass = radius.mean(1, keepdim=True).square().expand_as(radius)
    return replace(discs_alone(position, velocity, radius, color), mass=mass, present=present), places


def hypotheses(scenes: Scenes) -> Scenes:
    """Each scene with every property of the grid, clip after clip: masses first, then restitutions."""
    count = len(scenes.radius)
    repeated = scenes.at(torch.arange(count).repeat_interleave(PROPERTIES_TRIED))
    share = torch.linspace(0, 1, PROPERTIES_TRIED, dtype=torch.float64).repeat(count)
    inside = torch.zeros(len(share), dtype=torch.bool)
    kinds = joined([with_property(repeated, what, share, inside) for what in _KINDS])
    by_clip = torch.arange(len(_KINDS) * len(share)).view(len(_KINDS), count, -1).transpose(0, 1)
    return kinds.at(by_clip.flatten())
