"""Landscapes of energy over the first action: which one an imagination takes to have led to what it sees happen.

From an episode's start an action is drawn and held for a block. What comes of it is the goal, and every action of a
grid is scored by how far what is imagined of it lies from that: of a model in the space that it predicts in, of the
true simulator by the discs' places. Source: the landscapes of V-JEPA 2 (arXiv 2506.09985).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.analysis.planning import Landscape
from vidworld.core.clip import Clips
from vidworld.core.clip_shape import ClipShape
from vidworld.core.counter_rng import Draws
from vidworld.evaluation.evaluator import Evaluator
from vidworld.evaluation.presentation import names_of
from vidworld.planning.agents import of_environment
from vidworld.planning.checks import energies_under
from vidworld.planning.episodes import context_states, episode_streams
from vidworld.planning.protocol import PlanningProtocol
from vidworld.simulation.environments.environment import FRAME_S, Environment

LANDSCAPES_VERSION = 1  # raised when landscapes come to have other values
LANDSCAPE_SIDE = 13
"""Actions along each axis."""
_FAR = 0.8  # what is done stays so far from no action, along each axis: its valley lies inside the picture


def landscape_of_model(
    name: str,
    model: Any,
    evaluator: Evaluator,
    environment: Environment[Any],
    protocol: PlanningProtocol,
    number: int,
    shape: ClipShape,
) -> Landscape:
    """A model's landscape at the start of episode `number`. Raises ModelFailure, EnvironmentDied."""
    tried = _tried(protocol, number)
    with of_environment():
        before = context_states(environment, protocol, [number])
        after = _outcomes(environment, protocol, before[-1], tried[:1])
        frames, _ = environment.draw([*before, *after], shape)
    chunk = evaluator.tokenizer.patch_size[0]
    seen = evaluator.encode(
        Clips(frames, 1 / FRAME_S, tuple(names_of(frames)), actions=torch.zeros(*frames.shape[:2], 2))
    )
    done = tried.float().repeat(1, chunk)[None, :, None].expand(-1, -1, protocol.block_frames // chunk, -1)
    energy = energies_under(name, model, evaluator, seen, len(before) // chunk, done)[0]
    return _landscape(environment, name, number, tried, energy.double().cpu())


def landscape_of_simulator(environment: Environment[Any], protocol: PlanningProtocol, number: int) -> Landscape:
    """The true landscape: the mean squared distance of the discs from where they came to be (square world units).

    Raises EnvironmentDied.
    """
    tried = _tried(protocol, number)
    with of_environment():
        state = context_states(environment, protocol, [number])[-1]
        outcomes = _outcomes(environment, protocol, state.at(torch.zeros(len(tried), dtype=torch.int64)), tried)
        places = torch.stack([environment.places(each) for each in outcomes], dim=1)  # (action, frame, color, 2)
    energy = (places - places[:1]).square().sum(dim=-1).nanmean(dim=(1, 2))
    return _landscape(environment, "simulator", number, tried, energy)


def _tried(protocol: PlanningProtocol, number: int) -> Float[Tensor, "action 2"]:
    """What is done, then the grid, x fastest."""
    done = Draws(episode_streams("landscape", protocol, [number])).uniform(-_FAR, _FAR, 2)
    along = torch.linspace(-1, 1, LANDSCAPE_SIDE, dtype=torch.float64)
    return torch.cat((done.double(), torch.cartesian_prod(along, along).flip(1)))


def _outcomes(
    environment: Environment[Any], protocol: PlanningProtocol, state: Any, actions: Float[Tensor, "action 2"]
) -> list[Any]:
    """The states of the block's frames."""
    states = [state]
    for _ in range(protocol.block_frames):
        states.append(environment.step(states[-1], actions))
    return states[1:]


def _landscape(
    environment: Environment[Any],
    agent: str,
    number: int,
    tried: Float[Tensor, "action 2"],
    energy: Float[Tensor, " action"],
) -> Landscape:
    true, grid = energy[0], energy[1:]
    lowest = tried[1 + int(grid.argmin())]
    better = float((grid < true).double().mean() + 0.5 * (grid == true).double().mean())
    return Landscape(
        environment.name,
        agent,
        number,
        grid.view(LANDSCAPE_SIDE, LANDSCAPE_SIDE).tolist(),
        tried[0].tolist(),
        lowest.tolist(),
        better,
    )
