"""The planning of a configuration: agents x protocols x environments, unit by unit, to planning.json and videos."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm import tqdm

from vidworld.analysis.labels import UNTRAINED
from vidworld.analysis.planning import (
    BLIND,
    GUESSING,
    PLANNING_SCHEMA,
    ActionCheck,
    EpisodeResult,
    Landscape,
    PlanningResults,
    PlanningVideo,
)
from vidworld.analysis.planning_checkpoints import family_results
from vidworld.analysis.records import Model
from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import resolved
from vidworld.core.errors import UserError
from vidworld.core.hardware import precision
from vidworld.core.locks import alone
from vidworld.core.records import fingerprint, prepare_folder, provenance, write_csv, write_json
from vidworld.evaluation.evaluator import (
    Evaluator,
    Subject,
    check_size,
    evaluation_accelerator,
    evaluator_of,
    subjects_of,
    tools_of,
)
from vidworld.evaluation.physics import models_of
from vidworld.evaluation.schema import PhysicsConfig
from vidworld.evaluation.task import measure
from vidworld.models.files import fingerprint_in
from vidworld.models.head import GoalHead
from vidworld.planning import PLANNERS
from vidworld.planning.agents import (
    AGENTS_VERSION,
    Agent,
    EnvironmentDied,
    NoOpAgent,
    PlannerAgent,
    RandomAgent,
    ReplayedImagination,
    SimulatorImagination,
    of_environment,
)
from vidworld.planning.checks import (
    CHECKS_VERSION,
    LANDSCAPES_VERSION,
    check_actions,
    landscape_of_model,
    landscape_of_simulator,
)
from vidworld.planning.ensemble import ensembles_of
from vidworld.planning.episodes import Arena, units_of
from vidworld.planning.heads import ClonedAgent, environments_of, load_head
from vidworld.planning.imagination import ModelImagination, OwnCost, has_own_space
from vidworld.planning.memory import MEMORY_VERSION, Memory
from vidworld.planning.protocol import PlanningProtocol, check_frames
from vidworld.planning.schema import PlanningConfig
from vidworld.planning.tasks import PlanningTask, first_of_each, planning_rows, tasks_of
from vidworld.planning.units import PlanningUnit
from vidworld.planning.videos import VIDEOS_VERSION, write_video
from vidworld.simulation import SIMULATOR_VERSION
from vidworld.simulation.environments import ENVIRONMENTS
from vidworld.simulation.environments.clips import EnvironmentClips
from vidworld.simulation.environments.of_gymnasium import GymnasiumEnvironment


def plan(
    config: PlanningConfig, budgets: Sequence[int] = (), steps: Sequence[int] = (), planners: Sequence[str] = ()
) -> PlanningResults:
    """Play what is not played yet, and write planning.json, episodes.csv and videos.

    budgets: numbers of candidates, at each of which every protocol is run in place of its own. steps: numbers of
    sampling steps at which diffusion models plan besides. planners: with which every protocol is run in place of its
    own. Raises UserError: of models that fail, after the others' results are written.
    """
    accelerator = evaluation_accelerator(config.mixed_precision)
    with alone(config.out / "lock", wait=False) if accelerator.is_main_process else nullcontext(True) as mine:
        if not all(gather_object([mine])):
            raise UserError(f"{config.out}: another run is planning there; wait for it, or name another out")
        return _played(config, accelerator, tasks_of(config, budgets, steps, planners))


def _played(config: PlanningConfig, accelerator: Accelerator, tasks: Sequence[PlanningTask]) -> PlanningResults:
    crew = Crew(config, accelerator)
    units = [*crew.episodes(tasks), *crew.checks(tasks), *crew.landscapes(tasks), *crew.videos(tasks)]
    found, failures = measure(units, accelerator, "planning")
    if not accelerator.is_main_process:
        return PlanningResults(PLANNING_SCHEMA, {}, {}, [])
    episodes = [row for row in found if isinstance(row, EpisodeResult)]
    rows, models = planning_rows(episodes, tasks), crew.models(tasks[0])
    families, pairs = family_results(episodes, rows, models)
    results = PlanningResults(
        schema=PLANNING_SCHEMA, provenance=provenance(config.seed), rows=rows, families=families, pairs=pairs,
        checks=[row for row in found if isinstance(row, ActionCheck)],
        videos=[row for row in found if isinstance(row, PlanningVideo)],
        landscapes=[row for row in found if isinstance(row, Landscape)],
        protocols={task.protocol.hash: resolved(task.protocol) for task in tasks},
        models=models, failures=list(failures.values()),
        environments={task.environment.name: task.environment.label for task in tasks},
    )  # fmt: skip
    write_csv(config.out / "episodes.csv", EpisodeResult, episodes)
    write_json(config.out / "planning.json", asdict(results))
    if failures:
        raise UserError("\n".join(f"{line}; its rows are left out" for line in failures.values()))
    return results


def _unless_it_dies(made: Callable[[], Any], environment: str, what: str) -> list[Any]:
    """None where the environment dies, with a line."""
    try:
        return [made()]
    except EnvironmentDied as death:
        tqdm.write(f"{environment} died ({death}): its {what} is left out")
        return []


def _shows(subject: Subject) -> bool:
    """Whether it imagines what can be looked at."""
    return bool(getattr(subject.model, "predicts", True))


class Crew:
    """The agents of a configuration; models are loaded once for each number of sampling steps."""

    def __init__(self, config: PlanningConfig, accelerator: Accelerator) -> None:
        self.config, self.accelerator = config, accelerator
        self.folder = prepare_folder(config.out / "units")
        self._loaded: dict[int, tuple[Evaluator, list[Subject]]] = {}

    def shape(self, num_frames: int = 16) -> ClipShape:
        return ClipShape(num_frames=num_frames, height_px=self.config.size_px, width_px=self.config.size_px)

    def episodes(self, tasks: Sequence[PlanningTask]) -> Iterator[PlanningUnit]:
        """Those of every agent, task after task."""
        for task in tasks:
            for agent in self.agents(task):
                made_from = self._made_from(task, agent.made_from)
                given = (self._arena(task), agent, task.starts, self.folder)
                yield from units_of(*given, self.config.episodes_at_once, made_from)

    def _arena(self, task: PlanningTask) -> Arena:
        return Arena(task.environment, task.protocol, self.shape())

    def _made_from(self, task: PlanningTask, *things: str | int) -> str:
        name = task.environment.name
        registered = ENVIRONMENTS.version(name) if name in ENVIRONMENTS else 0
        versions = [registered, task.environment.version, SIMULATOR_VERSION, AGENTS_VERSION]
        theirs = [*ENVIRONMENTS.digests([name]), *PLANNERS.digests([task.protocol.planner])]
        return fingerprint(task.protocol.hash, versions, self.config.size_px, *things, *theirs)

    def agents(self, task: PlanningTask) -> list[Agent]:
        """The models, those of them that are goal-blind, and the controls."""
        config, protocol, environment = self.config, task.protocol, task.environment
        channels = environment.action_channels
        found: list[Agent] = [
            self._planner(subject, task)
            for subject in self.subjects(protocol)
            if not task.of_samplers or hasattr(subject.model, "steps")
        ]
        planners = {agent.name: agent for agent in found if isinstance(agent, PlannerAgent)}
        found += ensembles_of(config.ensembles, planners, protocol)
        if task.of_samplers:
            return found
        if "simulator" in config.controls and isinstance(environment, GymnasiumEnvironment):
            again = ReplayedImagination(environment, protocol)
            found.append(PlannerAgent(protocol, channels, "simulator", sees_state=True, imagination=again))
        elif "simulator" in config.controls:
            truth = SimulatorImagination(environment, protocol)
            found.append(PlannerAgent(protocol, channels, "simulator", sees_state=True, imagination=truth))
            if environment.mistaken(environment.any_start()) is not None:
                guess = replace(truth, guesses=True)
                found.append(PlannerAgent(protocol, channels, GUESSING, sees_state=True, imagination=guess))
        differ = protocol.cost == "model" or environment.goal_numbers > 0  # of goals: else nobody is blind to one
        found += [
            replace(agent, name=agent.name + BLIND, made_from=fingerprint(agent.made_from, BLIND), other_goal=True)
            for agent in found
            if isinstance(agent, PlannerAgent) and agent.name in config.goal_blind and differ
        ]
        if cloned := self._head(config.cloned, "action", task):
            made_from = fingerprint_in(config.cloned) if config.cloned else ""
            evaluator = self.evaluator(protocol)
            found.append(ClonedAgent(protocol, channels, made_from=made_from, head=cloned, evaluator=evaluator))
        found += [kind(protocol, channels) for kind in (RandomAgent, NoOpAgent) if kind.name in config.controls]
        return found

    def subjects(self, protocol: PlanningProtocol) -> list[Subject]:
        """The models that imagine: those of the configuration, copy-last, untrained networks."""
        every, controls = self._load(protocol)[1], self.config.controls
        return [
            subject
            for subject in every
            if subject.name in self.config.models
            or (subject.name == "copy_last" and "copy_last" in controls and self._reads(protocol, subject))
            or (subject.name.startswith(UNTRAINED) and "untrained" in controls)
        ]

    def _reads(self, protocol: PlanningProtocol, subject: Subject) -> bool:
        if protocol.planner == "gradient":  # what stands still has none
            return False
        if protocol.cost == "reward":
            return self._reward_folder(subject) is not None
        if protocol.unseen == "remembered":
            return False
        return protocol.cost == "model" or self._probe(protocol, subject) is not None

    def evaluator(self, protocol: PlanningProtocol) -> Evaluator:
        return self._load(protocol)[0]

    def _probe(self, protocol: PlanningProtocol, subject: Subject) -> Any:
        """What reads places out of a model's embeddings: its own probe, or that of tokens where it predicts them."""
        probes = self.evaluator(protocol).probes
        of_tokens = None if has_own_space(subject.model) else probes.get("")
        return probes.get(subject.name.removeprefix(UNTRAINED), of_tokens)

    def _reward_folder(self, subject: Subject) -> Path | None:
        """Where the head lies that reads rewards out of a model's embeddings: its own, or that of the tokens."""
        of_tokens = None if has_own_space(subject.model) else self.config.reward
        return self.config.rewards.get(subject.name.removeprefix(UNTRAINED), of_tokens)

    def _head(self, folder: Path | None, predicts: str, task: PlanningTask) -> GoalHead | None:
        """A head, where the configuration names one that knows the environment."""
        where = task.environment.name
        return None if folder is None else load_head(folder, predicts, where, self.evaluator(task.protocol))

    def _load(self, protocol: PlanningProtocol) -> tuple[Evaluator, list[Subject]]:
        config, steps = self.config, protocol.sampling_steps
        if not config.models and "copy_last" not in config.controls and config.tokenizer is None:
            check_frames(protocol, config.chunk_frames)
        if steps not in self._loaded:
            physics = self._physics(protocol)
            evaluator = evaluator_of(physics, self.accelerator)
            check_size(physics, evaluator.tokenizer)
            subjects = subjects_of(physics, evaluator)
            tools = tools_of(physics) | {"precision": precision(config.mixed_precision)}
            for subject in subjects:
                subject.made_from = fingerprint(subject.made_from, tools)
            self._loaded[steps] = evaluator, subjects
        check_frames(protocol, self._loaded[steps][0].tokenizer.patch_size[0])
        return self._loaded[steps]

    def _physics(self, protocol: PlanningProtocol) -> PhysicsConfig:
        """The keys of an evaluation that models are loaded by."""
        config, context = self.config, protocol.context_frames or 8
        probes = {name: folder for name, folder in config.probes.items() if name in config.models}
        return PhysicsConfig(
            out=config.out, models=config.models, compare=(), tokenizer=config.tokenizer, probe=config.probe,
            probes=probes, chunk_frames=config.chunk_frames, seed=config.seed, oracle=False,
            shape=self.shape(context + protocol.imagined_blocks * protocol.block_frames), context_frames=context,
            sampling_steps=protocol.sampling_steps, mixed_precision=config.mixed_precision,
        )  # fmt: skip

    def _planner(self, subject: Subject, task: PlanningTask) -> PlannerAgent:
        protocol, made_from, reward = task.protocol, subject.made_from, None
        probe = self._probe(protocol, subject) if protocol.cost == "state" else None
        if protocol.cost == "reward" and (folder := self._reward_folder(subject)):
            reward, made_from = self._head(folder, "reward", task), fingerprint(made_from, fingerprint_in(folder))
            if reward is None:
                known = ", ".join(environments_of([folder]))
                raise UserError(f"{folder}: knows what {known} brings, and nothing of {task.environment.name}")
        memory = None
        if protocol.unseen == "remembered":
            given = (self.evaluator(protocol), task.environment, protocol, self.config.size_px)
            memory, made_from = Memory(subject.name, subject.model, *given), fingerprint(made_from, MEMORY_VERSION)
        own = protocol.cost == "model" and callable(getattr(getattr(subject.model, "model", None), "cost", None))
        imagination = (OwnCost if own else ModelImagination)(
            subject.name, subject.model, self.evaluator(protocol), probe, task.environment, protocol, reward,
            memory,
        )  # fmt: skip
        channels = task.environment.action_channels
        return PlannerAgent(protocol, channels, subject.name, made_from, imagination=imagination)

    # --- what is shown beside success ---

    def checks(self, tasks: Sequence[PlanningTask]) -> Iterator[PlanningUnit]:
        """The offline checks of every model in every environment, on the clips of the first protocol's split."""
        for task in first_of_each(tasks) if self.config.checks > 1 else ():
            if isinstance(task.environment, GymnasiumEnvironment):
                continue
            for subject in self.subjects(task.protocol):
                if subject.name == "copy_last" or not _shows(subject):  # it takes none, or shows nothing
                    continue
                made_from = self._made_from(task, subject.made_from, CHECKS_VERSION, self.config.checks)
                measured, name = partial(self._check, task, subject), task.environment.name
                batch = f"check_{name}_{subject.name}"
                one = partial(_unless_it_dies, measured, name, "check of actions")
                yield PlanningUnit(self.folder, batch, subject.name, made_from, ActionCheck, one, name)

    def _check(self, task: PlanningTask, subject: Subject) -> ActionCheck:
        protocol, name, context = task.protocol, task.environment.name, task.protocol.context_frames or 0
        shape = self.shape(context + protocol.imagined_blocks * protocol.block_frames)
        with of_environment():
            clips = EnvironmentClips(name, protocol.split, protocol.seed, shape=shape).clips(range(self.config.checks))
        return check_actions(subject.name, subject.model, self.evaluator(protocol), clips, context, name)

    def landscapes(self, tasks: Sequence[PlanningTask]) -> Iterator[PlanningUnit]:
        """Of the first episode of each environment, by the simulator and every model."""
        for task in first_of_each(tasks) if self.config.checks > 1 and self.config.shown else ():
            name, number = task.environment.name, task.starts.numbers[0]
            if task.environment.action_channels != 2 or isinstance(task.environment, GymnasiumEnvironment):
                continue
            given = (self._arena(task), number)
            measured: dict[str, tuple[str, Callable[[], Landscape]]] = {}
            if "simulator" in self.config.controls:
                measured["simulator"] = str(AGENTS_VERSION), partial(landscape_of_simulator, *given)
            for subject in self.subjects(task.protocol):
                if subject.name in self.config.models and _shows(subject):
                    of = (subject.name, subject.model, self.evaluator(task.protocol))
                    measured[subject.name] = subject.made_from, partial(landscape_of_model, *of, *given)
            for agent, (own, made) in measured.items():
                made_from = self._made_from(task, own, LANDSCAPES_VERSION, number)
                batch = f"landscape_{name}_{agent}"
                one = partial(_unless_it_dies, made, name, "landscape of costs")
                yield PlanningUnit(self.folder, batch, agent, made_from, Landscape, one, name)

    def videos(self, tasks: Sequence[PlanningTask]) -> Iterator[PlanningUnit]:
        """Of the first episodes of each environment, by every model and the simulator."""
        for task in tasks:
            for agent in self.agents(task) if task.first and self.config.shown else ():
                if not isinstance(agent, PlannerAgent) or agent.name not in (*self.config.models, "simulator"):
                    continue
                numbers = task.starts.numbers[: self.config.shown]
                made_from = self._made_from(task, agent.made_from, VIDEOS_VERSION, *numbers)
                batch = f"videos_{task.environment.name}_{agent.name}"
                measured = partial(self._videos, task, agent, numbers)
                given = (self.folder, batch, agent.name, made_from, PlanningVideo, measured, task.environment.name)
                yield PlanningUnit(*given, needs=lambda video: self.config.out / video.file)

    def _videos(self, task: PlanningTask, agent: PlannerAgent, numbers: Sequence[int]) -> list[PlanningVideo]:
        made = [write_video(self._arena(task), agent, number, self.config.out) for number in numbers]
        return [video for video in made if video is not None]

    def models(self, task: PlanningTask) -> dict[str, Model]:
        """What pages say of the configuration's models."""
        return models_of(self._physics(task.protocol)) if self.config.models else {}
