"""Offline checks of a model that takes actions: whether what it imagines depends on them, and on the first one how.

A model that ignores its actions can have a low error, and no planner can do anything with it. So its error under the
actions that were done is compared with its error under those of other clips, which have the same distribution. A model
that hears its actions a chunk late, or in another order, does not ignore them; so a clip's own actions are tried in
other orders and signs, too, by the change from chunk to chunk, which shows when each action is felt.

Landscapes are energies over the first action. From an episode's start an action is drawn and held for a block. What
comes of it is the goal, and every action of a grid is scored by how far what is imagined of it lies from that: of a
model in the space that it predicts in, of the true simulator by the discs' places. Source: the landscapes of V-JEPA 2
(arXiv 2506.09985).
"""

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.planning import ActionCheck, Landscape
from vidworld.analysis.statistics import Interval, interval
from vidworld.core.clip import Clips
from vidworld.core.counter_rng import Draws
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.models.world_model import Encoded, Futures
from vidworld.planning.agents import of_environment
from vidworld.planning.episodes import Arena, context_states, episode_streams
from vidworld.planning.imagination import futures_at_once, imagine, in_its_space
from vidworld.planning.protocol import PlanningProtocol
from vidworld.simulation.environments.environment import FRAME_S

CHECKS_VERSION = 2  # raised when the checks come to give other values
IGNORED = 1.1
"""A factor up to which actions hardly matter (Source: MMBench2, arXiv 2606.27326: shuffle ratio)."""
OTHER_CLIPS = 15
"""Clips whose actions are tried in place of a clip's own."""
OPPOSITE = "with the opposite sign"
MISHEARD: dict[str, Callable[[Tensor], Tensor]] = {
    "a chunk late": lambda own: own.roll(-1, dims=1),
    "a chunk early": lambda own: own.roll(1, dims=1),
    "backwards": lambda own: own.flip(1),
    OPPOSITE: lambda own: -own,
}
"""How a model may hear its actions (clip, chunk, ...) by mistake, and how to give them so that it is mended."""
LANDSCAPES_VERSION = 1  # raised when landscapes come to have other values
LANDSCAPE_SIDE = 13
"""Actions along each axis."""
_FAR = 0.8  # what is done stays so far from no action, along each axis: its valley lies inside the picture


class Energies(NamedTuple):
    """Squared errors of what is imagined, in the space that a model predicts in."""

    chunks: Float[Tensor, "clip sample"]
    changes: Float[Tensor, "clip sample"]
    """Of the changes from chunk to chunk; NaN of a single chunk."""


def check_actions(
    name: str, model: Any, evaluator: Evaluator, clips: Clips, context_frames: int, environment: str
) -> ActionCheck:
    """How much worse the model's futures fit under others' actions, the rank of the true ones, and their right order.

    Raises ModelFailure: the model fails. UserError: fewer than two clips, or clips without actions.
    """
    found = energies(name, model, evaluator, clips, context_frames)
    true, others = found.chunks[:, 0], found.chunks[:, 1 : -len(MISHEARD)]
    factor = _log_ratio(others.mean(dim=1), true)
    better = (others < true[:, None]).double() + 0.5 * (others == true[:, None]).double()
    ranks = interval(better.mean(dim=1).numpy()[None], bounds=(0.0, 1.0))
    size, least = math.exp(factor.value), math.exp(factor.low)
    chunks = clips.frames.shape[1] // evaluator.tokenizer.patch_size[0]
    orders = chunks - context_frames // evaluator.tokenizer.patch_size[0] > 2  # two chunks have one other order
    return ActionCheck(
        environment=environment, model=name, clips=len(clips), error_true=float(true.mean()),
        error_shuffled=float(others.mean()), factor=size, factor_low=least, rank=ranks.value, rank_low=ranks.low,
        rank_high=ranks.high, top=float((true < others.amin(dim=1)).double().mean()),
        ignores=size <= IGNORED or least <= 1.0 or ranks.high >= 0.5, hears=_misheard(found.changes, orders),
    )  # fmt: skip


def _misheard(changes: Float[Tensor, "clip sample"], orders: bool) -> str:
    """Which of `MISHEARD` fits the changes best, of those that do better than the right way and others' actions."""
    true, others = changes[:, 0], changes[:, 1 : -len(MISHEARD)].mean(dim=1)
    fits = {}
    for way, errors in zip(MISHEARD, changes[:, -len(MISHEARD) :].unbind(dim=1), strict=True):
        than_true, than_others = _log_ratio(errors, true), _log_ratio(errors, others)
        if than_true.high < 0 and than_true.value < -math.log(IGNORED) and than_others.high < 0:
            fits[way] = than_true.value
    best = min(fits, key=fits.__getitem__, default="")
    return best if orders or best in ("", OPPOSITE) else "in another order"


def _log_ratio(errors: Float[Tensor, " clip"], others: Float[Tensor, " clip"]) -> Interval:
    """The mean over clips of the logarithm of errors over others."""
    ratio = errors.clamp_min(1e-12).log() - others.clamp_min(1e-12).log()
    return interval(np.asarray(ratio)[None])


