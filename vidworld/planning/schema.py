"""Every key that the configuration of planning may hold. What success depends on stands in protocols instead."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vidworld.analysis.planning import BLIND
from vidworld.core.config import NotNegative, Positive, Precision, Share, schema
from vidworld.models import Spec
from vidworld.simulation.environments import known_environments

Control = Literal["simulator", "random", "no_op", "copy_last", "untrained"]
CONTROLS: tuple[Control, ...] = ("simulator", "random", "no_op", "copy_last", "untrained")


@schema
class PlanningConfig:
    """eval/run_planning.py"""

    out: Path
    """The folder for planning.json, episodes.csv and videos."""
    protocols: tuple[Path, ...]
    """Files of configs/protocols/, which say all that success depends on beside the model."""
    environments: Annotated[tuple[str, ...], AfterValidator(known_environments)] = ()
    """Where each protocol is run; by default in the environment that it names. Any id of Gymnasium would do."""
    models: dict[str, str] = Field(default_factory=dict)
    """What plans, NAME: SPEC. A SPEC is a run folder, or python:module.ClassName of a model that takes actions."""
    ensembles: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Agents that plan with several of `models` at once, by the mean of their costs, NAME: [MODEL, MODEL]; a protocol's
    `caution` penalises what they disagree about."""
    tokenizer: Path | None = None
    """The run folder of the tokenizer; without one models of yours are given frames as they are."""
    chunk_frames: Positive = 4
    """Frames of a chunk where there is no tokenizer."""
    probe: Path | None = None
    """The run folder of the probe of tokens, which reads places where a protocol says cost: state."""
    probes: dict[str, Path] = Field(default_factory=dict)
    """Those of models whose embeddings are not tokens, by the model's name; others' are left alone."""
    reward: Path | None = None
    """The run folder of the head that reads rewards out of tokens, where a protocol says cost: reward."""
    rewards: dict[str, Path] = Field(default_factory=dict)
    """Those of models whose embeddings are not tokens, by the model's name; others' are left alone."""
    cloned: Path | None = None
    """The run folder of a head that was trained on actions, whose agent gets a row in its environments."""
    controls: tuple[Control, ...] = CONTROLS
    """Rows beside: the planner on the true simulator, random actions, none, copy-last, untrained networks."""
    goal_blind: tuple[str, ...] = ("simulator",)
    """Agents that plan for another episode's goal besides: what competent motion without the goal reaches.
    Where the goal is the same in all episodes there is no such row."""
    size_px: Positive = 64
    """Of the pictures that agents see; Gymnasium's are rendered for it."""
    seed: int = 0
    """Of untrained networks; that of episodes is the protocol's."""
    checks: NotNegative = 48
    """Clips of each environment on which models' sensitivity to actions is checked."""
    shown: NotNegative = 2
    """Episodes of each environment whose videos the page shows."""
    episodes_at_once: Positive = 25
    """What goes through a model together, and what a stopped run does again at most."""
    mixed_precision: Precision = "auto"

    def __post_init__(self) -> None:
        if not self.protocols:
            raise ValueError("protocols names no file; configs/protocols/default.yaml is one")
        for name in (*self.models, *self.ensembles):
            taken = name in (*CONTROLS, "cloned") or name.startswith("untrained_") or name.endswith(BLIND)
            if taken or not re.fullmatch(r"[\w.-]+", name):
                raise ValueError(
                    f"a model cannot be named {name!r}: {', '.join(CONTROLS)}, cloned, untrained_... and ...{BLIND} "
                    "are taken, and names are letters, digits, '_', '-' and '.'"
                )
        for name, text in self.models.items():
            Spec.of(name, text)
        for name, members in self.ensembles.items():
            if name in self.models:
                raise ValueError(f"ensembles: {name!r} is the name of a model as well; give it another")
            if len(set(members)) < 2 or len(set(members)) < len(members):
                raise ValueError(f"ensembles: {name}: two models or more, each once, would do")
            for member in members:
                if member not in self.models:
                    raise ValueError(
                        f"ensembles: {name}: there is no model {member!r}; there are {', '.join(self.models)}"
                    )
        if not self.models and not self.controls and self.cloned is None:
            raise ValueError(
                "models and controls name nobody who plans; models={NAME: FOLDER} or controls=[random] would do"
            )
        known = [*self.models, *self.ensembles, *self.controls]
        if self.tokenizer is None and (self.reward or self.rewards or self.cloned):
            raise ValueError("reward, rewards and cloned read tokens: name their tokenizer, tokenizer=FOLDER")
        for name in self.goal_blind:
            if name not in known:
                raise ValueError(f"goal_blind: there is no agent {name!r}; there are {', '.join(known)}")


@schema
class DreamingConfig:
    """eval/run_dreaming.py"""

    out: Path
    """The folder of episodes, run folders, plans and dreaming.json."""
    tokenizer: Path
    """The run folder of the tokenizer, which stays as it is."""
    model: Path = Path("configs/plan/regression.yaml")
    """The training of the world model, of a family that predicts tokens; its clips are replaced by the episodes."""
    reward: Path = Path("configs/plan/reward.yaml")
    """The training of the head that reads rewards."""
    overrides: tuple[str, ...] = ()
    """key.path=value of the world model's training."""
    protocol: Path = Path("configs/protocols/return.yaml")
    """How plans are made and success is measured; its environment is the one that is acted in."""
    rounds: Positive = 3
    episodes: Positive = 64
    """That are collected in each round, by each arm."""
    steps: Positive = 300
    """Of the world model in each round, on from the last weights."""
    reward_steps: Positive = 400
    noise: Annotated[float, Field(ge=0)] = 0.3
    """Standard deviation of what is added to planned actions where data are collected."""
    astray: Share = 0.2
    """Share of blocks in which something random is done there."""
    seed: int = 0
    episodes_at_once: Positive = 25
    mixed_precision: Precision = "auto"
