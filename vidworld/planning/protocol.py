"""Protocols: all that a success rate depends on beside the model, in a file of its own, with a hash.

The same checkpoint reaches 84% or 14% of its goals by the choice of protocol. So a protocol is a file under version
control, every result carries its hash, and nothing of it stands anywhere else.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vidworld.core.config import Positive, PositiveFloat, resolved, schema
from vidworld.core.errors import UserError
from vidworld.core.records import fingerprint
from vidworld.planning import PLANNERS
from vidworld.simulation.environments import known_environments

if TYPE_CHECKING:
    from vidworld.simulation.environments.environment import Environment


PROTOCOL_VERSION = 1
"""Of what is done with these keys; raised when the same keys come to give other episodes or other plans."""


@schema
class PlanningProtocol:
    """A file of configs/protocols/"""

    environment: Annotated[str, AfterValidator(known_environments)]
    episodes: Positive = 200
    """That count: where solved starts are excluded, so many others."""
    split: Literal["id", "val", "train"] = "id"
    """`val` is for choices, `id` for what is reported, `train` for what is trained on."""
    seed: int = 0
    context_frames: Positive | None = None
    """Frames at rest before the first action, which models are shown; by default the environment's own number."""
    history: Positive = 8
    """Chunks that a model is shown at most, the newest."""
    budget_blocks: Positive | None = None
    """Blocks of actions that an episode has; by default as many as the environment's budget holds."""
    block_frames: Positive = 4
    """Frames that one action is held for: a whole number of the tokenizer's chunks."""
    horizon_blocks: Positive | None = None
    """Blocks that are imagined; by default as many as the environment's horizon holds."""
    execute_blocks: Positive = 1
    """Blocks that are executed before the next plan."""
    planner: Annotated[str, AfterValidator(PLANNERS.known)] = "cem"
    candidates: Positive = 64
    iterations: Positive = 5
    elites: Positive = 8
    """Candidates that cem and mppi go on from."""
    chosen: Literal["best", "mean"] = "best"
    """What cem and mppi choose: the best candidate of all iterations, or the last mean."""
    temperature: PositiveFloat = 0.5
    """Of mppi, in standard deviations of the elites' costs."""
    noise: PositiveFloat = 1.0
    """Standard deviation of the first candidates about where the search begins; actions lie in [-1, 1]."""
    least_noise: Annotated[float, Field(ge=0)] = 0.05
    """Under which the deviation of cem and mppi does not fall."""
    step_size: PositiveFloat = 0.1
    """Of gradient (Adam's rate)."""
    warm_start: bool = True
    """Whether a search begins at what is left of the plan before; else at rest."""
    success: Literal["ever", "end"] = "ever"
    """Whether the goal counts as reached in any frame, or in the last one. Results have both; this one is the rule."""
    exclude_solved: bool = True
    """Whether starts that are solved without an action are left out; they are counted either way."""
    cost: Literal["state", "model", "reward"] = "state"
    """`state`: the environment's cost of where a probe sees the discs of the imagined chunks, the same for all
    families. `model`: the squared distance from the picture of the goal, in the space that the model predicts in.
    `reward`: minus what a trained head says that each imagined chunk brings, so that `sum` plans by return."""
    unseen: Annotated[Literal["lost", "remembered"], Field(exclude_if=lambda way: way == "lost")] = "lost"
    """Where a disc is that cannot be seen now, for `cost: state`. `lost`: where imagined chunks show it, if they do.
    `remembered`: where the model's state at the end of what it was shown says (vidworld/planning/memory.py)."""
    cost_over: Literal["last", "sum"] = "sum"
    """The cost of the last imagined chunk, or the mean over all of them."""
    discount: Annotated[float, Field(gt=0, le=1, exclude_if=lambda discount: discount == 1)] = 1.0
    """What each chunk counts of the one before it, in `sum`."""
    caution: Annotated[float, Field(ge=0, exclude_if=lambda caution: caution == 0)] = 0.0
    """Penalty of an ensemble on what its members disagree about: so many standard deviations of their costs."""
    sampling_steps: Positive = 2
    """Evaluations of a diffusion model a chunk."""

    def __post_init__(self) -> None:
        if self.elites > self.candidates:
            raise ValueError(f"elites {self.elites} are more than candidates {self.candidates}")
        if self.horizon_blocks is not None and self.execute_blocks > self.horizon_blocks:
            raise ValueError(f"execute_blocks {self.execute_blocks} are more than horizon_blocks {self.horizon_blocks}")
        if self.unseen == "remembered" and self.cost != "state":
            raise ValueError(
                f"unseen: remembered is of places, which cost: {self.cost} reads none of; take cost: state"
            )

    @property
    def imagined_blocks(self) -> int:
        """The horizon of a protocol that is `completed`."""
        assert self.horizon_blocks is not None
        return self.horizon_blocks

    @property
    def hash(self) -> str:
        """Differs where any key does; comments, order and the file's name are in no hash."""
        return fingerprint("protocol", PROTOCOL_VERSION, resolved(self))

    def with_candidates(self, candidates: int) -> "PlanningProtocol":
        """The same with another number of candidates, of which the same share are elites."""
        elites = min(candidates, max(1, round(self.elites * candidates / self.candidates)))
        return replace(self, candidates=candidates, elites=elites)


def completed(protocol: PlanningProtocol, environment: "Environment[Any]") -> PlanningProtocol:
    """The protocol with the environment's own numbers where it leaves them open.

    Raises UserError: the budget holds no block, more is executed than imagined, or there is no picture of the goal
    to compare with.
    """
    context, blocks, horizon = protocol.context_frames, protocol.budget_blocks, protocol.horizon_blocks
    context = environment.context_frames if context is None else context
    blocks = environment.budget_frames // protocol.block_frames if blocks is None else blocks
    horizon = max(1, environment.horizon_frames // protocol.block_frames) if horizon is None else horizon
    if blocks < 1:
        raise UserError(
            f"{environment.name}: its budget of {environment.budget_frames} frames holds no block of "
            f"{protocol.block_frames}; a smaller block_frames would do"
        )
    if protocol.execute_blocks > horizon:
        raise UserError(
            f"{environment.name}: execute_blocks {protocol.execute_blocks} are more than its horizon of {horizon}; "
            "name a longer horizon_blocks"
        )
    return replace(
        protocol, environment=environment.name, context_frames=context, budget_blocks=blocks, horizon_blocks=horizon
    )


def check_frames(protocol: PlanningProtocol, chunk: int) -> None:
    """Raise UserError where a number of frames is no multiple of the tokenizer's chunk."""
    for key in ("context_frames", "block_frames"):
        if (getattr(protocol, key) or 0) % chunk:
            raise UserError(
                f"{key} {getattr(protocol, key)} is no multiple of the tokenizer's chunk of {chunk} frames; choose one"
            )
