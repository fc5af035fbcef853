"""What a world model imagines of candidates, and what that costs: by a probe's places, in its own space, by rewards."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vidworld.core.clip import Clips, Embeddings, Frames, Tokens
from vidworld.core.errors import UserError
from vidworld.evaluation.evaluator import Evaluator, ModelFailure
from vidworld.evaluation.presentation import names_of
from vidworld.models.external import ExternalModel
from vidworld.models.external.foreign import first_line
from vidworld.models.head import Answered, Goals
from vidworld.models.world_model import CopyLast, Encoded, Futures, Rollout, check_numbers
from vidworld.planning.agents import Observed, of_environment, over_trajectory
from vidworld.planning.planners import CandidateActions, Costs, Score
from vidworld.planning.protocol import PlanningProtocol
from vidworld.simulation.environments.environment import Environment
from vidworld.simulation.stage import PALETTE


def futures_at_once(device: torch.device) -> int:
    """Futures that go through a model together: what bounds memory, and keeps an accelerator from waiting."""
    return 256 if device.type == "cpu" else 4096


@runtime_checkable
class Remembers(Protocol):
    """Where discs are that may be hidden, as a model's state says (vidworld/planning/memory.py)."""

    def places(self, context: Encoded) -> Float[Tensor, "clip color 2"]:
        """At the context's end, in world units; NaN of colours that are not there."""


@runtime_checkable
class Locator(Protocol):
    """A probe: where discs are, in what a model imagines."""

    def locate(
        self, embeddings: Embeddings, color: Float[Tensor, "clip object 3"]
    ) -> Float[Tensor, "clip time object 2"]:
        """Where the discs of these colours are, in world units; NaN where none is seen."""


class _Flops(NamedTuple):
    """Of one episode."""

    plan: float  # encoding what was seen
    call: float  # going through the context, for all candidates
    candidate: float


