"""Read-outs: from what a world produces to tracks, by looking at decoded pixels or by a trained probe."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vidworld.data.clip import WORLD_SIZE, Tracks
from vidworld.data.render import BACKGROUND
from vidworld.data.stage import PALETTE
from vidworld.layers import Block, initialise, norm
from vidworld.shapes import Embeddings, Frames

OFF_COLOUR = 0.3
"""Tangent of the angle between a pixel and a disc's colour, both seen from the background: the palette's nearest two
colours are 0.48 apart."""
FAINT = 0.2
"""Share of a disc's colour under which a pixel shows none of it."""
LEAST_AREA = 0.3
"""Share of a disc's area that must show for the disc to be found."""
SMALLEST_RADIUS = 0.35


def palette_index(color: Float[Tensor, "*any 3"]) -> Int[Tensor, "*any"]:
    """The number of the palette's nearest colour."""
    return torch.cdist(color.float(), PALETTE.to(color.device).float()).argmin(dim=-1)


def locate_discs(
    frames: Frames, color: Float[Tensor, "clip object 3"], radius: Float[Tensor, "clip object"]
) -> Float[Tensor, "clip time object 2"]:
    """Where a disc of each colour is, in world units: the intensity-weighted centroid, NaN where it is not found.

    A pixel is a mixture of background and disc where it lies on the line between their colours; the share of the
    disc is its weight. On exact pictures this is right to a hundredth of a pixel.
    """
    b, t, _, _, width = frames.shape
    pixel = WORLD_SIZE / width
    line = color.float() - BACKGROUND  # (clip, object, 3)
    squared = line.square().sum(dim=-1)
    above = (frames.float() / 255 - BACKGROUND).movedim(2, -1)  # (clip, time, row, column, 3)
    far = above.square().sum(dim=-1)
    # The others, nearly all of a picture, are too near the background to show any of a disc.
    clip, time, row, column = (far > FAINT**2 * squared.amin()).nonzero(as_tuple=True)
    above, far = above[clip, time, row, column], far[clip, time, row, column]
    share = (line[clip] @ above[..., None])[..., 0] / squared[clip]  # (pixel, object)
    off = far[:, None] / squared[clip] - share.square()  # squared distance from the line
    weight = share.clamp(0, 1) * ((off < (OFF_COLOUR * share).square()) & (share > FAINT))
    x, y = ((each + 0.5).to(weight)[:, None] * pixel * weight for each in (column, row))
    sums = weight.new_zeros(3, b * t, weight.shape[1])
    area, *moments = (
        total.index_add_(0, clip * t + time, part).view(b, t, -1)
        for total, part in zip(sums, (weight, x, y), strict=True)
    )
    place = torch.stack(moments, dim=-1) / area.clamp_min(1e-6)[..., None]
    least = LEAST_AREA * torch.pi * (radius.float() / pixel).square()
    return torch.where((area >= least[:, None])[..., None], place, torch.nan)


def with_strangers(truth: Tracks) -> tuple[Float[Tensor, "clip all 3"], Float[Tensor, "clip all"]]:
    """Colours and radii to look for: the clip's discs, then every colour of the palette that it has not.

    What is found of these has appeared from nowhere. A disc that is not there is looked for as a small one.
    """
    index = palette_index(truth.color)
    here = truth.present.any(dim=1)
    held = torch.zeros(len(index), len(PALETTE), dtype=torch.bool).scatter(1, index, True)
    strangers = held.float().argsort(dim=1, stable=True)  # the colours not held come first
    count = len(PALETTE) - index.shape[1]
    color = torch.cat((truth.color.float(), PALETTE[strangers[:, :count]].float()), dim=1)
    small = torch.full((len(index), count), SMALLEST_RADIUS)
    radius = torch.cat((torch.where(here, truth.radius.float(), SMALLEST_RADIUS), small), dim=1)
    return color, radius


def as_tracks(position: Float[Tensor, "clip time object 2"], truth: Tracks) -> Tracks:
    """Found positions as the tracks of a prediction: strangers come after the objects of the truth."""
    extra = position.shape[2] - truth.radius.shape[1]
    found = ~position.isnan().any(dim=-1)

    def padded(value: Tensor) -> Tensor:
        return F.pad(value, (0, 0) * (value.ndim - 2) + (0, extra))

    return Tracks(
        position=position.double(),
        velocity=torch.full_like(position, torch.nan, dtype=torch.float64),
        radius=padded(truth.radius),
        mass=padded(truth.mass),
        color=padded(truth.color),
        present=found,
        visible=found.to(truth.visible),
        contact_s=torch.full_like(padded(truth.contact_s), torch.nan),
    )


def after_context(position: Float[Tensor, "clip horizon all 2"], truth: Tracks, start: int) -> Tracks:
    """Tracks of a whole clip: the truth up to frame `start`, and from it on what was found."""
    shape = (len(position), start, position.shape[2], 2)
    context = torch.full(shape, torch.nan, dtype=position.dtype, device=position.device)
    context[:, :, : truth.present.shape[2]] = truth.position[:, :start].to(position)
    return as_tracks(torch.cat((context, position), dim=1), truth)


