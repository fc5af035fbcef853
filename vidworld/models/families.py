"""Families of world models: what there is to train and to compare.

diffusion learns the distribution of the next chunk's tokens, by removing noise from it; jepa the learned embedding of
the next chunk, predicted in representation space; regression the mean of its tokens: the common root of the two.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

from pydantic import BeforeValidator, Field

from vidworld.core.config import Positive, PositiveFloat, Share, schema
from vidworld.core.errors import UserError
from vidworld.core.registry import Registry
from vidworld.models.schema import AttentionBackend, WorldModelConfig, check_heads

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from vidworld.models.world_model import WorldModel

C = TypeVar("C", bound=WorldModelConfig)

Alarm = Callable[[int, Mapping[str, float]], None]
"""Raises UserError if what was logged after a step shows that a training has failed."""


class Loss(NamedTuple):
    """What is minimised, and what else is logged."""

    total: "Tensor"
    logged: "Mapping[str, Tensor]"


@runtime_checkable
class Sampling(Protocol):
    """How a trained model is used: the evaluation's configuration, of which a family takes what concerns it."""

    @property
    def sampling_steps(self) -> int: ...

    @property
    def sampling_shift(self) -> float: ...

    @property
    def sampling_order(self) -> int: ...

    @property
    def levels(self) -> tuple[float, ...]: ...


class Family(ABC, Generic[C]):
    """A family of world models. `configs/*/NAME.yaml` with `family: NAME` trains one (train/train_world_model.py)."""

    name: str
    label: str  # in tables and charts
    config: type[C]  # the keys of its training
    decoded: bool = False
    """Whether a decoder turns what it predicts into tokens, which is trained after it (train/train_probe.py)."""
    version: int = 1  # of another package's; for ours `versions` of FAMILIES: raised when rollouts or surprise change

    @abstractmethod
    def network_class(self) -> Any:
        """The class of its network."""

    def network(self, config: C, channels: int, actions: int = 0) -> Any:
        """An untrained network (a ModelMixin of diffusers), as `config.model` says.

        For tokens of so many channels, and so many numbers of action a chunk.
        """
        acts = {"action_channels": actions} if actions else {}
        return self.network_class()(channels, **vars(vars(config)["model"]), **acts)

    def draw(self, config: C, streams: "Sequence[Generator]", tokens: "Tensor") -> "tuple[Tensor, ...]":
        """What a batch is given at random: tensors with a row a clip, each drawn from the clip's own stream."""
        return ()

    @abstractmethod
    def loss(self, config: C, model: Callable[..., Any], tokens: "Tensor", *drawn: "Tensor", **done: "Tensor") -> Loss:
        """The loss of a micro-batch. `model` is the network, possibly wrapped for several processes: it is called.

        Clips in which somebody acts come with `actions`, (clip, t, action).
        """

    def fit(self, config: C, network: Any, tokens: "Tensor") -> None:
        """Set, before the first step, what a network takes from tokens of the training and does not learn; nothing by
        default."""

    def after_step(self, config: C, network: Any) -> None:
        """Change whatever follows the weights; nothing by default."""

    def alarm(self, config: C, network: Any, tokens: "Tensor", **done: "Tensor") -> Alarm:
        """What to call whenever a step is logged. `tokens` are some that the training reads, `done` as in `loss`."""
        return lambda step, logged: None

    @abstractmethod
    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """The trained network as the evaluation takes it; `decoder` makes embeddings tokens, which they are not."""

    def untrained(self, network: Any) -> Any:
        """A network of the same configuration whose weights are drawn anew, from torch's generator."""
        # Not from_config, which takes a default for whatever the network was given by position.
        arguments = {name: value for name, value in network.config.items() if not name.startswith("_")}
        return type(network)(**arguments)


FAMILIES: Registry[Family[Any]] = Registry(
    "model family",
    "vidworld.families",
    {
        "diffusion": "vidworld.models.families:DIFFUSION",
        "regression": "vidworld.models.families:REGRESSION",
        "jepa": "vidworld.models.families:JEPA",
    },
    of="vidworld.models.families:Family",
)


