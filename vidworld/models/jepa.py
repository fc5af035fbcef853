"""The JEPA: network, rollouts, and the alarm of a training that has collapsed."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.core.clip import Actions, Embeddings, Tokens
from vidworld.core.counter_rng import normal_of
from vidworld.core.errors import UserError
from vidworld.models.families import Loss
from vidworld.models.layers import ActionEmbedding, Basis, Block, KVCaches, initialise, norm, through, with_actions
from vidworld.models.losses import (
    LATENT,
    bounded,
    correlated_loss,
    energy_loss,
    gaussian_loss,
    sketched_gaussian,
    variance_covariance,
)
from vidworld.models.world_model import Encoded, Futures, Rollout, acted, no_grad_unless_asked


class JointEmbeddingPredictor(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """An encoder, and a predictor that is block-causal in time: one pass predicts every chunk from those before.

    Target modes:
        frozen: the target is the shared tokenizer's frozen token, which cannot collapse (as in SALT, arXiv 2509.24317).
        vcreg, sigreg: the target is the encoder's own embedding, trained end to end; variance and covariance
            (VICReg, arXiv 2105.04906) or a sketched Gaussian test (LeJEPA, arXiv 2511.08544) of the embeddings, in the
            space in which they are predicted, keep them apart.
        ema: the target is the layer-normed embedding of a slow copy of the encoder (V-JEPA, arXiv 2404.08471, whose
            L1 loss did not learn here: docs/log, 2026-11-29).

    An *embedding* is what is predicted: a token in the first mode, `width` numbers a cell in the others. In these the
    encoder sees each chunk alone and all memory is the predictor's: a target that told of its past would be another
    one after another past, and need no memory to be predicted. Predictions are fed back for a rollout, in the first
    mode through the encoder, which is a part of the predictor there, and in the others into the predictor.

    What cannot be predicted (`chance`):
        none: a prediction is a point.
        gaussian: each number of an embedding has a mean and a variance of its own.
        correlated: the same in a basis that is learned, so that the numbers of a cell vary together.
        latent: a standard normal vector a chunk decides which future comes, for all cells at once.
    """

    _supports_gradient_checkpointing = True
    _repeated_blocks = ["Block"]  # noqa: RUF012  (diffusers reads it; its own classes have it so)

    @register_to_config
    def __init__(
        self,
        channels: int = 32,
        width: int = 192,
        encoder_depth: int = 4,
        predictor_depth: int = 2,
        heads: int = 3,
        target: Literal["frozen", "vcreg", "sigreg", "ema"] = "frozen",
        regulariser_weight: float = 1.0,
        attention_backend: str = "native",
        action_channels: int = 0,
        chance: Literal["none", "gaussian", "correlated", "latent"] = "none",
    ) -> None:
        super().__init__()
        self.heads, self.target, self.regulariser_weight = heads, target, regulariser_weight
        self.chance = chance
        self.gradient_checkpointing = False
        self.embedding_channels = channels if target == "frozen" else width
        self.embed = nn.Linear(channels, width)
        self.encoder = nn.ModuleList(Block(width, heads, attention_backend) for _ in range(encoder_depth))
        self.predictor = nn.ModuleList(Block(width, heads, attention_backend) for _ in range(predictor_depth))
        self.head = nn.Linear(width, self.embedding_channels)
        sure = chance in ("gaussian", "correlated")
        self.log_variance = nn.Linear(width, self.embedding_channels) if sure else None
        self.basis = Basis(self.embedding_channels) if chance == "correlated" else None
        self.embed_action = ActionEmbedding(action_channels, width) if action_channels else None
        self.embed_latent = ActionEmbedding(LATENT, width) if chance == "latent" else None
        initialise(self, encoder_depth + predictor_depth)
        for embedding in (self.embed_action, self.embed_latent):
            if embedding is not None:
                embedding.draw()
        self.target_embed = copy.deepcopy(self.embed).requires_grad_(False) if target == "ema" else None
        self.target_encoder = copy.deepcopy(self.encoder).requires_grad_(False) if target == "ema" else None

    def embeddings(self, tokens: Tokens) -> Embeddings:
        """The targets: what a perfect prediction of these tokens would be, each from its own chunk alone."""
        if self.target_embed is None or self.target_encoder is None:
            return self.context_embeddings(tokens)
        with torch.no_grad():
            return self._encode(tokens, self.target_embed, self.target_encoder)

    def context_embeddings(self, tokens: Tokens) -> Embeddings:
        """What `predict` is given for chunks that were seen: in mode ema the online encoder's embeddings."""
        return tokens if self.target == "frozen" else self._encode(tokens, self.embed, self.encoder)

    def predict(
        self,
        embeddings: Embeddings,
        kv_caches: KVCaches | None = None,
        actions: Actions | None = None,
        drawn: Tensor | None = None,
    ) -> tuple[Embeddings, KVCaches]:
        """For each chunk, the embedding of the next, given it and those before or in the caches; and their caches.

        `actions` are what is done in the next chunk of each. `drawn` are standard normal numbers, a latent
        variable a chunk or one a number, by which one of the futures is predicted; without them the middle one is.
        """
        x, remembered = self._ahead(embeddings, kv_caches, actions, drawn)
        following = embeddings + self.head(x)
        if self.log_variance is not None and drawn is not None:
            apart = (bounded(self.log_variance(x)) / 2).exp().to(following) * drawn
            following = following + (apart if self.basis is None else apart @ self.basis.matrix().to(apart))
        return following, remembered

    def _ahead(
        self, embeddings: Embeddings, kv_caches: KVCaches | None, actions: Actions | None, drawn: Tensor | None
    ) -> tuple[Float[Tensor, "clip t h w width"], KVCaches]:
        b, t, h, w, _ = embeddings.shape
        x, blocks = embeddings.flatten(2, 3), [*self.predictor]
        if self.target == "frozen":
            x, blocks = self.embed(x), [*self.encoder, *blocks]
        x = with_actions(x, self.embed_action, actions)
        if self.embed_latent is not None and drawn is not None:
            x = with_actions(x, self.embed_latent, drawn)
        x, remembered = through(self, blocks, x, (h, w), kv_caches)
        return norm(x).view(b, t, h, w, -1), remembered

    def forward(
        self, tokens: Tokens, actions: Actions | None = None, drawn: Float[Tensor, "clip 2 later z"] | None = None
    ) -> Loss:
        """Distance of predicted and target embeddings, over all chunks that have one before them.

        Where it says how sure it is, a proper score; `drawn` are two latent variables each. Towards a `copy_last_ratio`
        of 1 (of the mean's squared error to that of repeating the last embedding) nothing is predicted.
        """
        context, target, done = self._seen(tokens, actions)
        prediction, predicted = self._scored(context[:, :-1], target[:, 1:], done, drawn)
        regularise = {"vcreg": variance_covariance, "sigreg": sketched_gaussian}.get(self.target)
        regulariser = regularise(context.float()) if regularise else torch.zeros((), device=tokens.device)
        with torch.no_grad():
            wrong = prediction if self.chance == "none" else F.mse_loss(predicted, target[:, 1:])
            ratio = wrong / F.mse_loss(target[:, :-1], target[:, 1:]).clamp_min(1e-12)
        parts = {} if self.target == "frozen" else {"prediction": prediction, "regulariser": regulariser}
        return Loss(prediction + self.regulariser_weight * regulariser, parts | {"copy_last_ratio": ratio})

    def compared(
        self, tokens: Tokens, actions: Actions | None = None
    ) -> tuple[Embeddings, Float[Tensor, "clip later h w embedding"], Embeddings]:
        """The seen embeddings, those predicted of all chunks but the first, and the targets, the first's as well."""
        context, target, done = self._seen(tokens, actions)
        return context, self.predict(context[:, :-1], actions=done)[0].float(), target

    def _seen(self, tokens: Tokens, actions: Actions | None) -> tuple[Embeddings, Embeddings, Tensor | None]:
        """The seen embeddings, the targets, and what is done in all chunks but the first."""
        context = self.context_embeddings(tokens)
        target = self.embeddings(tokens) if self.target == "ema" else context
        return context, target.float(), None if actions is None else actions[:, 1:]

    def _scored(
        self, context: Embeddings, target: Embeddings, done: Actions | None, drawn: Tensor | None
    ) -> tuple[Float[Tensor, ""], Embeddings]:
        """The loss of what is predicted after each of these chunks, and its mean."""
        if self.embed_latent is not None and drawn is not None:
            two = drawn.transpose(0, 1).flatten(0, 1).to(context)
            acts = None if done is None else done.repeat(2, 1, 1)
            futures = self.predict(context.repeat(2, 1, 1, 1, 1), actions=acts, drawn=two)[0].float()
            both = futures.unflatten(0, (2, len(context)))
            return energy_loss(both, target), both.mean(dim=0)
        x, _ = self._ahead(context, None, done, None)
        predicted = (context + self.head(x)).float()
        if self.log_variance is not None:
            given = (predicted, bounded(self.log_variance(x)), target)
            loss = gaussian_loss(*given) if self.basis is None else correlated_loss(*given, self.basis.matrix())
            return loss, predicted
        return F.mse_loss(predicted, target), predicted

    @torch.no_grad()
    def update_target(self, decay: float) -> None:
        """Moves the slow copy towards the encoder; nothing in the other modes."""
        if self.target_embed is not None and self.target_encoder is not None:
            online: list[Tensor] = [*self.embed.parameters(), *self.encoder.parameters()]
            slow: list[Tensor] = [*self.target_embed.parameters(), *self.target_encoder.parameters()]
            torch._foreach_lerp_(slow, online, 1 - decay)

    def _encode(self, tokens: Tokens, embed: nn.Module, blocks: nn.ModuleList) -> Embeddings:
        b, t, h, w, _ = tokens.shape
        x, _ = through(self, blocks, embed(tokens.reshape(b * t, 1, h * w, -1)), (h, w))
        return norm(x).view(b, t, h, w, -1)


