"""Locates discs of known colours in pictures: from frames to tracks."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from vidworld.core.clip import Frames, Tracks
from vidworld.core.clip_shape import WORLD_SIZE
from vidworld.simulation.simulated import BACKGROUND
from vidworld.simulation.stage import PALETTE

OFF_COLOUR = 0.3  # tangent of the angle of pixel and disc as seen from the background; the palette's least is 0.48
FAINT = 0.2  # share of a disc's colour under which a pixel shows none of it
MIN_AREA = 0.3  # share of a disc's area that must show for the disc to be found
MIN_RADIUS = 0.35


def palette_index(color: Float[Tensor, "*any 3"]) -> Int[Tensor, "*any"]:
    """The number of the palette's nearest colour."""
    return torch.cdist(color.float(), PALETTE.to(color.device).float()).argmin(dim=-1)


def locate_discs(
    frames: Frames, color: Float[Tensor, "clip object 3"], radius: Float[Tensor, "clip object"]
) -> Float[Tensor, "clip time object 2"]:
    """Where a disc of each colour is, in world units: the intensity-weighted centroid, NaN where it is not found.

    A pixel on the line between the colours of background and disc mixes them; the share of the disc is its weight. On
    exact pictures this is right to a hundredth of a pixel.
    """
    pixel = WORLD_SIZE / frames.shape[-1]
    area, place = weigh_discs((frames.float() / 255 - BACKGROUND).movedim(2, -1), color)
    least = MIN_AREA * torch.pi * (radius.float() / pixel).square()
    return torch.where((area >= least[:, None])[..., None], place, torch.nan)


def weigh_discs(
    above: Float[Tensor, "clip time row column 3"], color: Float[Tensor, "clip object 3"], faint: float = FAINT
) -> tuple[Float[Tensor, "clip time object"], Float[Tensor, "clip time object 2"]]:
    """How much of a disc of each colour shows, in pixels, and the centroid of that, in world units (0 where none does).

    above: frames in [0, 1] less the background. faint: the share of a disc's colour under which a pixel shows none.
    """
    b, t, _, width, _ = above.shape
    line = color.float() - BACKGROUND  # (clip, object, 3)
    squared = line.square().sum(dim=-1)
    far = above.square().sum(dim=-1)
    # The others, nearly all of a picture, are too near the background to show any of a disc.
    clip, time, row, column = (far > faint**2 * squared.amin()).nonzero(as_tuple=True)
    above, far = above[clip, time, row, column], far[clip, time, row, column]
    share = (line[clip] @ above[..., None])[..., 0] / squared[clip]  # (pixel, object)
    off = far[:, None] / squared[clip] - share.square()  # squared distance from the line
    weight = share.clamp(0, 1) * ((off < (OFF_COLOUR * share).square()) & (share > faint))
    x, y = ((each + 0.5).to(weight)[:, None] * (WORLD_SIZE / width) * weight for each in (column, row))
    sums = weight.new_zeros(3, b * t, weight.shape[1])
    area, *moments = (
        total.index_add_(0, clip * t + time, part).view(b, t, -1)
        for total, part in zip(sums, (weight, x, y), strict=True)
    )
    return area, torch.stack(moments, dim=-1) / area.clamp_min(1e-6)[..., None]


def with_strangers(truth: Tracks) -> tuple[Float[Tensor, "clip all 3"], Float[Tensor, "clip all"]]:
    """Colours and radii to look for: the clip's discs, then every colour of the palette that it has not.

    What is found of these has appeared from nowhere. A disc that is not there is looked for as a small one.
    """
    index, here = palette_index(truth.color), truth.present.any(dim=1)
    held = torch.zeros(len(index), len(PALETTE), dtype=torch.bool).scatter(1, index, True)
    strangers = held.float().argsort(dim=1, stable=True)  # the colours not held come first
    count = len(PALETTE) - index.shape[1]
    color = torch.cat((truth.color.float(), PALETTE[strangers[:, :count]].float()), dim=1)
    small = torch.full((len(index), count), MIN_RADIUS)
    radius = torch.cat((torch.where(here, truth.radius.float(), MIN_RADIUS), small), dim=1)
    return color, radius


def after_context(position: Float[Tensor, "clip horizon all 2"], truth: Tracks, start: int) -> Tracks:
    """Tracks of a whole clip: the truth up to frame `start`, then what was found; strangers come last."""
    context = position.new_full((len(position), start, position.shape[2], 2), torch.nan)
    context[:, :, : truth.present.shape[2]] = truth.position[:, :start].to(position)
    position = torch.cat((context, position), dim=1)
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
