"""Dreaming and doing: rounds of collecting by the planner, training on all so far, and planning by reward.

Beside it goes a baseline: as many episodes of random actions, and the same trainings. The first round, in which nothing
is known yet, is the same for both. What is done is not done again: episodes, trainings and results are files.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm import tqdm

from vidworld.analysis.planning import Outcomes
from vidworld.core.config import load, resolved
from vidworld.core.counter_rng import Draws, mix
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint, prepare_folder, provenance, read_json, write_json
from vidworld.evaluation.commands import ROOT, run_command
from vidworld.models.families import config_schema
from vidworld.models.files import fingerprint_in, read_budget
from vidworld.models.schema import HeadConfig, WorldModelConfig
from vidworld.planning.agents import Agent, Decision, Observed, RandomAgent
from vidworld.planning.episodes import Arena, play, stream_name
from vidworld.planning.planners import Blocks
from vidworld.planning.protocol import PlanningProtocol
from vidworld.planning.run import Crew, plan
from vidworld.planning.schema import DreamingConfig, PlanningConfig
from vidworld.planning.tasks import tasks_of
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.episode_files import PlayedEpisodes, read_episodes
from vidworld.simulation.environments.replayed import ReplayedClips
from vidworld.training.finished import FREE

DREAMING_VERSION = 1  # raised when the same configuration comes to give other numbers
ARMS = ("planned", "random")
OWN_FREE = ("out", "tokenizer", "model", "reward", "protocol", "rounds", "episodes_at_once")
"""Keys that results may go on with other values of: the others' files are known by what they hold."""


@dataclass(frozen=True)
class DreamingRow:
    """An arm after a round."""

    round: int
    arm: str
    episodes: int
    """That it was trained on so far."""
    collected: Outcomes
    """Of those that were played for this round, how many reached their goal."""
    success: Outcomes
    """Of the protocol's episodes, planned with what was learned."""
    cost: float
    """Mean cost of the last frame of these, world units."""
    training_flops: float
    """Of the world model and the head, over all rounds so far."""


@dataclass(frozen=True)
class NoisyAgent(Agent):
    """What another agent does, with noise, and now and then something random: how data are collected."""

    agent: Agent = field(kw_only=True)
    noise: float = field(kw_only=True)
    astray: float = field(kw_only=True)

    def decide(self, seen: Observed, before: Blocks | None, state: Any) -> Decision:
        """Its decision, of which what is to be executed is changed."""
        decision = self.agent.decide(seen, before, state)
        draws, shape = Draws(mix(seen.streams + 1)), decision.actions.shape
        count = shape[1] * shape[2]
        noise, random = draws.normal(count).view(shape), draws.uniform(-1.0, 1.0, count).view(shape)
        lost = draws.uniform(count=shape[1])[..., None] < self.astray
        noisy = (decision.actions + self.noise * noise.to(decision.actions)).clamp(-1, 1)
        return decision._replace(actions=random.to(noisy).where(lost, noisy))


