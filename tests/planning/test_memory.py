"""Discs that cannot be seen now: where a model's state says they are, and what a plan makes of it."""

import pytest
import torch
from accelerate import Accelerator

from vidworld.evaluation.evaluator import Evaluator, ModelFailure
from vidworld.models.external import ExternalModel
from vidworld.models.tokenizers import FrameTokenizer
from vidworld.models.world_model import CopyLast, Rollout
from vidworld.planning.agents import Goal, Observed
from vidworld.planning.episodes import context_states, episode_streams
from vidworld.planning.imagination import ModelImagination, encode_context
from vidworld.planning.memory import Memory
from vidworld.planning.protocol import PlanningProtocol, completed
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.environment import AGENT_SPEED, FRAME_S, heading
from vidworld.simulation.stage import PALETTE

SIDE, CHUNK = 32, 4
WORLD = ENVIRONMENTS["hidden_goal"]
PROTOCOL = completed(PlanningProtocol(environment="hidden_goal", history=4, unseen="remembered"), WORLD)
EVALUATOR = Evaluator(FrameTokenizer(CHUNK, SIDE, SIDE), {}, Accelerator(cpu=True, mixed_precision="no"), 8, 0)


def seen_place(frames, color):
    """The middle of the pixels of a colour, in units; NaN in frames that show none."""
    near = ((frames.float() / 255 - PALETTE[color].float()[:, None, None]).abs().sum(-3) < 0.3).float()
    grid = (torch.arange(SIDE) + 0.5) * 10 / SIDE
    x, y = (near.sum(-2) * grid).sum(-1), (near.sum(-1) * grid).sum(-1)
    return torch.stack((x, y), dim=-1) / near.sum((-1, -2))[..., None]


class Recalls:
    """Its state after each chunk is where the disc was seen last, in all chunks so far or in this one alone."""

    def __init__(self, forgets=False):
        self.forgets = forgets

    def predict(self, context, num_frames, seeds):
        return context.frames[:, -1:].expand(-1, num_frames, -1, -1, -1)

    def hidden_states(self, clips, chunk_frames):
        places = seen_place(clips.frames, 1)
        state, states = torch.full((len(places), 2), 5.0), []
        for number, place in enumerate(places.unbind(dim=1)):
            if self.forgets and number % chunk_frames == 0:
                state = torch.full_like(state, 5.0)
            state = torch.where(place.isnan(), state, place)
            states.append(state)
        return torch.stack(states[chunk_frames - 1 :: chunk_frames], dim=1)[:, :, None, None, None]


class Drives:
    """It imagines where the agent goes, and no disc."""

    def rollout(self, context, horizon, samples, seeds, actions=None):
        begin = seen_place(context.clips.frames[:, -1], 0)[:, None, None]
        way = actions.unflatten(-1, (CHUNK, 2)).sum(-2).cumsum(dim=2) * AGENT_SPEED * FRAME_S
        embeddings = (begin + way)[:, :, :, None, None]
        return Rollout(embeddings, embeddings)


class Looks:
    """A probe of pictures, and of what `Drives` imagines."""

    def locate(self, embeddings, color):
        if embeddings.shape[-1] == 2:
            agent = embeddings[:, :, 0, 0].repeat_interleave(CHUNK, dim=1)
            return torch.stack([agent, *[torch.full_like(agent, torch.nan)] * (len(PALETTE) - 1)], dim=2)
        frames = EVALUATOR.tokenizer.decode(embeddings)
        return torch.stack([seen_place(frames, number) for number in range(len(PALETTE))], dim=2)


@pytest.fixture(scope="module")
def episodes():
    """The state at the end of the context of a few episodes, and what is seen of them."""
    states = context_states(WORLD, PROTOCOL, range(32))
    frames, _ = WORLD.draw(states, Memory("mine", recalling(), EVALUATOR, WORLD, PROTOCOL, SIDE).shape)
    goal, streams = Goal(torch.zeros(32, 0), None), episode_streams("plan 0", PROTOCOL, range(32))
    return states[-1], Observed(frames, torch.zeros(32, len(states), 2), goal, streams)


def recalling(forgets=False):
    return ExternalModel("mine", Recalls(forgets), EVALUATOR.tokenizer)


def memory_of(model):
    return Memory("mine", model, EVALUATOR, WORLD, PROTOCOL, SIDE)


def test_a_state_that_remembers_says_where_the_disc_is_and_one_that_forgets_does_not(episodes):
    state, seen = episodes
    right, off = {}, {}
    for forgets in (False, True):
        found = memory_of(recalling(forgets)).places(encode_context(seen, EVALUATOR, 4))
        assert found.shape == (32, len(PALETTE), 2) and found[:, 2:].isnan().all()
        right[forgets] = ((found[:, 1, 0] > 5) == (state.behind == 1)).double().mean()
        off[forgets] = (found[:, 1] - state.position[:, 1]).norm(dim=-1).mean()
    assert right[False] > 0.95 and right[True] < 0.8
    assert off[False] < 1.0 < off[True]


def test_only_what_cannot_be_seen_now_is_remembered_and_the_plan_to_it_is_the_cheaper(episodes):
    state, seen = episodes
    imagination = ModelImagination("mine", Drives(), EVALUATOR, Looks(), WORLD, PROTOCOL, memory=memory_of(recalling()))
    middles = (state.screens[..., :2] + state.screens[..., 2:]) / 2
    plans = torch.stack([heading(state.position[:, 0], middles[:, side]) for side in (0, 1)], dim=1)
    plans = plans[:, :, None].repeat(1, 1, 2, 1)
    cheaper = imagination.score(seen, None)(plans).argmin(dim=1)
    assert (cheaper == state.behind).double().mean() > 0.95
    lost = ModelImagination("mine", Drives(), EVALUATOR, Looks(), WORLD, PROTOCOL)
    assert lost.score(seen, None)(plans).std(dim=1).max() < 1e-6  # no future shows the disc: all cost the diagonal
    early = Observed(seen.frames[:, :4], seen.actions[:, :4], seen.goal, seen.streams)
    _, remembered = imagination._now(early)
    assert remembered[:, 0].isnan().all()  # the agent is seen
    assert (remembered[:, 1, 0].isnan() == ~seen_place(early.frames[:, -1], 1)[:, 0].isnan()).all()


def test_a_model_without_states_loses_its_rows_and_a_cost_without_places_is_refused(episodes):
    still = CopyLast(EVALUATOR.tokenizer)
    memory = Memory("copy_last", still, EVALUATOR, WORLD, PROTOCOL, SIDE)
    imagination = ModelImagination("copy_last", still, EVALUATOR, Looks(), WORLD, PROTOCOL, memory=memory)
    with pytest.raises(ModelFailure, match=r"copy_last: has no hidden_states .* unseen: lost"):
        imagination.score(episodes[1], None)
    with pytest.raises(ValueError, match="take cost: state"):
        PlanningProtocol(environment="hidden_goal", unseen="remembered", cost="model")


def test_the_key_is_in_no_hash_where_it_is_left_out():
    usual = PlanningProtocol(environment="hidden_goal")
    assert usual.hash == PlanningProtocol(environment="hidden_goal", unseen="lost").hash
    assert usual.hash != PlanningProtocol(environment="hidden_goal", unseen="remembered").hash
