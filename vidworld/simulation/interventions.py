"""Interventions: the same scene twice, once with one thing changed, under common random numbers.

A model can only be shown pictures, so each change is one that pictures show. A disc that is removed, moved or of
another mass is so from the first frame on; mass is radius squared in these scenarios, and another mass is another size.
A kick gives a disc another velocity `SHOWN_FRAMES` before the context ends, so that its last frames show the new one.
No two discs meet within the context in either world: what follows from the change lies in the frames to be predicted.
Nuisance and texture are the same in both worlds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from vidworld.core.clip import Clips, Tracks
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.counter_rng import public
from vidworld.core.errors import UserError
from vidworld.simulation import SCENARIOS, NuisanceLevel
from vidworld.simulation.crowds import apart_at_first
from vidworld.simulation.discs import Scenes, simulate
from vidworld.simulation.nuisance import add_nuisance, add_texture
from vidworld.simulation.simulated import check_split, render_scenes, with_level
from vidworld.simulation.stage import Candidates, Fits, Sampler, Scenario, Stage, sample_scenes

INTERVENTIONS_VERSION = 1  # raised when a pair of the same number comes to be another
SHOWN_FRAMES = 4  # of a kicked disc's new velocity, at the context's end: a chunk
LEAST_EFFECT = 0.5  # units that some disc is elsewhere because of the change, in some frame
TIMES_AS_HEAVY = (0.5, 2.0)  # times as heavy
LEAST_KICK = 1.5  # units a second that a kick changes a velocity by
MOVES = (0.4, 1.5)  # units that a disc is moved by

_Disc = Int[Tensor, " world"]
Change = Callable[[Stage, Scenes, _Disc], tuple[Scenes, Fits]]
"""The scene with this disc changed, and whether it will do."""


class WorldPair(NamedTuple):
    """Clips of the same scenes as they are and with one disc changed."""

    factual: Clips
    changed: Clips


def _remove(stage: Stage, scenes: Scenes, disc: _Disc) -> tuple[Scenes, Fits]:
    """The disc is not there."""
    return replace(scenes, present=scenes.present & ~_chosen(scenes, disc)), torch.ones_like(disc, dtype=torch.bool)


def _mass(stage: Stage, scenes: Scenes, disc: _Disc) -> tuple[Scenes, Fits]:
    """The disc is half or twice as heavy, and as large as discs of that mass are; no size is new to the split."""
    heavy = torch.where(stage.draws.chance(0.5), *TIMES_AS_HEAVY)
    factor = torch.where(_chosen(scenes, disc), heavy[:, None], 1.0)
    radius = scenes.radius * factor.sqrt()
    low, high = stage.ranges.radius
    known = ((radius >= low) & (radius <= high) | ~scenes.present).all(1) | stage.outside_radius
    return replace(scenes, radius=radius, mass=scenes.mass * factor), known


def _kick(stage: Stage, scenes: Scenes, disc: _Disc) -> tuple[Scenes, Fits]:
    """The disc has another velocity, drawn as those of the scenario are."""
    velocity = stage.speed(1) * stage.draws.direction(1)[:, 0]
    own = _chosen(scenes, disc)[..., None]
    change = (torch.where(own, velocity[:, None] - scenes.velocity, 0.0)).square().sum((1, 2)).sqrt()
    return replace(scenes, velocity=torch.where(own, velocity[:, None], scenes.velocity)), change >= LEAST_KICK


def _move(stage: Stage, scenes: Scenes, disc: _Disc) -> tuple[Scenes, Fits]:
    """The disc starts elsewhere, with the same velocity."""
    way = stage.draws.uniform(*MOVES)[:, None] * stage.draws.direction(1)[:, 0]
    position = scenes.position + torch.where(_chosen(scenes, disc)[..., None], way[:, None], 0.0)
    return replace(scenes, position=position), torch.ones_like(disc, dtype=torch.bool)


INTERVENTIONS: dict[str, Change] = {"remove": _remove, "mass": _mass, "kick": _kick, "move": _move}
"""What can be done to a disc."""


def _chosen(scenes: Scenes, disc: _Disc) -> Tensor:
    """Which disc of each scene it is."""
    return torch.arange(scenes.radius.shape[1], device=disc.device) == disc[:, None]


def world_pairs(
    scenario: str,
    kind: str,
    split: str,
    seed: int | str,
    indices: Sequence[int],
    context_frames: int = 8,
    shape: ClipShape = ClipShape(),
    nuisance: NuisanceLevel = 0,
) -> WorldPair:
    """The pairs of these numbers, each a function of (scenario, kind, split, seed, number) and how it is rendered.

    Factual clips are drawn by the scenario, and kept where a change of the kind has an effect. Raises UserError: the
    scenario has no such pairs.
    """
    check_split(split)
    if kind not in INTERVENTIONS:
        raise UserError(f"there is no intervention {kind!r}; there are {', '.join(INTERVENTIONS)}")
    since = context_frames - SHOWN_FRAMES if kind == "kick" else 0
    if not 0 <= since < context_frames < shape.num_frames:
        raise UserError(f"context_frames {context_frames} must be {SHOWN_FRAMES} or more and leave frames to predict")
    rule, device = SCENARIOS[scenario], torch.device("cpu")
    samplers = rule.more if split == "more" else rule.samplers
    once = {sampler: partial(_with_change, sampler, kind, since, context_frames) for sampler in samplers}
    pairs = tuple(once[sampler] for sampler in samplers)
    drawn_by = Scenario(pairs, rule.ranges, more=pairs)
    stream = f"do/{scenario}/{kind}/{split}/{seed}"
    worlds = sample_scenes(drawn_by, stream, indices, shape, split, device)
    names = [public(f"do_{scenario}_{kind}/{with_level(split, nuisance)}/{seed}") + f"/{index}" for index in indices]
    (before, factual), (after, changed) = (_rendered(each, shape) for each in worlds)
    if since:
        after = torch.cat((before[:, :since], after[:, : shape.num_frames - since]), dim=1)
        changed = _joined_in_time(factual, changed, since, shape)
    clips = []
    for side, clean, tracks in (("factual", before, factual), ("changed", after, changed)):
        if split == "textures":
            add_texture(clean, stream, indices)
        shown = add_nuisance(clean, stream, indices, nuisance) if nuisance else clean
        identity = tuple(f"{name}/{side}" for name in names)
        clips.append(Clips(shown, shape.fps, identity, tracks, clean if nuisance else None))
    return WorldPair(*clips)


def _with_change(sampler: Sampler, kind: str, since: int, context_frames: int, stage: Stage) -> Candidates:
    """A scene of the sampler at its first frame, and the changed one at frame `since`, if the change shows later."""
    (scenes,), valid = sampler(stage)
    setting, strikes = stage.setting, getattr(sampler, "__name__", "") == "dominoes"
    count = scenes.present.sum(1)
    first = 1 if strikes and kind == "remove" else 0  # whoever strikes a chain is part of it
    disc = (first + stage.draws.uniform() * (count - first)).floor().long()
    disc = scenes.present.to(torch.int64).argsort(dim=1, descending=True, stable=True).gather(1, disc[:, None])[:, 0]
    begun = scenes
    if since:
        at_s = torch.tensor([since * setting.dt_s], dtype=torch.float64, device=disc.device)
        motion = simulate(scenes, at_s)
        begun = replace(scenes, position=motion.position[:, 0], velocity=motion.velocity[:, 0])
    changed, will_do = INTERVENTIONS[kind](stage, begun, disc)
    some = (valid & will_do & apart_at_first(changed.position, changed.radius, scenes.present)).nonzero()[:, 0]
    fits = torch.zeros_like(valid)
    if len(some) > 0:
        fits[some] = _has_effect(scenes.at(some), changed.at(some), since, context_frames, setting)
    return (scenes, changed), fits


def _has_effect(scenes: Scenes, changed: Scenes, since: int, context_frames: int, setting: ClipShape) -> Fits:
    """Whether discs meet only after the context, all stay in view, and one gets elsewhere because of the change."""
    times_s = torch.arange(setting.num_frames, dtype=torch.float64) / setting.fps
    end_s, size = (context_frames - 0.5) * setting.dt_s, torch.tensor([WORLD_SIZE, setting.height], dtype=torch.float64)
    one, other = simulate(scenes, times_s), simulate(changed, times_s[: setting.num_frames - since])
    fits = ~(one.contact_s <= end_s).any(1) & ~(other.contact_s + since * setting.dt_s <= end_s).any(1)
    for motion, world in ((one, scenes), (other, changed)):
        reach = world.radius[:, None, :, None]
        inside = ((motion.position >= reach - 1e-9) & (motion.position <= size - reach + 1e-9)).all(-1)
        fits &= (inside | ~world.present[:, None]).all((1, 2))
    both = (scenes.present & changed.present)[:, None]
    apart = other.position - one.position[:, since:]
    start = context_frames - 1 - since
    effect = (apart[:, start:] - apart[:, start : start + 1]).square().sum(-1).sqrt()
    return fits & (torch.where(both, effect, 0.0).amax((1, 2)) >= LEAST_EFFECT)


def _rendered(scenes: Scenes, shape: ClipShape) -> tuple[Tensor, Tracks]:
    frames = torch.empty(len(scenes.radius), shape.num_frames, 3, shape.height_px, shape.width_px, dtype=torch.uint8)
    return frames, render_scenes(scenes, shape, frames)


def _joined_in_time(before: Tracks, after: Tracks, since: int, shape: ClipShape) -> Tracks:
    """Tracks of the first up to frame `since`, and then of the second, whose frame 0 that is."""
    rest = after.between(0, shape.num_frames - since)
    per_frame = ("position", "velocity", "present", "visible")
    joined = {name: torch.cat((getattr(before.between(0, since), name), getattr(rest, name)), 1) for name in per_frame}
    contact_s = after.contact_s + since * shape.dt_s
    return replace(rest, **joined, contact_s=torch.where(contact_s <= shape.duration_s, contact_s, torch.nan))