class PredictiveModel:
    """Predicts embeddings; surprise is their squared distance."""

    def __init__(self, network: JointEmbeddingPredictor, name: str = "jepa", decoder: nn.Module | None = None):
        self.network, self.name, self.decoder = network.eval(), name, decoder

    @no_grad_unless_asked
    def rollout(
        self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int], actions: Futures | None = None
    ) -> Rollout:
        """Of one that predicts a point, samples are equal but for what is done in them, as they are under actions."""
        if actions is not None:
            done = actions.flatten(0, 1).split(1, dim=1)
            return self._each(context, actions.shape[1], [{"actions": now} for now in done])
        if samples > 1 and self.network.chance != "none":
            cells = (*context.tokens.shape[2:4], self.network.embedding_channels)
            shape = (samples, horizon, *((LATENT,) if self.network.chance == "latent" else cells))
            noise = normal_of([torch.Generator().manual_seed(seed) for seed in seeds], *shape)
            drawn = noise.to(context.tokens).flatten(0, 1).split(1, dim=1)
            return self._each(context, samples, [{"drawn": now} for now in drawn])
        following, kv_caches = self.network.predict(self.network.context_embeddings(context.tokens))
        chunks = [following[:, -1:]]
        while len(chunks) < horizon:
            following, kv_caches = self.network.predict(chunks[-1], kv_caches=kv_caches)
            chunks.append(following)
        predicted = torch.cat(chunks, dim=1)
        both = (predicted, self.decoded(predicted))
        return Rollout(*(each.unsqueeze(1).expand(-1, samples, -1, -1, -1, -1) for each in both))

    def _each(self, context: Encoded, samples: int, given: Sequence[dict[str, Tensor]]) -> Rollout:
        """A future for each sample's actions or draws, chunk after chunk, all from one memory of the context."""
        seen = self.entered(context.tokens)
        kv_caches = self.remembered(seen, context.actions)
        kv_caches = kv_caches and [cache.repeated(samples) for cache in kv_caches]
        chunk, chunks = seen[:, -1:].repeat_interleave(samples, dim=0), []
        for now in given:
            chunk, kv_caches = self.network.predict(chunk, kv_caches, **now)
            chunks.append(chunk)
        predicted = torch.cat(chunks, dim=1)
        return Rollout(*(each.unflatten(0, (len(seen), samples)) for each in (predicted, self.decoded(predicted))))

    @no_grad_unless_asked
    def entered(self, tokens: Tokens) -> Embeddings:
        """What the predictor takes seen chunks in as."""
        return self.network.context_embeddings(tokens)

    @no_grad_unless_asked
    def decoded(self, predicted: Embeddings) -> Tokens:
        """As tokens of the shared tokenizer."""
        tokens: Tokens = predicted if self.decoder is None else self.decoder(predicted)
        return tokens

    @no_grad_unless_asked
    def remembered(self, seen: Embeddings, actions: Actions | None = None) -> KVCaches | None:
        """What the chunk after these looks back at of all but the last; None of one alone. `actions`: done in each."""
        if seen.shape[1] == 1:
            return None
        return self.network.predict(seen[:, :-1], actions=None if actions is None else actions[:, 1:])[1]

    @no_grad_unless_asked
    def following(
        self, previous: Embeddings, kv_caches: KVCaches | None, done: Actions | None, noise: Tokens | None = None
    ) -> tuple[Embeddings, KVCaches | None]:
        """The chunk after `previous`, and the keys and values with its own; nothing is drawn."""
        return self.network.predict(previous, kv_caches, done)

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        _, predicted, target = self.network.compared(seen.tokens, acted(self.network, seen))
        return (predicted - target[:, 1:]).square().mean(dim=(2, 3, 4))[:, context_length - 1 :]


