"""The head that is told a goal: what it is trained on, and that it can learn what rewards are."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from vidworld.core.clip import Clips, Logged
from vidworld.core.clip_shape import WORLD_SIZE, ClipShape
from vidworld.core.errors import UserError
from vidworld.models.files import begin_with, fingerprint_of, save_model
from vidworld.models.head import GoalHead, deeds_of, rewards_of
from vidworld.models.schema import DataConfig, HeadConfig
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.training.examples import tells_actions
from vidworld.training.finished import started_from

SHAPE = ClipShape(num_frames=16, height_px=16, width_px=16)


def test_it_learns_how_far_a_thing_in_a_cell_is_from_the_goal():
    torch.manual_seed(0)
    head, middle = GoalHead(3, goal_numbers=2, cells=16, width=64), (torch.arange(4) + 0.5) * WORLD_SIZE / 4
    optimiser = torch.optim.AdamW(head.parameters(), 1e-2)

    def batch():
        x, y, goal = torch.randint(4, (128,)), torch.randint(4, (128,)), WORLD_SIZE * torch.rand(128, 1, 2)
        cells = torch.zeros(128, 1, 4, 4, 3)
        cells[torch.arange(128), 0, y, x] = 1.0
        apart = (goal[:, 0] - torch.stack((middle[x], middle[y]), dim=1)).norm(dim=1)
        return cells, goal, -apart[:, None, None] / WORLD_SIZE

    for _ in range(200):
        cells, goal, truth = batch()
        loss = F.mse_loss(head(cells, goal), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.sqrt() * WORLD_SIZE < 0.6  # the mean alone is wrong by 2.5


def test_an_answer_is_of_the_newest_chunks_alone_and_goals_may_lack_numbers():
    head, embeddings = GoalHead(3, goal_numbers=4, answers=2, chunks=2, cells=4), torch.randn(1, 4, 2, 2, 3)
    goal = torch.rand(1, 1, 2)
    before = head(embeddings, goal.expand(-1, 3, -1))
    changed = embeddings.clone()
    changed[:, 0] += 1
    differs = (head(changed, goal.expand(-1, 3, -1)) != before).any(dim=-1)[0]
    assert before.shape == (1, 3, 2) and differs.tolist() == [True, False, False]
    assert torch.equal(head(embeddings, F.pad(goal, (0, 2)).expand(-1, 3, -1)), before)


def test_a_goal_of_more_numbers_than_it_was_trained_with_is_refused():
    with pytest.raises(UserError, match="the goal has 2 numbers; the head was trained with 0"):
        GoalHead(3, goal_numbers=0, cells=4)(torch.randn(1, 1, 2, 2, 3), torch.rand(1, 1, 2))
    with pytest.raises(UserError, match="what is done has 8 numbers; the head was trained with 4"):
        GoalHead(3, goal_numbers=4, cells=4, reads_actions=True)(torch.randn(1, 1, 2, 2, 3), torch.rand(1, 1, 8))


def test_goals_and_what_is_done_are_not_learned_by_one_head():
    puck, hidden = (EnvironmentClips(name, "train", shape=SHAPE) for name in ("puck", "hidden_goal"))
    assert tells_actions({"hidden_goal": hidden}) and not tells_actions({"puck": puck})
    with pytest.raises(UserError, match="hidden_goal has no goals and puck has; train a head of each"):
        tells_actions({"puck": puck, "hidden_goal": hidden})


def test_a_chunk_brings_the_mean_of_its_frames_rewards():
    logged = EnvironmentClips("puck", "train", shape=SHAPE).logged(range(3))
    goal, brought = rewards_of(logged, 4)
    assert goal.shape == (3, 4, 2) and torch.equal(goal[:, 2], logged.goal.float())
    torch.testing.assert_close(brought[:, 1, 0] * WORLD_SIZE, logged.reward[:, 4:8].mean(dim=1).float())


@pytest.mark.parametrize("chunks", [1, 2])
def test_what_was_done_at_random_was_done_for_what_came_of_it(chunks):
    aimless = torch.tensor([True, False])
    actions = torch.arange(16.0).view(1, 16, 1).expand(2, -1, 2) / 16
    clips = Clips(torch.zeros(2, 16, 3, 4, 4, dtype=torch.uint8), 10.0, ("a", "b"), actions=actions)
    reached = torch.arange(16.0).view(1, 16, 1).expand(2, -1, 1).double()
    logged = Logged(clips, torch.full((2, 1), 99.0).double(), torch.zeros(2, 16).double(), reached, aimless)
    goal, done = deeds_of(logged, 4, chunks)
    now = torch.arange(chunks - 1, 3)
    assert goal.shape == (2, 4 - chunks, 1) and (goal[1] == 99).all()
    ends = goal[0, :, 0]
    assert ((ends + 1) % 4 == 0).all() and (ends >= 4 * (now + 2) - 1).all() and (ends <= 15).all()
    torch.testing.assert_close(done[0, :, 0], (4 * (now + 1) + 1.5) / 16)
    with pytest.raises(UserError, match="chunks 4: nothing is done after so many in clips of 4; 3 would do"):
        deeds_of(logged, 4, 4)
    drawn = [deeds_of(logged, 4, chunks, seed)[0][0].flatten().tolist() for seed in range(8)]
    assert len({tuple(each) for each in drawn}) > 1


def test_a_training_begins_with_a_finished_models_weights_or_says_that_it_cannot(tmp_path):
    first, other = GoalHead(3, cells=4, width=8), GoalHead(3, cells=4, width=8)
    save_model(first, tmp_path, {})
    begin_with(other, None)
    assert fingerprint_of(other) != fingerprint_of(first)
    begin_with(other, tmp_path)
    assert fingerprint_of(other) == fingerprint_of(first)
    with pytest.raises(UserError, match="its network has another form"):
        begin_with(GoalHead(3, cells=4, width=16), tmp_path)
    assert started_from(None) == {"start": None} and started_from(tmp_path) == {"start": fingerprint_of(first)}


def test_only_environments_have_heads():
    with pytest.raises(ValueError, match=r"only environments have goals and rewards .* not uniform"):
        HeadConfig(out=Path("o"), tokenizer=Path("t"), predicts="reward", data=DataConfig(scenarios={"uniform": 1.0}))
