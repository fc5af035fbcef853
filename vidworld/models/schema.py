"""Every key that the configuration of a training may hold, with its unit and its default."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from vidworld.core.clip_shape import ClipShape
from vidworld.core.config import NotNegative, Positive, PositiveFloat, Precision, Share, schema
from vidworld.simulation import SCENARIOS, NuisanceLevel
from vidworld.simulation.environments import ENVIRONMENTS, Policy


def _known(scenarios: dict[str, float] | str) -> dict[str, float] | str:
    SCENARIOS.check(() if isinstance(scenarios, str) else scenarios.keys() - ENVIRONMENTS.keys())
    return scenarios


def _named(folder: object) -> object:
    if folder == "" or "\0" in str(folder):
        raise ValueError("names no folder; one such as runs/NAME would do")
    return folder


def _known_backend(name: str) -> str:
    if name != "native":  # any other is worth waiting for torch
        from diffusers.models.attention_dispatch import AttentionBackendName

        known = sorted(str(backend.value) for backend in AttentionBackendName)
        if name not in known:
            raise ValueError(f"there is no such attention; known: {', '.join(known)}")
    return name


AttentionBackend = Annotated[str, AfterValidator(_known_backend)]
"""A name that diffusers knows; what it computes with on a GPU."""


def check_heads(model: Any) -> None:
    """Raise ValueError where a network's heads are not equally wide."""
    if model.width % model.heads:
        raise ValueError(f"width {model.width} does not divide into {model.heads} heads; choose a multiple of them")


@schema
class DataConfig:
    """Which clips are trained on."""

    shape: ClipShape = ClipShape()
    scenarios: Annotated[dict[str, PositiveFloat] | Literal["all"], AfterValidator(_known)] = "all"
    """What is simulated and how often each scenario, or environment in which somebody acts, is drawn, relative to the
    others; `all`: every scenario that has a weight, by it."""
    policies: Annotated[
        dict[str, Policy], AfterValidator(ENVIRONMENTS.known), Field(exclude_if=lambda policies: not policies)
    ] = Field(default_factory=dict)
    """Who acts in each environment: `random` by default, `scripted` (a noisy expert) or `mixed` (half each)."""
    episodes: Annotated[Path | None, Field(exclude_if=lambda path: path is None)] = None
    """A file of episodes that were played (eval/run_dreaming.py): the environment's clips are parts of these."""
    clips: Positive = 16384
    """Different clips in an epoch."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    nuisance: NuisanceLevel = 0
    """How much of a simulated picture cannot be predicted: noise, flicker and rain at level 0 (none), 1 or 2."""
    real: Path | None = None
    """A folder that `vidworld data ingest` made."""
    real_share: Share = 0.2
    """How many of the clips are real where there are any."""
    real_mirrored: Annotated[bool, Field(exclude_if=lambda mirrored: not mirrored)] = False
    """Whether real clips without actions are trained on as they are and mirrored from left to right."""

    def __post_init__(self) -> None:
        if not self.scenarios and (self.real is None or not self.real_share):
            raise ValueError("names nothing to learn from; scenarios={bounce: 1}, or real=FOLDER, would do")
        if self.scenarios and self.scenarios != "all" and not 1e-30 < sum(self.scenarios.values()) < 1e30:
            raise ValueError("the weights of scenarios add up to nothing, or too much; about 1 each would do")


@schema
class OptimiserConfig:
    """Muon for the matrices, AdamW for the rest, one learning rate for both."""

    name: Literal["muon", "adamw"] = "muon"
    lr: PositiveFloat = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    warmup_steps: Annotated[int, Field(ge=0)] = 50
    """In which the rate rises from 0; at most a tenth of the steps."""
    warmdown_ratio: Share = 0.5
    """The last part of the steps, over which the rate falls to zero."""
    max_grad_norm: PositiveFloat = 1.0
    ema_decay: Share = 0.99
    lr_factors: dict[str, PositiveFloat] = Field(default_factory=dict)
    """What `lr` is multiplied by for parts of the network, by their names."""


@schema
class KeepConfig:
    """Which checkpoints stay."""

    last: Positive = 2
    """The newest, and those before it in case the newest is broken."""
    best: NotNegative = 1
    """Those with the lowest mean loss since the checkpoint before."""
    every: NotNegative = 0
    """Those whose step is a multiple of this (0: none)."""


@schema
class SpikeConfig:
    """Which updates are skipped, and when a run is given up."""

    ratio: PositiveFloat = 10.0
    """A loss is a spike that is this many times the median of those before it, or no number."""
    window: Positive = 50
    """Steps that are looked back at; before there are as many, only what is no number is a spike."""
    most: Positive = 10
    """Spikes in a window with which the run ends."""


@schema
class TrainConfig:
    """What every training has."""

    out: Annotated[Path, BeforeValidator(_named)]
    """The run folder."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    steps: Positive = 1000
    global_batch_size: Positive = 32
    """Clips in one optimiser step, over all processes and accumulated parts."""
    grad_accum_steps: Positive = 1
    """Parts that each process' share of a batch is worked through in. The gradient is that of the whole batch, but for
    the regulariser of a JEPA (model.target vcreg or sigreg), which takes its statistics of one part at a time."""
    mixed_precision: Precision = "auto"
    """auto: bf16 where the processor multiplies it, else float32 (no)."""
    compile: bool = False
    """Transformer blocks are compiled, after which a step costs half on a CPU."""
    compile_mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] = "default"
    """That of torch.compile; `reduce-overhead` records CUDA graphs, on a GPU, where it was not tried yet."""
    log_every: Positive = 20
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """What gets the metrics besides metrics.jsonl."""
    save_every: Positive = 500
    keep: KeepConfig = KeepConfig()
    spikes: SpikeConfig = SpikeConfig()
    timeout_s: Annotated[float, Field(gt=0, le=1e9)] = 1800.0
    """A run ends, with a message, where a step or a collective takes longer."""
    optimiser: OptimiserConfig = OptimiserConfig()
    data: DataConfig = DataConfig()


