"""A trained probe: from a model's representation of a clip to its tracks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vidworld.core.clip import Embeddings, Tokens, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.models.layers import Block, initialise, norm
from vidworld.models.schema import ProbeConfig
from vidworld.models.world_model import no_grad_unless_asked
from vidworld.simulation.stage import PALETTE
from vidworld.simulation.tracker import palette_index


class Answers(NamedTuple):
    """What a probe says of each palette colour in each frame, and the tokens that it decodes, if it does."""

    place: Float[Tensor, "clip time color 2"]  # over WORLD_SIZE
    seen: Float[Tensor, "clip time color"]  # logit of the disc's showing
    attention: Float[Tensor, "clip time color cell"]  # logit of each cell's weight
    tokens: Tokens | None


class Cells(nn.Module):
    """The cells of each chunk exchange what they hold."""

    def __init__(self, channels: int, grid: Sequence[int], width: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Linear(channels, width)
        self.place = nn.Parameter(torch.zeros(*grid, width))
        self.blocks = nn.ModuleList(Block(width, max(1, width // 64), "native") for _ in range(depth))

    def forward(self, embeddings: Embeddings) -> Float[Tensor, "clip t h w width"]:
        b, t, h, w, _ = embeddings.shape
        x = (self.embed(embeddings) + self.place).view(b * t, 1, h * w, -1)
        for block in self.blocks:
            x, _ = block(x)
        return norm(x).view(b, t, h, w, -1)


class TokenDecoder(nn.Module):
    """Tokens from embeddings: a linear map, and what the cells of the chunk add to it."""

    def __init__(self, embedding_channels: int, token_channels: int, grid: Sequence[int], width: int, depth: int):
        super().__init__()
        self.cells = Cells(embedding_channels, grid, width, depth)
        self.added = nn.Linear(width, token_channels)
        initialise(self, depth)
        self.linear = nn.Linear(embedding_channels, token_channels)

    def forward(self, embeddings: Embeddings) -> Tokens:
        tokens: Tokens = self.linear(embeddings) + self.added(self.cells(embeddings))
        return tokens


class Probe(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A small attentive head: where the disc of each palette colour is in each frame of each chunk.

    Cells exchange what they see, and every cell says how much it knows of a disc, how far from the cell's middle it
    is, and whether it shows; the answer is the mean over the cells, weighted by how much they know. Trained on a
    world's representation of true frames and frozen. `decoder`, for models whose embeddings are not tokens, maps them
    to the shared tokenizer's: an encoder mixes the cells of a chunk, and what it mixed is not read cell by cell.
    """

    _repeated_blocks = ["Block"]  # noqa: RUF012  (diffusers reads it; its own classes have it so)

    @register_to_config
    def __init__(
        self,
        embedding_channels: int = 160,
        token_channels: int = 160,
        frames_per_chunk: int = 4,
        grid: Sequence[int] = (8, 8),
        width: int = 128,
        depth: int = 2,
        decodes: bool = False,
    ) -> None:
        super().__init__()
        self.frames_per_chunk = frames_per_chunk
        self.cells = Cells(embedding_channels, grid, width, depth)
        self.ask = nn.Linear(width, len(PALETTE) * frames_per_chunk * 4)
        initialise(self, depth)
        self.decoder = TokenDecoder(embedding_channels, token_channels, grid, width, 1) if decodes else None

    def forward(self, embeddings: Embeddings) -> Answers:
        """Where each colour is in each frame, whether it shows, and which cells said so."""
        b, t, h, w, _ = embeddings.shape
        of_cell = self.ask(self.cells(embeddings)).view(b, t, h * w, self.frames_per_chunk, len(PALETTE), 4)
        logits = of_cell[..., 0].float()  # (b, t, cell, frame, color)
        attention = logits.softmax(dim=2).unsqueeze(-1)
        middles = torch.meshgrid(*((torch.arange(side) + 0.5) / side for side in (h, w)), indexing="ij")
        middle = torch.stack(middles[::-1], dim=-1).view(h * w, 1, 1, 2).to(attention)  # (x, y) of each cell
        read = torch.cat((middle + of_cell[..., 1:3].float() / max(h, w), of_cell[..., 3:].float()), dim=-1)
        answer = (attention * read).sum(dim=2).flatten(1, 2)
        asked = logits.transpose(2, 3).flatten(1, 2).transpose(2, 3)
        tokens = None if self.decoder is None else self.decoder(embeddings)
        return Answers(answer[..., :2], answer[..., 2], asked, tokens)

    @no_grad_unless_asked
    def locate(
        self, embeddings: Embeddings, color: Float[Tensor, "clip object 3"], guess: bool = False
    ) -> Float[Tensor, "clip time object 2"]:
        """Where the discs of these colours are, in world units; NaN where none is seen, or with `guess` the best."""
        answers: Answers = self(embeddings)
        index = palette_index(color)[:, None, :].expand(-1, answers.seen.shape[1], -1)
        place = answers.place.gather(2, index[..., None].expand(-1, -1, -1, 2))
        seen = guess | (answers.seen.gather(2, index) > 0)
        return torch.where(seen[..., None], place * WORLD_SIZE, torch.nan)