def config_schema(data: Mapping[str, Any]) -> type[WorldModelConfig]:
    """The keys of a training of the family that a configuration names. Raises UserError: it names no known one."""
    if "family" not in data:
        raise UserError(f"family is missing; it is one of {', '.join(FAMILIES)}")
    schema: type[WorldModelConfig] = FAMILIES[str(data["family"])].config
    return schema


@schema
class DiffusionModel:
    width: Positive = 192
    depth: Positive = 6
    heads: Positive = 6
    """Of 32 channels each: heads of 64 hid what was to be remembered (DECISIONS.md, 2026-11-23)."""
    modulation_rank: Positive = 32
    attention_backend: AttentionBackend = "native"
    prediction: Annotated[Literal["edm", "sample", "fitted"], Field(exclude_if=lambda what: what == "edm")] = "edm"
    """What is predicted: what EDM's linear estimate of a clean chunk misses, its change from the chunk before, or what
    an estimate misses that knows how tokens change: fitted to data, and learned for each place (preconditioning.py)."""

    def __post_init__(self) -> None:
        check_heads(self)


@schema
class DiffusionConfig(WorldModelConfig):
    """train/train_world_model.py with `family: diffusion`"""

    family: str = "diffusion"
    model: DiffusionModel = DiffusionModel()
    shift: PositiveFloat = 8.0
    """How far training noise leans to the noisy end (1: evenly spread)."""
    p_full_noise: Share = 0.0
    """Share of chunks that are trained at noise level 1, where only memory helps: half of them for a short training."""


class Diffusion(Family[DiffusionConfig]):
    """A transformer that denoises each chunk given the clean ones before it (models/diffusion.py)."""

    name, label, config = "diffusion", "Diffusion", DiffusionConfig

    def network_class(self) -> Any:
        from vidworld.models.diffusion import DiffusionTransformer

        return DiffusionTransformer

    def draw(self, config: DiffusionConfig, streams: "Sequence[Generator]", tokens: "Tensor") -> "tuple[Tensor, ...]":
        """Noise for every chunk but the first, and its level."""
        from vidworld.core.counter_rng import normal_of, uniform_of
        from vidworld.models.diffusion import training_levels

        level = training_levels(uniform_of(streams, tokens.shape[1] - 1), config.shift, config.p_full_noise)
        return normal_of(streams, *tokens[0, 1:].shape), level

    def loss(
        self, config: DiffusionConfig, model: Callable[..., Any], tokens: "Tensor", *drawn: "Tensor", **done: "Tensor"
    ) -> Loss:
        from vidworld.models.diffusion import flow_loss

        given: dict[str, Any] = {**done, "with_spread": config.model.prediction == "fitted"}
        return Loss(flow_loss(model, tokens, *drawn, **given), {})

    def fit(self, config: DiffusionConfig, network: Any, tokens: "Tensor") -> None:
        """The covariance of changes, where that is fitted."""
        if network.changes is not None:
            network.changes.fit(tokens)

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """Its samples are tokens, which need no decoder."""
        from vidworld.models.diffusion import GenerativeModel

        of_steps = settings.sampling_steps, settings.sampling_shift
        return GenerativeModel(network, name, *of_steps, settings.levels, settings.sampling_order)


@schema
class RegressionModel:
    width: Positive = 192
    encoder_depth: Positive = 4
    predictor_depth: Positive = 2
    heads: Positive = 6
    """Of 32 channels each: heads of 64 hid what was to be remembered (DECISIONS.md, 2026-11-23)."""
    attention_backend: AttentionBackend = "native"
    chance: Annotated[
        Literal["none", "gaussian", "correlated", "latent"], Field(exclude_if=lambda way: way == "none")
    ] = "none"
    """How it says what cannot be predicted: not at all, by a variance for each number, or each component of a learned
    basis, or by a latent variable that decides which future comes; see JointEmbeddingPredictor. Several samples of a
    rollout are then draws."""

    def __post_init__(self) -> None:
        check_heads(self)


@schema
class RegressionConfig(WorldModelConfig):
    """The same with `family: regression`"""

    family: str = "regression"
    model: RegressionModel = RegressionModel()
    collapse_ratio: PositiveFloat = 1.0
    """The run stops if prediction loss over copy-last loss stays above this: three logged steps after the warm-up."""


