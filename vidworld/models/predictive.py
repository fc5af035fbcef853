"""A world model that predicts one next chunk, in the space of its targets: JEPA and regression."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vidworld.models.jepa import JointEmbeddingPredictor
from vidworld.models.world_model import Encoded, Rollout


class PredictiveModel:
    """Predicts embeddings; surprise is their squared distance."""

    def __init__(self, network: JointEmbeddingPredictor, name: str = "jepa", decoder: torch.nn.Module | None = None):
        self.network, self.name, self.decoder = network.eval(), name, decoder

    @torch.no_grad()
    def rollout(self, context: Encoded, horizon: int, samples: int, seeds: Sequence[int]) -> Rollout:
        """A JEPA predicts one future: its samples are equal."""
        following, kv_caches = self.network.predict(self.network.context_embeddings(context.tokens))
        chunks = [following[:, -1:]]
        while len(chunks) < horizon:
            following, kv_caches = self.network.predict(chunks[-1], kv_caches=kv_caches)
            chunks.append(following)
        predicted = torch.cat(chunks, dim=1).unsqueeze(1).expand(-1, samples, -1, -1, -1, -1)
        return Rollout(predicted, predicted if self.decoder is None else self.decoder(predicted))

    @torch.no_grad()
    def surprise(self, seen: Encoded, context_length: int, seeds: Sequence[int]) -> Float[Tensor, "clip chunk"]:
        context = self.network.context_embeddings(seen.tokens)
        target = self.network.embeddings(seen.tokens) if self.network.target == "ema" else context
        predicted, _ = self.network.predict(context[:, :-1])
        error = (predicted.float() - target[:, 1:].float()).square().mean(dim=(2, 3, 4))
        return error[:, context_length - 1 :]