def shows(truth: Tracks) -> Bool[Tensor, "clip time object"]:
    """Whether so much of a disc shows that it is to be found."""
    return truth.present & (truth.visible > 0.5)


def probe_loss(answers: Answers, tokens: Tokens, truth: Tracks, discs: float | Tensor) -> Float[Tensor, ""]:
    """Distance where a disc shows, the entropy of whether it does, and that of which cell holds its middle.

    Of a probe that decodes besides how far its tokens are from these.
    `discs` show in these clips, or on average in as many of the batch that they are part of: what the first and the
    last are divided by, so that the parts' mean is the loss of the whole batch.
    """
    device, frames = answers.seen.device, answers.seen.shape[1]
    seen = shows(truth).to(device)
    place = (truth.position.nan_to_num() / WORLD_SIZE).float().to(device)
    # Padding objects may share a colour with a disc of the clip; what is not seen adds nothing.
    index = palette_index(truth.color).to(device)[:, None, :].expand(-1, frames, -1)
    shown = torch.zeros_like(answers.seen).scatter_add(2, index, seen.float())
    target = torch.zeros_like(answers.place)
    target = target.scatter_add(2, index[..., None].expand(-1, -1, -1, 2), place * seen[..., None])
    h, w = tokens.shape[2:4]
    cell = (target[..., 1] * h).long().clamp(0, h - 1) * w + (target[..., 0] * w).long().clamp(0, w - 1)
    distance = ((answers.place - target).abs().sum(-1) * shown).sum() / discs
    which = (F.cross_entropy(answers.attention.movedim(-1, 1), cell, reduction="none") * shown).sum() / discs
    loss = 10 * distance + which + F.binary_cross_entropy_with_logits(answers.seen, shown)
    return loss if answers.tokens is None else loss + F.mse_loss(answers.tokens, tokens)


def decoder_loss(decoder: nn.Module, network: Any, tokens: Tokens) -> Float[Tensor, ""]:
    """How far the tokens are from those that are decoded from a JEPA's embeddings of them."""
    with torch.no_grad():
        embeddings = network.embeddings(tokens)
    return F.mse_loss(decoder(embeddings), tokens)


def untrained_probe(config: ProbeConfig, tokenizer: Any, network: Any = None) -> Probe:
    """A probe of tokens, or of a JEPA's embeddings, which it then decodes as well."""
    shape, (frames, _, _) = config.data.shape, tokenizer.patch_size
    _, *grid = tokenizer.grid_of(shape.num_frames, shape.height_px, shape.width_px)
    channels = tokenizer.channels if network is None else network.embedding_channels
    probe: Probe = Probe(
        channels, tokenizer.channels, frames, grid, config.width, config.depth, decodes=network is not None
    )
    return probe