def _learned(target: object) -> object:
    if target == "frozen":
        raise ValueError("a model that predicts frozen tokens is of the family regression (family: regression)")
    return target


@schema
class JepaModel(RegressionModel):
    target: Annotated[Literal["vcreg", "sigreg", "ema"], BeforeValidator(_learned)] = "vcreg"
    """What is predicted, and what keeps it from collapsing: see JointEmbeddingPredictor."""
    encoder_depth: Positive = 2
    """Of the encoder, which sees each chunk alone; all memory is the predictor's."""
    predictor_depth: Positive = 4
    regulariser_weight: Annotated[float, Field(ge=0)] = 1.0


@schema
class JepaConfig(RegressionConfig):
    """The same with `family: jepa`"""

    family: str = "jepa"
    model: JepaModel = JepaModel()
    target_decay: Share = 0.998
    """How slowly the target encoder follows, in mode ema."""
    collapse_std: Share = 0.2
    """The run stops if the embeddings' std across clips stays under this part of an untrained network's."""


P = TypeVar("P", bound=RegressionConfig)


class Predictive(Family[P]):
    """An encoder and a predictor, trained on the distance of what is predicted (models/jepa.py)."""

    def network_class(self) -> Any:
        from vidworld.models.jepa import JointEmbeddingPredictor

        return JointEmbeddingPredictor

    def draw(self, config: P, streams: "Sequence[Generator]", tokens: "Tensor") -> "tuple[Tensor, ...]":
        """Two latent variables for every chunk but the first, where there are any."""
        if config.model.chance != "latent":
            return ()
        from vidworld.core.counter_rng import normal_of
        from vidworld.models.losses import LATENT

        return (normal_of(streams, 2, tokens.shape[1] - 1, LATENT),)

    def loss(self, config: P, model: Callable[..., Any], tokens: "Tensor", *drawn: "Tensor", **done: "Tensor") -> Loss:
        loss: Loss = model(tokens, **done, **dict(zip(("drawn",), drawn, strict=False)))
        return loss

    def alarm(self, config: P, network: Any, tokens: "Tensor", **done: "Tensor") -> Alarm:
        """The alarm of a network that predicts no better than the last chunk does."""
        from vidworld.models.jepa import CollapseAlarm

        return CollapseAlarm(config.out, config.optimiser.warmup_steps, config.collapse_ratio)

    def world_model(self, network: Any, name: str, settings: Sampling, decoder: Any = None) -> "WorldModel":
        """Where it predicts tokens, which are frozen, it needs no decoder."""
        from vidworld.models.jepa import PredictiveModel

        return PredictiveModel(network, name, None if network.target == "frozen" else decoder)


class Regression(Predictive[RegressionConfig]):
    """The network of JEPA with the shared tokens, which are frozen, for targets: as it is by default."""

    name, label, config = "regression", "Regression", RegressionConfig


class Jepa(Predictive[JepaConfig]):
    """That network with learned targets."""

    name, label, config, decoded = "jepa", "JEPA", JepaConfig, True

    def after_step(self, config: JepaConfig, network: Any) -> None:
        """Move the target encoder of mode ema."""
        network.update_target(config.target_decay)

    def alarm(self, config: JepaConfig, network: Any, tokens: "Tensor", **done: "Tensor") -> Alarm:
        """The alarm of a collapse as well, against the embeddings of an untrained network."""
        import torch
        from accelerate.utils import set_seed

        from vidworld.models.jepa import CLIPS, CollapseAlarm, own_past_share, std_across_clips

        some, some_done = tokens[:CLIPS], {name: each[:CLIPS] for name, each in done.items()}
        set_seed(config.seed)
        with torch.no_grad():
            first_std = std_across_clips(self.network(config, tokens.shape[-1]).to(some).embeddings(some))
        warmup, ratio, min_std = config.optimiser.warmup_steps, config.collapse_ratio, config.collapse_std * first_std

        def measure() -> tuple[float, float]:
            with torch.compiler.set_stance("force_eager"):  # blocks are not compiled anew for so many clips
                return std_across_clips(network.embeddings(some)), own_past_share(network, some, **some_done)

        return CollapseAlarm(config.out, warmup, ratio, min_std, measure)


DIFFUSION, REGRESSION, JEPA = Diffusion(), Regression(), Jepa()