class ModelImagination:
    """A world model's futures under actions, scored as a protocol says; the context is encoded once a plan."""

    def __init__(
        self,
        name: str,
        model: Any,
        evaluator: Evaluator,
        probe: Locator | None,
        environment: Environment[Any],
        protocol: PlanningProtocol,
        reward: Callable[[Embeddings, Goals], Answered] | None = None,
        memory: Remembers | None = None,
    ) -> None:
        """probe, reward: what reads the model's embeddings, where `cost: state` and `cost: reward`. memory: what reads
        its state, where `unseen: remembered`.

        Raises UserError: the one that is needed is missing.
        """
        if protocol.cost == "state" and probe is None:
            raise UserError(f"{name}: cost: state reads places by a probe; name one, probe=FOLDER, or take cost: model")
        if protocol.cost == "reward" and reward is None:
            raise UserError(
                f"{name}: cost: reward takes a trained head; name one of its embeddings, reward=FOLDER for tokens or "
                f"rewards.{name}=FOLDER (train/train_head.py)"
            )
        self.name, self.model, self.evaluator, self.probe, self.reward = name, model, evaluator, probe, reward
        self.environment, self.protocol, self.memory = environment, protocol, memory
        self.chunk_frames = evaluator.tokenizer.patch_size[0]
        self._counted: dict[tuple[int, ...], _Flops] = {}

    @cached_property
    def _scored(self) -> Any:
        return bare(self.model)

    @property
    def shows(self) -> bool:
        """Whether it imagines what can be looked at: somebody else's model may only say what actions cost."""
        return bool(getattr(self.model, "predicts", True))

    def context(self, seen: Observed) -> Encoded:
        """The newest whole chunks of what was seen, as the model is shown them."""
        return encode_context(seen, self.evaluator, self.protocol.history)

    def _now(self, seen: Observed) -> tuple[Encoded, Float[Tensor, "clip color 2"] | None]:
        """The context; and where the discs are that its last chunk does not show, if that is to be remembered."""
        context = self.context(seen)
        if self.memory is None:
            return context, None
        now = in_its_space(self.model, self.evaluator, context.tokens[:, -1:])
        shown = self._places(now[:, None])[:, 0, 0]
        return context, self.memory.places(context).where(shown.isnan(), torch.nan)

    def rollout(self, model: Any, context: Encoded, actions: CandidateActions) -> Rollout:
        """What the model imagines of each candidate. Raises ModelFailure."""
        return imagine(self.name, model, self.evaluator, context, self._held(actions))

    def _held(self, actions: CandidateActions) -> Float[Tensor, "clip candidate t held"]:
        """What is done in the frames of each chunk."""
        held = actions.repeat_interleave(self.protocol.block_frames // self.chunk_frames, dim=2)
        return held.repeat(1, 1, 1, self.chunk_frames)

    def score(self, seen: Observed, state: Any) -> Score:
        """The cost of candidates; `state` is not looked at."""
        del state
        context, remembered = self._now(seen)
        goal = self._goal(seen) if self.protocol.cost == "model" else None

        def cost(actions: CandidateActions) -> Costs:
            clips, count = actions.shape[:2]
            most = futures_at_once(self.evaluator.accelerator.device)
            few = max(1, most // count)
            rows = []
            for first in range(0, clips, few):
                some = slice(first, first + few)
                part = Encoded(context.clips.at(some), context.tokens[some])
                target, away = seen.goal.target[some], None if remembered is None else remembered[some]
                pieces = [
                    self._cost(part, piece, target, None if goal is None else goal[some], away)
                    for piece in actions[some].split(most, dim=1)
                ]
                rows.append(torch.cat(pieces, dim=1))
            return torch.cat(rows)

        return cost

    def flops(self, seen: Observed, scored: int, calls: int) -> float:
        """Counted once for so long a context, of one and two candidates, and multiplied; gradient goes back as well."""
        size = (min(seen.frames.shape[1] // self.chunk_frames, self.protocol.history), *seen.frames.shape[2:])
        if size not in self._counted:
            one, blocks = _first(seen), self.protocol.imagined_blocks
            score = self.score(one, None)  # before anything is counted: a memory is fitted when it is first asked
            encoding = counted(lambda: self._now(one))

            def once(count: int) -> None:
                with torch.set_grad_enabled(self.protocol.planner == "gradient"):
                    asked = torch.zeros(1, count, blocks, seen.actions.shape[-1], requires_grad=True)
                    costs = score(asked)
                    if costs.requires_grad:  # the way back as well
                        torch.autograd.grad(costs.sum(), asked)

            first, second = (counted(partial(once, count)) for count in (1, 2))
            self._counted[size] = _Flops(encoding, 2 * first - second, second - first)
        found = self._counted[size]
        return found.plan + calls * found.call + scored * found.candidate

    def frames(self, seen: Observed, actions: Float[Tensor, "clip block action"]) -> Frames:
        """Pictures of what the model imagines of these actions."""
        context = self.context(seen)
        with torch.no_grad():
            tokens = self.rollout(self.model, context, actions[:, None]).tokens[:, 0]
        length = context.tokens.shape[1] * self.chunk_frames
        return replace(self.evaluator, context_frames=length).decode_future(context, tokens)

    def _cost(
        self, context: Encoded, actions: CandidateActions, target: Float[Tensor, "clip goal"], goal: Embeddings | None,
        remembered: Float[Tensor, "clip color 2"] | None,
    ) -> Costs:  # fmt: skip
        imagined = self.rollout(self._scored, context, actions).embeddings
        if self.protocol.cost_over == "last":
            imagined = imagined[:, :, -1:]
        if goal is not None:
            apart = (imagined - goal[:, None].to(imagined)).square().mean(dim=(3, 4, 5))
        elif self.protocol.cost == "reward":
            apart = -self._rewards(imagined, target, actions)
        else:
            places = self._places(imagined)
            if remembered is not None:
                away = remembered[:, None, None].expand_as(places)
                places = places.where(away.isnan(), away)
            with of_environment():
                apart = self.environment.cost(places, target)
        costs: Costs = over_trajectory(apart, self.protocol).double().cpu()
        return costs

    def _rewards(
        self,
        imagined: Float[Tensor, "clip candidate t h w embedding"],
        target: Float[Tensor, "clip goal"],
        actions: CandidateActions,
    ) -> Float[Tensor, "clip candidate t"]:
        """What each imagined chunk brings, by the goal, or where there is none by what is done in it."""
        assert self.reward is not None
        count, chunks = imagined.shape[1:3]
        goals = target.repeat_interleave(count, dim=0)[:, None].expand(-1, chunks, -1)
        if getattr(self.reward, "reads_actions", not target.shape[1]):
            goals = self._held(actions)[:, :, -chunks:].flatten(0, 1)
        with self.evaluator.accelerator.autocast(), torch.set_grad_enabled(imagined.requires_grad):
            brought: Tensor = self.reward(imagined.flatten(0, 1), goals.float().to(imagined.device))
        by_candidate: Tensor = brought[..., 0].unflatten(0, (-1, count))
        return by_candidate

    def _places(
        self, imagined: Float[Tensor, "clip candidate t h w embedding"]
    ) -> Float[Tensor, "clip candidate t color 2"]:
        """Where the discs of each palette colour are in the last frame of each chunk; NaN where none is seen."""
        assert self.probe is not None
        flat = imagined.flatten(0, 1)
        color = PALETTE.to(flat).expand(len(flat), -1, -1)
        with self.evaluator.accelerator.autocast():
            places = self.probe.locate(flat, color)
        last = places[:, self.chunk_frames - 1 :: self.chunk_frames].double().cpu()
        found: Tensor = last.unflatten(0, imagined.shape[:2])
        return found

    def _goal(self, seen: Observed) -> Embeddings:
        """The picture of the goal, standing still for a chunk, in the space that the model predicts in."""
        picture = seen.goal.picture
        if picture is None:
            raise UserError(f"{self.environment.name}: has no picture of its goal; cost: state needs none")
        still = picture.expand(-1, self.chunk_frames, -1, -1, -1)
        tokens = self.evaluator.encode(Clips(still, seen.fps, tuple(names_of(still)))).tokens
        return in_its_space(self.model, self.evaluator, tokens)


class OwnCost(ModelImagination):
    """Somebody else's model that says itself what actions cost, by `cost(context, goal, actions)`.

    context: `Clips` of what was seen and done. goal: the goal's picture, `(clip, 1, 3, height, width)`. actions:
    `(clip, candidate, frame, action)`, float. It gives `(clip, candidate)`; lower is better.
    """

    def score(self, seen: Observed, state: Any) -> Score:
        """Its costs of candidates. Raises ModelFailure: it fails. UserError: the goal has no picture."""
        del state
        self._goal(seen)
        context, goal = self.context(seen).clips.shown, seen.goal.picture
        # Copies: neither what was seen before it nor what others are shown is within reach.
        done = None if context.actions is None else context.actions.clone()
        context = replace(context, frames=context.frames.clone(), actions=done)

        def cost(actions: CandidateActions) -> Costs:
            by_frame = actions.repeat_interleave(self.protocol.block_frames, dim=2).float()
            with asking(self.name, self.model), torch.set_grad_enabled(actions.requires_grad):
                found = self.model.model.cost(context, goal, by_frame)
                if not isinstance(found, Tensor) or found.shape != actions.shape[:2]:
                    raise UserError(f"cost gave no tensor of shape {tuple(actions.shape[:2])} (clip, candidate)")
                if found.isnan().all():
                    raise UserError("cost gave no number for any candidate")
            return found.double().cpu()

        return cost


def bare(model: Any) -> Any:
    """The model without what turns embeddings into tokens, which a plan does not need."""
    if getattr(model, "decoder", None) is None:
        return model
    without = copy.copy(model)
    without.decoder = None
    return without


def encode_context(seen: Observed, evaluator: Evaluator, most: int) -> Encoded:
    """The newest whole chunks of what was seen, at most so many."""
    chunk = evaluator.tokenizer.patch_size[0]
    frames = min(seen.frames.shape[1] // chunk, most) * chunk
    shown = seen.frames[:, -frames:]
    return evaluator.encode(Clips(shown, seen.fps, tuple(names_of(shown)), actions=seen.actions[:, -frames:].float()))


def imagine(name: str, model: Any, evaluator: Evaluator, context: Encoded, done: Futures) -> Rollout:
    """What a model predicts of what is done after a context, a future for each sample of a clip. Raises ModelFailure.

    Where the actions ask for a gradient, what our families imagine has one; somebody else's frames have none. A model
    that is of one future whatever is done (copy-last) is asked once.
    """
    names, (samples, horizon) = context.clips.identity, done.shape[1:3]
    with asking(name, model), evaluator.accelerator.autocast(), torch.set_grad_enabled(done.requires_grad):
        if isinstance(model, CopyLast):
            one = model.rollout(context, horizon, 1, evaluator.seeds(names))
            return Rollout(*(each.expand(-1, samples, *[-1] * 4) for each in one))
        rollout = model.rollout(context, horizon, samples, evaluator.seeds(names), actions=done.to(context.tokens))
        check_numbers(name, "rollout", names, rollout.embeddings)
    return Rollout(*(each.float() for each in rollout))


def has_own_space(model: Any) -> bool:
    """Whether it predicts learned embeddings (a JEPA), so that what reads tokens cannot read what it imagines."""
    return getattr(getattr(model, "network", None), "target", "frozen") != "frozen"


def in_its_space(model: Any, evaluator: Evaluator, tokens: Tokens) -> Embeddings:
    """Tokens in the space that a model predicts in: for all but a JEPA their own."""
    of_tokens = getattr(getattr(model, "network", None), "embeddings", None)
    if of_tokens is None:
        return tokens
    with torch.no_grad(), evaluator.accelerator.autocast():
        embeddings: Embeddings = of_tokens(tokens).float()
    return embeddings


@contextmanager
def asking(name: str, model: Any) -> Iterator[None]:
    """What goes wrong in a model becomes a ModelFailure, which ends its row and not the run."""
    try:
        yield
    except Exception as error:
        if not isinstance(model, ExternalModel) and not isinstance(error, UserError):
            raise
        line = str(error) if isinstance(error, UserError) else f"failed with {first_line(error)}"
        raise ModelFailure(name, line.removeprefix(f"{name}: ")) from error


def _first(seen: Observed) -> Observed:
    picture = None if seen.goal.picture is None else seen.goal.picture[:1]
    goal = replace(seen.goal, target=seen.goal.target[:1], picture=picture)
    return Observed(seen.frames[:1], seen.actions[:1], goal, seen.streams[:1], seen.fps)


def counted(work: Any) -> float:
    """Floating-point operations of some work, by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())
