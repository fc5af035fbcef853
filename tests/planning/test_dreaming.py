"""Dreaming and doing: how data are collected, rounds that go on where they were, and what is not taken for them."""

import json

import pytest
import torch
from scripts import run
from small_runs import ROOT, train_here

from vidworld.core.config import load
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import evaluation_accelerator
from vidworld.models.files import FORMAT
from vidworld.planning import dreaming
from vidworld.planning.agents import Goal, NoOpAgent, Observed
from vidworld.planning.dreaming import Dreaming, NoisyAgent
from vidworld.planning.protocol import PlanningProtocol
from vidworld.planning.schema import DreamingConfig
from vidworld.simulation.environments.episode_files import read_episodes

TINY = (
    "environment: puck\nepisodes: 2\nbudget_blocks: 6\nhistory: 2\ncandidates: 3\nelites: 2\niterations: 1\n"
    "horizon_blocks: 2\ncost: reward\n"
)
SMALL = ["model.width=32", "model.encoder_depth=1", "model.predictor_depth=1", "model.heads=2", "compile=false"]
SMALL += ["data.shape.height_px=32", "data.shape.width_px=32"]


def test_what_is_collected_is_the_plan_with_noise_and_now_and_then_something_else():
    protocol = PlanningProtocol(environment="puck", execute_blocks=5)
    frames = torch.zeros(400, 1, 3, 4, 4, dtype=torch.uint8)
    seen = Observed(frames, torch.zeros(400, 1, 2).double(), Goal(torch.zeros(400, 2), None), torch.arange(400))

    def actions(noise, astray):
        agent = NoisyAgent(protocol, 2, "noisy", agent=NoOpAgent(protocol, 2), noise=noise, astray=astray)
        return agent.decide(seen, None, None).actions

    assert (actions(0.0, 0.0) == 0).all()
    assert actions(0.3, 0.0).std().item() == pytest.approx(0.3, rel=0.1)
    lost = (actions(0.0, 0.2) != 0).all(dim=-1)
    assert lost.double().mean().item() == pytest.approx(0.2, abs=0.03)
    assert torch.equal(actions(0.3, 0.2), actions(0.3, 0.2)) and actions(2.0, 0.2).abs().max() <= 1


def config_in(folder, *overrides):
    (folder / "tiny.yaml").write_text(TINY)
    given = [f"out={folder / 'out'}", f"tokenizer={folder / 'tokenizer'}", f"protocol={folder / 'tiny.yaml'}"]
    given += [f"model={ROOT / 'configs/plan/regression.yaml'}", f"reward={ROOT / 'configs/plan/reward.yaml'}"]
    return load(DreamingConfig, ROOT / "configs" / "plan" / "dreaming.yaml", [*given, *overrides])


def test_rounds_of_another_configuration_and_what_cannot_dream_are_one_line(tmp_path):
    (tmp_path / "tokenizer" / "model").mkdir(parents=True)
    (tmp_path / "tokenizer" / "model" / "budget.json").write_text(f'{{"format": {FORMAT}, "fingerprint": "0"}}')
    accelerator = evaluation_accelerator("no")
    first = Dreaming(config_in(tmp_path), accelerator)
    first._write([])
    assert Dreaming(config_in(tmp_path, "rounds=7"), accelerator).rows() == []  # more rounds of the same
    for other in ("noise=0.5", "steps=7", "overrides=[model.width=32, model.heads=1]"):
        with pytest.raises(UserError, match=r"dreaming\.json: is of another configuration"):
            Dreaming(config_in(tmp_path, other), accelerator).rows()
    with pytest.raises(UserError, match="predicts learned embeddings"):
        Dreaming(config_in(tmp_path, f"model={ROOT / 'configs/plan/jepa.yaml'}"), accelerator)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("reward", "state"))
    with pytest.raises(UserError, match="cost: state, where plans are by reward"):
        Dreaming(
            load(DreamingConfig, ROOT / "configs/plan/dreaming.yaml", [f"protocol={tmp_path / 'tiny.yaml'}"]),
            accelerator,
        )


@pytest.mark.slow
def test_rounds_go_on_where_they_were_killed(tmp_path, monkeypatch):
    acting = ["data.scenarios={puck: 1}", "steps=4", "save_every=4"]
    assert train_here("tokenizer", tmp_path / "tokenizer", *acting) == 0
    reward = (
        (ROOT / "configs/plan/reward.yaml")
        .read_text()
        .replace("{num_frames: 32}", "{num_frames: 32, height_px: 32, width_px: 32}")
    )
    (tmp_path / "reward.yaml").write_text(reward)
    few = ["rounds=2", "episodes=3", "steps=2", "reward_steps=2", "mixed_precision=no", "episodes_at_once=2"]
    config = config_in(tmp_path, *few, f"overrides={json.dumps(SMALL)}", f"reward={tmp_path / 'reward.yaml'}")
    once, accelerator = dreaming.run_command, evaluation_accelerator("no")

    def killed(command, seen, *rest):
        if any(part.endswith("round_1_random/head") for part in command if part.startswith("out=")):
            raise KeyboardInterrupt
        return once(command, seen, *rest)

    monkeypatch.setattr(dreaming, "run_command", killed)
    with pytest.raises(KeyboardInterrupt):
        Dreaming(config, accelerator).run()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.safetensors")}
    assert len(Dreaming(config, accelerator).rows()) == 3 and before
    monkeypatch.setattr(dreaming, "run_command", once)
    rows = Dreaming(config, accelerator).run()
    assert [(row.round, row.arm, row.episodes) for row in rows] == [
        (0, "planned", 3), (0, "random", 3), (1, "planned", 6), (1, "random", 6)
    ]  # fmt: skip
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert rows[0].success == rows[1].success and rows[2].training_flops > 1.5 * rows[0].training_flops
    episodes = [read_episodes(tmp_path / "out" / f"round_1_{arm}" / "episodes.json") for arm in ("planned", "random")]
    assert episodes[0].aimless == [True] * 3 + [False] * 3 and all(episodes[1].aimless)
    assert (
        episodes[0].numbers == episodes[1].numbers == [*range(6)] and episodes[0].actions[:3] == episodes[1].actions[:3]
    )
    assert run("eval/run_dreaming.py", "--config", str(ROOT / "configs/plan/dreaming.yaml"), "rounds=x") == 2