Start = Annotated[Path | None, Field(exclude_if=lambda folder: folder is None)]
"""The run folder whose finished model a training begins with; without one weights are drawn."""


@schema
class TokenizerModel:
    patch_size: tuple[Positive, Positive, Positive] = (4, 8, 8)
    """Frames, rows and columns of one token; the frames are a chunk."""
    channels: Positive = 160
    width: Positive = 192
    depth: Positive = 2
    heads: Positive = 3
    attention_backend: AttentionBackend = "native"
    levels: Annotated[int, Field(ge=2)] | None = None
    """Values that a channel can take (finite scalar quantisation); without it any."""

    def __post_init__(self) -> None:
        check_heads(self)


@schema
class TokenizerConfig(TrainConfig):
    """train/train_tokenizer.py"""

    model: TokenizerModel = TokenizerModel()
    kl_weight: Annotated[float, Field(ge=0)] = 1e-6


@schema
class AdoptConfig:
    """train/adopt_tokenizer.py"""

    out: Annotated[Path, BeforeValidator(_named)]
    """The run folder, used like that of a tokenizer of our own."""
    pretrained: Path
    """The local folder of a video autoencoder of diffusers (config.json and weights)."""
    clips: Positive = 256
    """Clips that the per-channel statistics are of."""
    data: DataConfig = DataConfig()


@schema
class WorldModelConfig(TrainConfig):
    """What the training of every world model has (train/train_world_model.py); models/families adds each one's own."""

    family: str
    tokenizer: Path
    """The run folder of the tokenizer."""
    start: Start = None
    gradient_checkpointing: bool = False
    """Blocks are computed again for the gradient instead of kept: less memory for a third more work."""


@schema
class FewStepConfig(TrainConfig):
    """train/train_few_step.py"""

    tokenizer: Path
    diffusion: Path
    """The run folder of the diffusion model whose few-step version is trained."""
    shift: PositiveFloat = 8.0
    """How far training noise leans to the noisy end, as in the diffusion model's own training."""
    sampling_shift: PositiveFloat = 8.0
    """The same of the sampling steps."""


@schema
class ProbeConfig(TrainConfig):
    """train/train_probe.py"""

    tokenizer: Path
    jepa: Path | None = None
    """The run folder of a JEPA whose embeddings are to be read; without one it is the tokens."""
    width: Positive = 128
    depth: Positive = 2

    def __post_init__(self) -> None:
        if not self.data.scenarios:
            raise ValueError("data.scenarios: a probe learns where simulated objects are; {bounce: 1} would do")
        if self.width % max(1, self.width // 64):
            raise ValueError(f"width is {self.width}: heads are 64 wide; a multiple of 64 would do")


@schema
class HeadConfig(TrainConfig):
    """train/train_head.py"""

    predicts: Literal["reward", "action"]
    """`reward`: what each chunk brings, by the goal. `action`: what whoever acts in the clips does next (cloning)."""
    tokenizer: Path
    jepa: Path | None = None
    """The run folder of a JEPA whose embeddings are read; without one it is the tokens."""
    start: Start = None
    chunks: Positive = 2
    """The newest chunks that an action is chosen by; a reward is that of one."""
    width: Positive = 256

    def __post_init__(self) -> None:
        simulated = self.data.scenarios
        strangers = [] if simulated == "all" else [name for name in simulated if name not in ENVIRONMENTS]
        if simulated == "all" or strangers:
            raise ValueError(
                f"data.scenarios: only environments have goals and rewards ({', '.join(ENVIRONMENTS)}), not "
                f"{', '.join(strangers) or 'all scenarios'}; of data.real alone, data.scenarios={{}}"
            )
        if simulated and self.data.real is not None:
            raise ValueError("data: a head learns of simulated environments or of data.real; leave one out")