class Answers(NamedTuple):
    """What a probe says of each palette colour in each frame."""

    place: Float[Tensor, "clip time color 2"]
    """Over WORLD_SIZE."""
    seen: Float[Tensor, "clip time color"]
    """Logit of the disc's showing."""
    attention: Float[Tensor, "clip time color cell"]
    """Logit of each cell's being asked."""


class Probe(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A small attentive head: asks each chunk where the disc of each palette colour is in each of its frames.

    Cells exchange what they see, and every cell says how much it knows of a disc, how far from the cell's middle it
    is, and whether it shows; the answer is the mean over the cells, weighted by how much they know. Trained on a
    world's representation of true frames and frozen. `decoder`, for worlds whose embeddings are not tokens, maps them
    to the shared tokenizer's.
    """

    _repeated_blocks = ["Block"]  # noqa: RUF012  (diffusers reads it; its own classes have it so)

    @register_to_config
    def __init__(
        self,
        embedding_channels: int = 48,
        token_channels: int = 48,
        frames_per_chunk: int = 4,
        grid: Sequence[int] = (8, 8),
        width: int = 128,
        depth: int = 2,
        decodes: bool = False,
    ) -> None:
        super().__init__()
        self.frames_per_chunk = frames_per_chunk
        self.embed = nn.Linear(embedding_channels, width)
        self.place = nn.Parameter(torch.zeros(*grid, width))
        self.blocks = nn.ModuleList(Block(width, max(1, width // 64), "native") for _ in range(depth))
        self.ask = nn.Linear(width, len(PALETTE) * frames_per_chunk * 4)
        initialise(self, depth)
        self.decoder: nn.Module | None = None
        if decodes:
            self.decoder = nn.Sequential(
                nn.Linear(embedding_channels, 4 * width), nn.GELU(), nn.Linear(4 * width, token_channels)
            )

    def forward(self, embeddings: Embeddings) -> Answers:
        """Where each colour is in each frame, whether it shows, and which cells said so."""
        b, t, h, w, _ = embeddings.shape
        x = (self.embed(embeddings) + self.place).view(b * t, 1, h * w, -1)
        for block in self.blocks:
            x, _ = block(x)
        of_cell = (
            self.ask(norm(x)).view(b, t, h * w, -1).unflatten(-1, (self.frames_per_chunk, len(PALETTE), 4))
        )
        logits = of_cell[..., 0].float()  # (b, t, cell, frame, color)
        attention = logits.softmax(dim=2).unsqueeze(-1)
        middles = torch.meshgrid(_middles(h), _middles(w), indexing="ij")
        middle = torch.stack(middles[::-1], dim=-1).view(h * w, 1, 1, 2).to(attention)  # (x, y) of each cell
        told = torch.cat((middle + of_cell[..., 1:3].float() / max(h, w), of_cell[..., 3:].float()), dim=-1)
        answer = (attention * told).sum(dim=2).flatten(1, 2)
        return Answers(answer[..., :2], answer[..., 2], logits.transpose(2, 3).flatten(1, 2).transpose(2, 3))

    @torch.no_grad()
    def locate(
        self, embeddings: Embeddings, color: Float[Tensor, "clip object 3"]
    ) -> Float[Tensor, "clip time object 2"]:
        """Where the discs of these colours are, in world units; NaN where none is seen."""
        answers: Answers = self(embeddings)
        index = palette_index(color)[:, None, :].expand(-1, answers.seen.shape[1], -1)
        place = answers.place.gather(2, index[..., None].expand(-1, -1, -1, 2))
        return torch.where((answers.seen.gather(2, index) > 0)[..., None], place * WORLD_SIZE, torch.nan)


def shows(truth: Tracks) -> Bool[Tensor, "clip time object"]:
    """Whether so much of a disc shows that it is to be found."""
    return truth.present & (truth.visible > 0.5)


def probe_loss(
    answers: Answers, truth: Tracks, grid: Sequence[int], discs: float | Tensor
) -> Float[Tensor, ""]:
    """Distance where a disc shows, the entropy of whether it does, and that of which cell holds its middle.

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
    h, w = grid
    cell = (target[..., 1] * h).long().clamp(0, h - 1) * w + (target[..., 0] * w).long().clamp(0, w - 1)
    distance = ((answers.place - target).abs().sum(-1) * shown).sum() / discs
    which = (F.cross_entropy(answers.attention.movedim(-1, 1), cell, reduction="none") * shown).sum() / discs
    return 10 * distance + which + F.binary_cross_entropy_with_logits(answers.seen, shown)


def _middles(count: int) -> Float[Tensor, " cell"]:
    return (torch.arange(count) + 0.5) / count