def energies(name: str, model: Any, evaluator: Evaluator, clips: Clips, context_frames: int) -> Energies:
    """Those of each clip's future: under its own actions, under other clips', and under its own as in `MISHEARD`.

    Raises ModelFailure, UserError: as `check_actions`.
    """
    if clips.actions is None or len(clips) < 2:
        raise UserError(f"{name}: actions are checked on two clips or more that have some")
    shown = Clips(clips.frames, clips.fps, tuple(names_of(clips.frames)), actions=clips.actions.float())
    seen, start = evaluator.encode(shown), context_frames // evaluator.tokenizer.patch_size[0]
    assert seen.actions is not None
    own, count = seen.actions[:, start:], min(OTHER_CLIPS, len(clips) - 1)
    others = [own.roll(-k, dims=0) for k in range(1, count + 1)]
    done = torch.stack([own, *others, *(mend(own) for mend in MISHEARD.values())], dim=1)
    return energies_under(name, model, evaluator, seen, start, done)


def energies_under(name: str, model: Any, evaluator: Evaluator, seen: Encoded, start: int, done: Futures) -> Energies:
    """Those of what is imagined after the first `start` chunks if each of these is done. Raises ModelFailure."""
    few, found = max(1, futures_at_once(evaluator.accelerator.device) // done.shape[1]), []
    for first in range(0, len(seen.tokens), few):
        some = slice(first, first + few)
        part = Encoded(seen.clips.at(some), seen.tokens[some])
        imagined = imagine(name, model, evaluator, part.chunks(0, start), done[some]).embeddings
        off = imagined - in_its_space(model, evaluator, part.tokens)[:, None, start:].to(imagined)
        found.append([each.square().mean(dim=(2, 3, 4, 5)).double().cpu() for each in (off, off.diff(dim=2))])
    return Energies(*(torch.cat(each) for each in zip(*found, strict=True)))


def landscape_of_model(name: str, model: Any, evaluator: Evaluator, arena: Arena, number: int) -> Landscape:
    """A model's landscape at the start of episode `number`. Raises ModelFailure, EnvironmentDied."""
    environment, protocol, shape = arena
    tried = _tried(protocol, number)
    with of_environment():
        before = context_states(environment, protocol, [number])
        after = _outcomes(arena, before[-1], tried[:1])
        frames, _ = environment.draw([*before, *after], shape)
    chunk = evaluator.tokenizer.patch_size[0]
    rest = torch.zeros(*frames.shape[:2], 2)
    seen = evaluator.encode(Clips(frames, 1 / FRAME_S, tuple(names_of(frames)), actions=rest))
    done = tried.float().repeat(1, chunk)[None, :, None].expand(-1, -1, protocol.block_frames // chunk, -1)
    energy = energies_under(name, model, evaluator, seen, len(before) // chunk, done).chunks[0]
    return _landscape((environment.name, name, number), tried, energy)


def landscape_of_simulator(arena: Arena, number: int) -> Landscape:
    """The true landscape: the mean squared distance of the discs from where they came to be (square world units).

    Raises EnvironmentDied.
    """
    environment, protocol, _ = arena
    tried = _tried(protocol, number)
    with of_environment():
        state = context_states(environment, protocol, [number])[-1]
        outcomes = _outcomes(arena, state.at(torch.zeros(len(tried), dtype=torch.int64)), tried)
        places = torch.stack([environment.places(each) for each in outcomes], dim=1)  # (action, frame, color, 2)
    energy = (places - places[:1]).square().sum(dim=-1).nanmean(dim=(1, 2))
    return _landscape((environment.name, "simulator", number), tried, energy)


def _tried(protocol: PlanningProtocol, number: int) -> Float[Tensor, "action 2"]:
    """What is done, then the grid, x fastest."""
    done = Draws(episode_streams("landscape", protocol, [number])).uniform(-_FAR, _FAR, 2)
    along = torch.linspace(-1, 1, LANDSCAPE_SIDE, dtype=torch.float64)
    return torch.cat((done.double(), torch.cartesian_prod(along, along).flip(1)))


def _outcomes(arena: Arena, state: Any, actions: Float[Tensor, "action 2"]) -> list[Any]:
    """The states of the block's frames."""
    return [*accumulate([actions] * arena.protocol.block_frames, arena.environment.step, initial=state)][1:]


def _landscape(
    of: tuple[str, str, int], tried: Float[Tensor, "action 2"], energy: Float[Tensor, " action"]
) -> Landscape:
    """Of the environment, agent and episode of these names."""
    true, grid = energy[0], energy[1:]
    lowest = tried[1 + int(grid.argmin())]
    better = float((grid < true).double().mean() + 0.5 * (grid == true).double().mean())
    side = (LANDSCAPE_SIDE, LANDSCAPE_SIDE)
    return Landscape(*of, grid.view(side).tolist(), tried[0].tolist(), lowest.tolist(), better)