IN_A_ROW = 3
"""Logged steps that must all look collapsed: one alone may be an odd batch."""
MIN_OWN_PAST = 0.75
"""Of `own_past_share`; by chance it is one half."""
CLIPS = 16
"""Clips whose embeddings are compared, always the same ones, however few a process works through at once."""


def std_across_clips(embeddings: Float[Tensor, "clip *place"]) -> float:
    """Standard deviation across clips at a fixed place, as the root mean square over places and channels.

    Across clips at one place, since embeddings that hold nothing but their place still differ from place to place.
    """
    return float(embeddings.float().var(dim=0).mean().sqrt())


def own_past_share(network: JointEmbeddingPredictor, tokens: Tokens, actions: Actions | None = None) -> float:
    """Share of clips whose second half is predicted better after their own first half than after another clip's.

    The halves of different clips have little in common, so that even repeating the last chunk gets all of them right.
    """
    half = tokens.shape[1] // 2
    swapped = torch.cat((tokens[:, :half].roll(1, dims=0), tokens[:, half:]), dim=1)
    done = None if actions is None else actions.repeat(2, 1, 1)
    _, predicted, target = network.compared(torch.cat((tokens, swapped)), done)
    own, other = (predicted - target[:, 1:])[:, half - 1].square().mean(dim=(1, 2, 3)).chunk(2)
    return float((own < other).float().mean())


