"""The diffusion world's network: a transformer that says which way a noisy chunk lies from the clean one."""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from vidworld.layers import Block, Memory, Rotary, initialise, norm
from vidworld.shapes import Tokens


class DiffusionTransformer(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Velocity of a rectified flow over the token grid, with a noise level for each chunk.

    Source: DiT (arXiv 2212.09748), its adaptive norm shared by the blocks as in PixArt (arXiv 2310.00426) but of low
    rank, so that the network stays within 5% of the parameters of a plain transformer of its width and depth; a noise
    level for each chunk as in diffusion forcing (arXiv 2407.01392).
    """

    @register_to_config
    def __init__(
        self,
        channels: int = 32,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
        causal: bool = True,
        modulation_rank: int = 32,
        action_channels: int = 0,
        attention_backend: str = "native",
    ) -> None:
        super().__init__()
        self.heads, self.causal = heads, causal
        self.embed = nn.Linear(channels, width)
        self.embed_action = nn.Linear(action_channels, width, bias=False) if action_channels else None
        self.embed_noise = nn.Sequential(
            nn.Linear(128, modulation_rank), nn.SiLU(), nn.Linear(modulation_rank, modulation_rank), nn.SiLU()
        )
        self.modulation = nn.Linear(modulation_rank, 8 * width)
        self.block_modulation = nn.Parameter(torch.zeros(depth, 6, width))
        self.blocks = nn.ModuleList(Block(width, heads, causal, attention_backend) for _ in range(depth))
        self.head = nn.Linear(width, channels)
        self._initialise(depth)

    def _initialise(self, depth: int) -> None:
        """Every block begins as a plain transformer block of half strength, and the velocity as zero.

        Gates begin at one half and not at zero as in DiT: with closed gates an untrained network ignores its context,
        and a short training spends its first hundreds of steps on opening them.
        """
        initialise(self, depth)
        nn.init.zeros_(self.block_modulation)
        first = self.embed_noise[0]
        assert isinstance(first, nn.Linear)
        nn.init.normal_(first.weight, std=first.in_features**-0.5)
        nn.init.zeros_(self.modulation.weight)
        with torch.no_grad():
            self.block_modulation[:, 2] = self.block_modulation[:, 5] = 0.5
        nn.init.zeros_(self.head.weight)

    def forward(
        self,
        tokens: Tokens,
        noise_level: Float[Tensor, "clip t"],
        actions: Float[Tensor, "clip t action"] | None = None,
        memories: list[Memory] | None = None,
        beside: int | None = None,
    ) -> tuple[Tokens, list[Memory]]:
        """Velocity of each token, and the keys and values of all chunks up to the last.

        Noise levels lie in [0, 1], 0 being clean. `memories` stand for earlier chunks: they are seen, not computed.
        With `beside` the tokens stand in the place of the remembered chunks from that number on, each of them seeing
        those before it.
        """
        b, t, h, w, _ = tokens.shape
        x = self.embed(tokens.flatten(2, 3))  # (b, t, cell, width)
        if self.embed_action is not None and actions is not None:
            x = x + self.embed_action(actions).unsqueeze(2)
        frequencies = get_timestep_embedding(noise_level.flatten() * 1000, 128).to(x.dtype)
        modulation = self.modulation(self.embed_noise(frequencies)).to(x.dtype).view(b, t, 1, 8, -1)
        first = 0 if memories is None else memories[0].keys.shape[2] // (h * w)
        first = first if beside is None else beside
        rotary = Rotary.of(first, (t, h, w), x.shape[-1] // self.heads, like=x)
        seen = []
        for i, block in enumerate(self.blocks):
            own = (modulation[..., :6, :] + self.block_modulation[i].to(x.dtype)).unbind(dim=-2)
            shifted = (own[0], 1 + own[1], own[2], own[3], 1 + own[4], own[5])
            x, memory = block(x, rotary, shifted, None if memories is None else memories[i], beside)
            seen.append(memory)
        shift, scale = modulation[..., 6:, :].unbind(dim=-2)
        velocity = self.head(torch.addcmul(shift, norm(x), 1 + scale))
        return velocity.view(b, t, h, w, -1), seen