class Dreaming:
    """One configuration's rounds."""

    def __init__(self, config: DreamingConfig, accelerator: Accelerator) -> None:
        self.config, self.accelerator = config, accelerator
        self.protocol = load(PlanningProtocol, config.protocol)
        if self.protocol.cost != "reward":
            raise UserError(f"{config.protocol}: cost: {self.protocol.cost}, where plans are by reward; cost: reward")
        if self.protocol.environment not in ENVIRONMENTS:
            raise UserError(
                f"{config.protocol}: environment: {self.protocol.environment}: episodes are simulated again from their "
                f"starts, which those of {', '.join(ENVIRONMENTS)} can be"
            )
        model = load(WorldModelConfig, config.model, config.overrides, config_schema)
        if getattr(getattr(model, "model", None), "target", "frozen") != "frozen":
            raise UserError(f"{config.model}: predicts learned embeddings; take a family that predicts tokens")
        head = load(HeadConfig, config.reward)
        self.shape = model.data.shape
        mine = {key: value for key, value in resolved(config).items() if key not in OWN_FREE}
        trained = [{k: v for k, v in resolved(e).items() if k not in (*FREE, "data")} for e in (model, head)]
        known = (self.protocol.hash, fingerprint_in(config.tokenizer), vars(self.shape))
        things = (DREAMING_VERSION, mine, trained, *known)
        self.made_from = fingerprint(*things)
        self.path = prepare_folder(config.out) / "dreaming.json"

    def rows(self) -> list[DreamingRow]:
        """Those that are done. Raises UserError: the folder holds those of another configuration."""
        if not self.path.exists():
            return []
        kept = read_json(self.path)
        if kept["made_from"] != self.made_from:
            raise UserError(f"{self.path}: is of another configuration; choose another out=FOLDER, or remove that one")
        return [DreamingRow(**r | {k: Outcomes(**r[k]) for k in ("collected", "success")}) for r in kept["rows"]]

    def run(self) -> list[DreamingRow]:
        """Do what is not done yet, and write dreaming.json after each round and arm."""
        rows = self.rows()
        self._write(rows)
        every = [(number, arm) for number in range(self.config.rounds) for arm in ARMS]
        with tqdm(total=len(every), initial=len(rows), desc="dreaming", unit="round", disable=None) as bar:
            for number, arm in every[len(rows) :]:
                rows.append(replace(rows[-1], arm=arm) if arm != ARMS[0] and number == 0 else self._round(number, arm))
                self._write(rows)
                bar.update()
        return rows

    def _write(self, rows: Sequence[DreamingRow]) -> None:
        found = {"made_from": self.made_from, "config": resolved(self.config), "protocol": resolved(self.protocol)}
        origin = {"provenance": provenance(self.config.seed)}
        write_json(self.path, found | origin | {"rows": [asdict(row) for row in rows]})

    def folder(self, number: int, arm: str) -> Path:
        """Of a round; that of the first is both arms'."""
        return self.config.out / (f"round_{number}_{arm}" if number else "round_0")

    def _round(self, number: int, arm: str) -> DreamingRow:
        config, folder = self.config, prepare_folder(self.folder(number, arm))
        episodes, collected = folder / "episodes.json", folder / "collected.json"
        if not collected.exists():
            self._collect(number, arm, episodes, collected)
        self._train("world_model", number, arm, [str(config.model), f"steps={config.steps}", *config.overrides])
        self._train("head", number, arm, [str(config.reward), f"steps={config.reward_steps}"])
        (row,) = plan(self._planning(number, arm)).rows
        runs = [self.folder(n, arm) / name for n in range(number + 1) for name in ("world_model", "head")]
        return DreamingRow(
            number, arm, len(read_episodes(episodes).numbers), Outcomes(**read_json(collected)), row.success, row.cost,
            float(sum(read_budget(run)["training_flops"] for run in runs)),
        )  # fmt: skip

    def _collect(self, number: int, arm: str, path: Path, record: Path) -> None:
        """Play this round's episodes, and write them after all those before; then how many reached their goal."""
        config, (task,) = self.config, tasks_of(self._planning(0, ARMS[0]))
        task = replace(task, protocol=replace(task.protocol, split="train"))  # of episodes that are trained on
        protocol, environment = task.protocol, task.environment
        agent: Agent = RandomAgent(protocol, environment.action_channels)
        crew = Crew(self._planning(max(0, number - 1), arm), self.accelerator)
        if aimed := arm != "random" and number > 0:
            given = (protocol, environment.action_channels, "collecting")
            agent = NoisyAgent(*given, agent=crew.agents(task)[0], noise=config.noise, astray=config.astray)
        numbers = range(number * config.episodes, (number + 1) * config.episodes)
        whole: list[Observed] = []
        solved = 0

        def watch(seen: Observed, decision: Decision | None) -> None:
            if decision is None:
                whole.append(seen)

        for first in tqdm(range(0, len(numbers), config.episodes_at_once), "collect", unit="batch", disable=None):
            some = numbers[first : first + config.episodes_at_once]
            arena = Arena(environment, protocol, crew.shape())
            solved += sum(each.ever for each in play(arena, agent, some, watch))
        context, held = protocol.context_frames or 0, protocol.block_frames
        found = PlayedEpisodes(
            environment.name, stream_name("start", protocol), context, held, list(numbers),
            [not aimed] * len(numbers), torch.cat([each.actions for each in whole])[:, context::held].tolist(),
        )  # fmt: skip
        if number:
            found = read_episodes(self.folder(number - 1, arm) / path.name).with_more(found)
        found.write(path)
        write_json(record, asdict(Outcomes.of(solved, len(numbers))))

    def _train(self, script: str, number: int, arm: str, given: Sequence[str]) -> None:
        """Train on all episodes so far, on from the round before."""
        folder, (path, *overrides) = self.folder(number, arm), given
        source = ReplayedClips(folder / "episodes.json", self.protocol.environment, self.shape)
        data = [f"scenarios={{{self.protocol.environment}: 1}}", "policies={}", f"episodes={folder / 'episodes.json'}"]
        data += [f"clips={len(source)}", f"shape.num_frames={self.shape.num_frames}"]
        data += [f"shape.height_px={self.shape.height_px}", f"shape.width_px={self.shape.width_px}"]
        start = [f"start={self.folder(number - 1, arm) / script}"] if number else []
        where = [f"out={folder / script}", f"tokenizer={self.config.tokenizer}", f"seed={self.config.seed}", *start]
        command = [str(ROOT / "train" / f"train_{script}.py"), "--config", path, *where, *(f"data.{d}" for d in data)]
        run_command(
            [sys.executable, *command, f"mixed_precision={self.config.mixed_precision}", *overrides], lambda: None
        )

    def _planning(self, number: int, arm: str) -> PlanningConfig:
        """What the models of a round are planned with, and measured."""
        config, folder = self.config, self.folder(number, arm)
        return PlanningConfig(
            out=folder / "planning", protocols=(config.protocol,), models={"model": str(folder / "world_model")},
            tokenizer=config.tokenizer, reward=folder / "head", controls=(), goal_blind=(), checks=0,
            size_px=self.shape.height_px, shown=0, episodes_at_once=config.episodes_at_once,
            mixed_precision=config.mixed_precision,
        )  # fmt: skip