@dataclass
class CollapseAlarm:
    """Called at every logged step; ends a run whose embeddings do not distinguish clips, or that predicts nothing.

    Three things are seen: embeddings that are alike for all clips; a prediction no better than the last embedding; and
    one that fits a future as well after another clip's past, however low its loss is.
    """

    out: Path
    warmup_steps: int
    """Nothing is checked before twice as many."""
    max_ratio: float
    """Of the prediction loss over that of repeating the last embedding (`copy_last_ratio`)."""
    min_std: float = 0.0
    measure: Callable[[], tuple[float, float]] | None = None
    """Gives the std that `min_std` is of and `own_past_share`; without it only the ratio is checked."""
    alike: int = 0
    useless: int = 0
    pastless: int = 0

    @torch.no_grad()
    def __call__(self, step: int, logged: Mapping[str, float]) -> None:
        """Raise UserError at the last of `IN_A_ROW` logged steps that looked collapsed."""
        if not logged or step < 2 * self.warmup_steps:
            return
        ratio = logged["copy_last_ratio"]
        self.useless = self.useless + 1 if ratio > self.max_ratio else 0
        std, share = (float("inf"), 1.0) if self.measure is None else self.measure()
        self.alike = self.alike + 1 if std < self.min_std else 0
        self.pastless = self.pastless + 1 if share < MIN_OWN_PAST else 0
        where = f"at step {step} and the {IN_A_ROW - 1} logged steps before it"
        if self.alike >= IN_A_ROW:
            raise UserError(
                f"{self.out}: collapsed {where}: the standard deviation of embeddings across clips is {std:.3g}, under "
                f"{self.min_std:.3g}; another model.regulariser_weight, or family: regression, prevents it"
            )
        if self.pastless >= IN_A_ROW:
            raise UserError(
                f"{self.out}: a future is predicted as well after another clip's past {where} ({share:.0%} are better "
                "after their own): what is predicted does not depend on what was seen; a lower optimiser.lr or another "
                "model.regulariser_weight may help"
            )
        if self.useless >= IN_A_ROW:
            raise UserError(
                f"{self.out}: predicts nothing {where}: its loss is {ratio:.2f} times that of repeating the last "
                "embedding; a lower optimiser.lr may help"
            )
