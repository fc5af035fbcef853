"""Pairs of the same episode: the agent does nothing, or it acts; the intervention of models that take actions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws, clip_streams, public
from vidworld.core.errors import UserError
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.environment import FRAME_S, FRAMES_HELD, WorldState

EPISODES_TRIED = 24  # episodes for each pair, of which the first that fits is taken


def acted_pairs(
    name: str, split: str, seed: int | str, indices: Sequence[int], context_frames: int, shape: ClipShape, least: float
) -> tuple[Clips, Clips]:
    """Clips in which the agent stands still and in which its expert acts from the end of the context on.

    Kept are episodes in which the action brings a disc other than the agent elsewhere, by `least` units or more. Both
    have the same frames up to the end of the context. Raises UserError: there are no such episodes.
    """
    ENVIRONMENTS.check([name])
    if abs(shape.dt_s - FRAME_S) > 1e-9:
        raise UserError(f"{name}: has {1 / FRAME_S:g} frames a second, not {shape.fps:g}")
    world, stream, cpu = ENVIRONMENTS[name], f"act/{name}/{split}/{seed}", torch.device("cpu")
    numbers = [index * EPISODES_TRIED + k for index in indices for k in range(EPISODES_TRIED)]
    state = world.start(Draws(clip_streams(stream, numbers, cpu)))
    if not isinstance(state, WorldState):
        raise UserError(f"{name}: does not say where its objects are, so that no effect on them is known")
    nothing = torch.zeros(len(state), world.action_channels, dtype=torch.float64)
    still, acted, done = [state], [state], [nothing]
    for time in range(1, shape.num_frames):
        begins = time >= context_frames
        held = begins and (time - context_frames) % FRAMES_HELD != 0
        action = done[-1] if held else world.expert(acted[-1]) if begins else nothing
        still.append(world.step(still[-1], nothing))
        acted.append(world.step(acted[-1], action))
        done.append(action)
    apart = torch.stack([a.position - b.position for a, b in zip(acted, still, strict=True)], dim=1)
    fits = (apart[:, :, 1:].square().sum(-1).sqrt().flatten(1).amax(1) >= least).view(-1, EPISODES_TRIED)
    if not bool(fits.any(1).all()):
        raise UserError(f"{name}: the expert moves nothing within {shape.num_frames} frames; more frames would do")
    chosen = torch.arange(len(indices)) * EPISODES_TRIED + fits.to(torch.uint8).argmax(1)
    names = [public(f"do_{name}_act/{split}/{seed}") + f"/{index}" for index in indices]

    def clips(side: str, states: list, actions: Tensor) -> Clips:  # type: ignore[type-arg]
        frames, tracks = world.draw([each.at(chosen) for each in states], shape)
        identity = tuple(f"{each}/{side}" for each in names)
        return Clips(frames, shape.fps, identity, tracks, actions=actions.float())

    actions = torch.stack(done, dim=1)[chosen]
    return clips("factual", still, torch.zeros_like(actions)), clips("changed", acted, actions)
